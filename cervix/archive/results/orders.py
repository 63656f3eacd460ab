"""In which order the slides of a run are worth a look."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Order:
    """One order of the list."""

    title: str
    words: str
    """What it goes by, for people."""
    sql: str
    """Terms of an ``ORDER BY`` over the ledger's table of slides; ties are broken by ``place``."""


_STRONGEST: Final = "cancerous_low DESC NULLS LAST, cancerous_share DESC NULLS LAST"
_OLDEST: Final = "day = '', day"

ORDERS: Final[dict[str, Order]] = {
    "suspicious": Order(
        "Most suspicious first",
        "The lower limit of the share of cancerous tiles, so that a few tiles do not come before many.",
        _STRONGEST,
    ),
    "undecided": Order(
        "Undecided first",
        "Slides that the rule leaves open, then those without an answer, then the rest; the most suspicious first in each.",
        f"CASE verdict WHEN 'undecided' THEN 0 WHEN 'abstained' THEN 1 ELSE 2 END, {_STRONGEST}",
    ),
    "oldest": Order("Oldest first", "The day of the scan; slides without one come last.", _OLDEST),
    "newest-answer": Order("Answered last first", "When the answer was given.", "ended_at DESC NULLS LAST"),
}
"""By id, the default first; the one list that page, tables and command line go by."""


def ordered_by(order: str) -> str:
    """The terms of ``ORDER BY`` for an id of ``ORDERS``: scored slides first, and no two tie."""
    return f"state != 'done', {ORDERS[order].sql}, place"
