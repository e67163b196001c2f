"""Saved styles, and encoded styles that are kept."""
