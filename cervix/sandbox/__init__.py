"""A home filled for a try: made-up labels of drawn tiles, and a candidate that was retrained from them beforehand.

One call does it, in a home that is nobody's own::

    filled = fill(get_settings(), bundle, tell=lambda share, words: None)
"""

from cervix.sandbox.filling import Filled, fill
from cervix.sandbox.readers import READER_A, READER_B

__all__ = ["READER_A", "READER_B", "Filled", "fill"]
