"""What labels say about readers, about the model and about each other."""
