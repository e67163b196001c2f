"""What every run shares: the loop, its schedule, checkpoints and settings."""
