"""Find similar: the labelled cases of this installation that lie nearest to a tile or a woman, by the bundle's embedding.

Decision and reasons: docs/adr/0043.
"""
