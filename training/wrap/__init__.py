"""Somebody else's model as a proved bundle."""
