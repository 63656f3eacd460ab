"""The model of screening histories."""
