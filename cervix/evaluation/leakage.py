"""How 0.99 arises: what a leak makes of a figure on the same table.

It is measured in training, by one kind of model under protocols that keep copies of cases apart and others that do not, and
comes as a table of the bundle.
"""

import re
from dataclasses import dataclass

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.errors import BundleError
from cervix.evaluation.comparison import parsed_decimal
from cervix.evaluation.heldout import load_table
from cervix.intervals import Interval

TABLE = "leakage"
"""Id of the table: one row a protocol."""
PROTOCOL, LEAKED, AUROC, SIZE = "protocol", "leaked", "AUROC", "n"
"""Columns that are read."""
HONEST = "no"


@dataclass(frozen=True)
class Protocol:
    """A way to test on the same table.

    Attributes
    ----------
    leaked : bool
        Whether copies of the cases it is tested on were learned from.
    size : str
        ``835 rows``.
    """

    title: str
    leaked: bool
    auroc: Interval
    size: str


def leakage_frame(bundle: Bundle, model: Model) -> pd.DataFrame | None:
    """The table as it stands in the bundle, every cell text; None for a model without it."""
    declared = next((table for table in model.tables if table.id == TABLE), None)
    return None if declared is None else load_table(bundle, declared)


def protocols(table: pd.DataFrame) -> list[Protocol]:
    """The protocols in the order of the table.

    Raises
    ------
    BundleError
        If it is not of these columns and figures.
    """
    try:
        return [
            Protocol(title, leaked != HONEST, parsed_decimal(auroc), size)
            for title, leaked, auroc, size in table[[PROTOCOL, LEAKED, AUROC, SIZE]].itertuples(index=False)
        ]
    except (KeyError, ValueError) as error:
        raise BundleError(
            "The table of leaks cannot be read",
            expected=f"columns {', '.join((PROTOCOL, LEAKED, AUROC, SIZE))} with figures", found=str(error),
        ) from error  # fmt: skip


def leaks(found: list[Protocol]) -> list[tuple[Protocol, Protocol]]:
    """Each honest protocol with the leak of the same inputs that shows the most; honest ones without a leak are left out.

    A leak is of the inputs of that honest protocol with whose title it shares the most words.
    """
    honest, leaked = ([item for item in found if item.leaked == of] for of in (False, True))
    pairs = []
    for own in honest:
        same = [item for item in leaked if max(honest, key=lambda other: _shared_words(other, item)) == own]
        if same:
            pairs.append((own, max(same, key=lambda item: item.auroc.value)))
    return pairs


def leak(found: list[Protocol], auroc: float) -> tuple[Protocol, Protocol] | None:
    """Of ``leaks`` the one whose honest protocol comes nearest to a model's own AUROC; None where there is none."""
    return min(leaks(found), key=lambda pair: abs(pair[0].auroc.value - auroc), default=None)


def _shared_words(first: Protocol, second: Protocol) -> int:
    one, other = (set(re.findall(r"\w+", item.title.lower())) for item in (first, second))
    return len(one & other)
