"""Labelled tiles, and whole slides cut into them."""
