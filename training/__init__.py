"""Scripts that make and judge the weights."""
