"""What a model makes of laboratories that it learned nothing from: the figure that counts for tiles from anywhere else.

It is measured in training, by models that each saw nothing of one laboratory, and comes as a table of the bundle.
"""

from dataclasses import dataclass

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import EvaluationTable
from cervix.errors import BundleError
from cervix.evaluation.comparison import decimal, parsed_decimal, parsed_percent, percent
from cervix.evaluation.heldout import load_table
from cervix.evaluation.metrics import METRICS
from cervix.intervals import Interval

HEADING = "Left-out laboratories: the figures that count"
TABLE = "laboratories"
"""Id of the table: one row a source that was left out with its laboratory, the worst first."""
SOURCE, AUROC, ANSWERED, WRONG, SIZE = "left out", "AUROC, carcinoma or benign", "answered", "answered and wrong", "n"
"""Columns that the verdict reads. A figure is followed by its interval in brackets; a dash says that there is none."""
NONE = "–"
NOT_MEASURED = (
    "It was not measured how this model answers tiles of a laboratory that it did not learn from. Expect it to be worse there "
    "than on the held-out cases."
)


@dataclass(frozen=True)
class LeftOut:
    """A source whose laboratory was left out.

    Attributes
    ----------
    auroc : Interval or None
        Carcinoma or benign; None where its tiles are of one side only.
    wrong : Interval
        Share of its tiles, 0..1, that are answered and wrong.
    size : str
        ``853 tiles, 344 groups``.
    """

    source: str
    auroc: Interval | None
    wrong: Interval
    size: str


def left_out_table(model: Model) -> EvaluationTable | None:
    """The declared table of a model's left-out laboratories; None where nobody left one out."""
    return next((table for table in model.tables if table.id == TABLE), None)


def other_tables(model: Model) -> list[EvaluationTable]:
    """All tables but that one, in the order of the manifest."""
    return [table for table in model.tables if table.id != TABLE]


def left_out_verdict(bundle: Bundle, model: Model) -> str:
    """What the table of left-out laboratories comes to; empty for a model that no laboratory's stain or scanner concerns.

    Raises
    ------
    BundleError
        If the table cannot be read or is not of these columns and figures.
    """
    if model.tiles is None:
        return ""
    declared = left_out_table(model)
    return NOT_MEASURED if declared is None else verdict_of(load_table(bundle, declared))


def left_out_sources(table: pd.DataFrame) -> list[LeftOut]:
    """The rows of the table, the lowest AUROC first, then those that have none.

    Parameters
    ----------
    table : every cell text, with the columns ``SOURCE``, ``AUROC``, ``WRONG`` and ``SIZE``

    Raises
    ------
    BundleError
        If it has no row, or is not of these columns and figures.
    """
    try:
        found = [
            LeftOut(source, None if auroc == NONE else parsed_decimal(auroc), parsed_percent(wrong), size)
            for source, auroc, wrong, size in table[[SOURCE, AUROC, WRONG, SIZE]].itertuples(index=False)
        ]
        if not found:
            raise ValueError("no row")
    except (KeyError, ValueError) as error:
        raise BundleError(
            "The table of left-out laboratories cannot be read",
            expected=f"columns {', '.join((SOURCE, AUROC, WRONG, SIZE))} with figures", found=str(error),
        ) from error  # fmt: skip
    return sorted(found, key=lambda row: row.auroc.value if row.auroc else 2.0)


def verdict_of(table: pd.DataFrame) -> str:
    """The range of the AUROC and of what is answered and wrong, each with its worst source; raises as ``left_out_sources``."""
    rows = left_out_sources(table)
    return f"Left-out laboratories: {_ranking(rows)}{_mistakes(rows)}"


def worst_answered(rows: list[LeftOut]) -> LeftOut:
    """The source of which the most is answered and wrong."""
    return max(rows, key=lambda row: row.wrong.value)


def _ranking(rows: list[LeftOut]) -> str:
    ranked = [(row, row.auroc) for row in rows if row.auroc]
    if not ranked:
        return ""
    (worst, lowest), title = ranked[0], METRICS["auroc"].title
    if len(ranked) == 1:
        return f"{title} {decimal(lowest)} ({worst.source}, {worst.size}); "
    highest = ranked[-1][1]
    return f"{title} {lowest.value:.2f} to {highest.value:.2f}, worst {worst.source}, {decimal(lowest)}, {worst.size}; "


def _mistakes(rows: list[LeftOut]) -> str:
    worst, least = worst_answered(rows), min(row.wrong.value for row in rows)
    return (
        f"answered and wrong {100 * least:.1f} % to {100 * worst.wrong.value:.1f} % of a source's tiles, "
        f"worst {worst.source}, {percent(worst.wrong)}, {worst.size}."
    )
