"""What stands before the routes, one middleware a module."""
