"""Decoding of untrusted pictures, in processes that can be ended."""
