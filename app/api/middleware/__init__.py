"""The middlewares, one in each module."""
