"""Drawn tissue in training: tuned to a model, compared with training tiles, added to few real ones."""
