"""The HTTP API: routes, their forms, and errors as problems."""
