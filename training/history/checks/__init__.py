"""What the history model is held against."""
