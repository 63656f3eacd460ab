"""The slide model."""
