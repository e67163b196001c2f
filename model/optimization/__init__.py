"""Stylization by optimising the picture itself (Gatys et al. 2016)."""
