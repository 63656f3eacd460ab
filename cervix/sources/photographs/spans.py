"""Stretches of a file as arrays ``(n, 2)`` int64 of first byte and the byte behind the last."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.int64]


def spans_of(pairs: Iterable[tuple[int, int]]) -> Spans:
    """Spans of pairs of offset and length."""
    listed = [(offset, offset + length) for offset, length in pairs]
    return np.array(listed, np.int64).reshape(-1, 2)


def merged(spans: Spans) -> Spans:
    """The same bytes as spans in order that neither touch nor overlap."""
    spans = spans[spans[:, 1] > spans[:, 0]]
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    ends = np.maximum.accumulate(spans[:, 1])
    first = np.r_[True, spans[1:, 0] > ends[:-1]]
    last = np.r_[first[1:], True]
    return np.column_stack([spans[first, 0], ends[last]])


def rest_of(spans: Spans, size_bytes: int) -> Spans:
    """What merged spans leave of a file."""
    edges = np.r_[0, spans.ravel(), size_bytes].reshape(-1, 2)
    rest: Spans = edges[edges[:, 1] > edges[:, 0]]
    return rest


def overlap(first: Spans, second: Spans) -> bool:
    """Whether two sets of merged spans share a byte."""
    if not len(first) or not len(second):
        return False
    # Of the second, the first that ends behind the start of each of the first: does it begin before that one ends?
    following = np.searchsorted(second[:, 1], first[:, 0], side="right")
    there = following < len(second)
    return bool(np.any(second[following[there], 0] < first[there, 1]))


def length_of(spans: Spans) -> int:
    """How many bytes merged spans are."""
    return int((spans[:, 1] - spans[:, 0]).sum())
