"""Pictures to train on, and how they are drawn."""
