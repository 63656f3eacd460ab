"""What else is known of the cohort's tumours: how often a gene is mutated or an HPV type found in each kind."""

from typing import Final, NamedTuple

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.tables import read_text_table
from cervix.errors import BundleError

TABLE: Final = "context"
FINDING, KIND, N, OF, SHARE, SOURCE = COLUMNS = ("gene or HPV type", "kind", "n", "of", "share", "source")


class Context(NamedTuple):
    """Frequencies of a cohort.

    Attributes
    ----------
    frame : DataFrame, a row a finding and a column a kind: ``9 of 44: 20.5 % (11.2–34.5)``
    said : how they were counted, and in what
    """

    frame: pd.DataFrame
    said: str


def context_of(bundle: Bundle, model: Model) -> Context | None:
    """The frequencies that a bundle brings beside its molecular model; None where it brings none.

    Raises
    ------
    BundleError
        If the table is not as the manifest lists it, or has other columns.
    """
    declared = next((table for table in model.tables if table.id == TABLE), None)
    if declared is None:
        return None
    frame = read_text_table(bundle.root, declared.file)
    if missing := set(COLUMNS) - set(frame.columns):
        raise BundleError(
            f"{declared.file} of the bundle is no table of frequencies", expected=", ".join(COLUMNS),
            found=f"without {', '.join(sorted(missing))}",
        )  # fmt: skip
    words = frame[N] + " of " + frame[OF] + ": " + frame[SHARE]
    wide = frame.assign(words=words).drop_duplicates([FINDING, KIND]).pivot(index=FINDING, columns=KIND, values="words")
    wide = wide.reindex(index=frame[FINDING].unique(), columns=frame[KIND].unique()).fillna("–").rename_axis(columns=None)
    return Context(wide, f"{declared.note} Source: {', '.join(frame[SOURCE].unique())}.")
