"""The service: HTTP routes, request queue, settings and command line."""
