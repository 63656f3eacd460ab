"""The table of published risks: what was found in real women with a history, and what the model says of that history.

One row a published history. NCI/ASCCP 2019 risk tables: women of Kaiser Permanente Northern California, 2003 to 2017, aged 25
to 65 (Egemen et al. 2020, J Low Genit Tract Dis 24:132-143; Perkins et al. 2020, 24:102-131).
"""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.bundle.loading import read_listed
from cervix.bundle.tables import text_table_in
from cervix.errors import BundleError

YEARS = (0, 1, 3, 5)
"""Horizons of the published risks in years; 0 is at once."""
GRADES = ("cin3", "cin2")
"""CIN3+ and CIN2+; decisions are made by the first."""
CURRENT, NEGATIVE_ROUND, SURVEILLANCE, COLPOSCOPY, TREATMENT = KINDS = (
    "current test", "after a negative round", "surveillance", "after colposcopy", "after treatment",
)  # fmt: skip
TEXTS = ("history", "hpv", "cytology", "kind", "management", "model_step")
_FORMS = ("published_{}_{}", "published_{}_{}_low", "published_{}_{}_high", "model_{}_{}")
PUBLISHED, LOW, HIGH, MODEL = (tuple(form.format(*risk) for risk in product(GRADES, YEARS)) for form in _FORMS)
PLAIN = r"[\w ,/|+-]{0,80}"
"""What a history is written in: no markup, which charts and pages would obey."""
RIVALS = {"boosting": "Gradient boosting", "logistic": "Logistic regression"}
"""Simpler models of the same cohort; their columns may be absent, and are of some risks only."""


def read_published_risks(root: Path, name: str) -> pd.DataFrame:
    """``published_risks_in`` of a file of a bundle, as its manifest lists it."""
    return published_risks_in(read_listed(root, name), name)


def published_risks_in(content: bytes, name: str) -> pd.DataFrame:
    """The table of a bundle.

    Returns
    -------
    DataFrame
        ``table`` int; ``history, hpv, cytology, kind, management, model_step`` text, empty where there is none; ``guides``
        bool, whether the row was allowed to guide the simulator; ``women`` float, how many the published risk rests on; risks
        float in 0..1, NaN where there is none: ``published_cin3_5`` with ``_low`` and ``_high`` (95 % interval),
        ``model_cin3_5``, ``boosting_cin3_5`` and so on, by ``GRADES`` and ``YEARS``.

    Raises
    ------
    BundleError
        Where the file is not such a table.
    """
    cells = text_table_in(content, name)
    rivals = [f"{rival}_{grade}_{years}" for rival, grade, years in product(RIVALS, GRADES, YEARS)]
    wanted = ["table", "women", "guides", *TEXTS, *PUBLISHED, *LOW, *HIGH, *MODEL]
    if missing := [column for column in wanted if column not in cells]:
        raise _not_such_a_table(name, f"the columns {', '.join(wanted)}", f"none named {', '.join(missing)}")
    risks = [*PUBLISHED, *LOW, *HIGH, *MODEL, *(column for column in rivals if column in cells)]
    try:
        frame = pd.DataFrame(
            {"table": cells["table"].astype(int), "women": cells["women"].astype(float)}
            | {column: cells[column] for column in TEXTS}
            | {column: cells[column].replace("", "nan").astype(float) for column in risks}
        )
    except ValueError as error:
        raise _not_such_a_table(name, "numbers in the columns of risks and women", str(error)) from error
    return _checked(name, frame.assign(guides=cells["guides"] == "yes"), cells["guides"], risks)


def _checked(name: str, frame: pd.DataFrame, guides: pd.Series, risks: list[str]) -> pd.DataFrame:
    values = frame[risks].to_numpy()
    low, value, high = (frame[list(columns)].to_numpy() for columns in (LOW, PUBLISHED, HIGH))
    if frame.empty:
        raise _not_such_a_table(name, "one row a history", "no row")
    if not (plain := frame[["history", "hpv", "cytology"]].stack().str.fullmatch(PLAIN)).all():
        raise _not_such_a_table(
            name, "histories of letters, digits and , / | + -", f"another character in row {plain.argmin() // 3 + 1}"
        )
    if unknown := sorted(set(frame["kind"]) - set(KINDS)):
        raise _not_such_a_table(name, f"kinds {', '.join(KINDS)}", ", ".join(unknown))
    if unknown := sorted(set(guides) - {"yes", "no"}):
        raise _not_such_a_table(name, "yes or no under guides", ", ".join(unknown))
    if not (np.isfinite(frame["women"]) & (frame["women"] > 0)).all():
        raise _not_such_a_table(name, "a number of women in every row", "a row without")
    if ((values < 0) | (values > 1)).any():
        raise _not_such_a_table(name, "risks from 0 to 1", f"{np.nanmin(values):g} to {np.nanmax(values):g}")
    if ((low > value) | (value > high)).any():
        raise _not_such_a_table(name, "every published risk within its own interval", "one outside")
    return frame


def _not_such_a_table(name: str, expected: str, found: str) -> BundleError:
    return BundleError(f"{name} is not a table of published risks", expected=expected, found=found)
