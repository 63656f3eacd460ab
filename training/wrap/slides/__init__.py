"""Somebody else's slide head, beside the tile model whose embeddings it reads."""
