"""What the slide model is held against."""
