"""What a model makes of laboratories that it learned nothing from: the figure that counts for tiles from anywhere else.

It is measured in training, by models that each saw nothing of one laboratory, and comes as a table of the bundle.
"""

from collections.abc import Hashable

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import EvaluationTable
from cervix.errors import BundleError
from cervix.evaluation.heldout import load_table
from cervix.evaluation.metrics import METRICS

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


def left_out_table(model: Model) -> EvaluationTable | None:
    """The declared table of a model's left-out laboratories; None where nobody left one out."""
    return next((table for table in model.evaluation.tables if table.id == TABLE), None)


def other_tables(model: Model) -> list[EvaluationTable]:
    """All tables but that one, in the order of the manifest."""
    return [table for table in model.evaluation.tables if table.id != TABLE]


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


def verdict_of(table: pd.DataFrame) -> str:
    """The range of the AUROC and of what is answered and wrong, each with its worst source.

    Parameters
    ----------
    table : every cell text, with the columns ``SOURCE``, ``AUROC``, ``WRONG`` and ``SIZE``
    """
    try:
        rows = table[[SOURCE, AUROC, WRONG, SIZE]].to_dict("records")
        return f"Left-out laboratories: {_ranking([row for row in rows if row[AUROC] != NONE])}{_mistakes(rows)}"
    except (KeyError, ValueError, IndexError) as error:
        raise BundleError(
            "The table of left-out laboratories cannot be read",
            expected=f"columns {', '.join((SOURCE, AUROC, WRONG, SIZE))} with figures", found=str(error),
        ) from error  # fmt: skip


def _ranking(rows: list[dict[Hashable, str]]) -> str:
    if not rows:
        return ""
    rows = sorted(rows, key=lambda row: _value(row[AUROC]))
    worst, title = rows[0], METRICS["auroc"].title
    if len(rows) == 1:
        return f"{title} {worst[AUROC]} ({worst[SOURCE]}, {worst[SIZE]}); "
    return (
        f"{title} {_value(worst[AUROC]):.2f} to {_value(rows[-1][AUROC]):.2f}, worst {worst[SOURCE]}, {worst[AUROC]}, "
        f"{worst[SIZE]}; "
    )


def _mistakes(rows: list[dict[Hashable, str]]) -> str:
    rows = sorted(rows, key=lambda row: _value(row[WRONG]))
    worst = rows[-1]
    return (
        f"answered and wrong {_value(rows[0][WRONG]):.1f} % to {_value(worst[WRONG]):.1f} % of a source's tiles, "
        f"worst {worst[SOURCE]}, {worst[WRONG]}, {worst[SIZE]}."
    )


def _value(cell: str) -> float:
    """The figure before its interval."""
    return float(cell.split()[0])
