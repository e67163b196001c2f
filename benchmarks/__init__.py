"""Speed and memory, side by side with others, as ratios."""
