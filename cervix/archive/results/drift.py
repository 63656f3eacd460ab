"""How slides of one site or day lie from what the bundle was tested on, and from the rest of the run. The unit is the slide.

*Tiles not recognised* is held against the bundle's held-out tiles. *Class shares* are held against the rest of the run, because
the mix of held-out tiles was chosen for the test and is no archive's; theirs stands beside. *Quality* has no held-out figure at
all. A group is flagged by one rule, ``RULE``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cervix.archive.results.answers import TILES_PREFIX
from cervix.archive.results.summary import UNNAMED, mean_share, unrecognised_shares
from cervix.bundle.manifest import Model
from cervix.evaluation.drift import MATTERS
from cervix.intervals import Interval

SLIDES_AT_LEAST: Final = 10
"""Fewer slides of a group are told and not tested: a t test of bounded shares errs with fewer, and a scanner may send several
slides of one woman."""
FALSE_ALARMS: Final = 0.05
"""Expected share of false alarms among all that is flagged (Benjamini and Hochberg 1995, J R Stat Soc B 57:289-300)."""
NOT_SHOWN: Final = "not shown to differ"
RULE: Final = (
    f"Flagged: the mean is shown to lie more than {100 * MATTERS:.0f} percentage points from that beside it, by Welch's t test "
    f"of that minimum, with at most {100 * FALSE_ALARMS:.0f} % of false alarms expected among all that is flagged here "
    f"(Benjamini and Hochberg). Slides count, not tiles; fewer than {SLIDES_AT_LEAST} are not tested."
)
Flag = Literal["flagged", "not shown to differ", "too few slides to tell", "nothing to compare with"]
COLUMNS: Final = (
    "by", "group", "measure", "slides", "value", "low", "high", "held_out", "held_out_low", "held_out_high", "held_out_groups",
    "compared_with", "reference", "reference_n", "p_value", "adjusted_p", "flag",
)  # fmt: skip
"""Of ``drift_table``. Values are means over slides of a share of 0 to 1, with 95 % intervals."""
NOT_RECOGNISED: Final = "Tiles not recognised"
QUALITY: Final = "Slides with a warning of quality"
BUNDLE: Final = "held-out tiles"
REST: Final = "rest of the run"
GROUPED_BY: Final = ("site", "day")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """What the bundle's held-out tiles expect of one measure: the shares of their source groups."""

    groups: Floats
    """One a source group, 0 to 1."""

    @property
    def share(self) -> Interval:
        """Their mean; groups count, not tiles."""
        return mean_share(self.groups)


def held_out_shares(predictions: pd.DataFrame, model: Model) -> dict[str, HeldOut]:
    """Measure -> what held-out tiles expect of it. Empty where the predictions hold no novelty.

    Parameters
    ----------
    predictions : DataFrame
        ``cervix.evaluation.heldout.load_predictions`` of the run's bundle.
    """
    if "novelty" not in predictions:
        return {}
    told = predictions[[f"p_{name}" for name in model.class_ids]].to_numpy(np.float64)
    known = model.is_recognised(predictions["novelty"].to_numpy(np.float64), told)
    groups = predictions["group"].to_numpy()
    shares = {NOT_RECOGNISED: HeldOut(_by_group(~known, groups))}
    if known.any():
        top = told[known].argmax(axis=1)
        for place, item in enumerate(model.classes):
            shares[_class_measure(item.title)] = HeldOut(_by_group(top == place, groups[known]))
    return shares


def _by_group(which: NDArray[np.bool_], groups: NDArray[np.object_]) -> Floats:
    return np.asarray(pd.Series(which, dtype=float).groupby(groups).mean(), np.float64)


def _class_measure(title: str) -> str:
    return f"Tiles most like: {title}"


def slide_shares(done: pd.DataFrame, model: Model) -> dict[str, pd.Series]:
    """Measure -> share of each slide that has one, by the index of ``done`` (scored slides of ``answers_table``).

    A slide without an answer has no class shares.
    """
    shares = {NOT_RECOGNISED: unrecognised_shares(done)}
    counts = done.reindex(columns=[f"{TILES_PREFIX}{name}" for name in model.class_ids]).dropna()
    totals = counts.sum(axis=1).astype("float64")
    for item in model.classes:
        column = counts[f"{TILES_PREFIX}{item.id}"].astype("float64")[totals > 0]
        shares[_class_measure(item.title)] = column / totals[totals > 0]
    shares[QUALITY] = (done["quality"].fillna("") != "").astype("float64")
    return shares


def drift_table(done: pd.DataFrame, model: Model, held_out: dict[str, HeldOut]) -> pd.DataFrame:
    """One row a site or day and measure, with what is beside it and whether it is flagged (``RULE``).

    Parameters
    ----------
    done : DataFrame
        Scored slides of ``answers_table``.
    held_out : dict
        ``held_out_shares`` of the run's bundle.

    Returns
    -------
    DataFrame
        ``COLUMNS``; sites in alphabetical order, then days in order.
    """
    rows = [
        row
        for measure, shares in slide_shares(done, model).items()
        for by in GROUPED_BY
        for row in _rows_of(measure, shares, by, done[by].fillna("").replace("", UNNAMED)[shares.index], held_out.get(measure))
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    tested = table["p_value"].notna()
    table["adjusted_p"] = np.nan
    if tested.any():
        from scipy.stats import false_discovery_control  # slow to import

        table.loc[tested, "adjusted_p"] = false_discovery_control(table.loc[tested, "p_value"].to_numpy(np.float64))
    table.loc[tested, "flag"] = NOT_SHOWN
    table.loc[tested & (table["adjusted_p"] <= FALSE_ALARMS), "flag"] = "flagged"
    places = table["by"].map(GROUPED_BY.index)
    return table.assign(_by=places).sort_values(["_by", "group"], kind="stable").drop(columns="_by").reset_index(drop=True)


def _rows_of(
    measure: str, shares: pd.Series, by: str, groups: pd.Series, held_out: HeldOut | None
) -> Iterator[dict[str, object]]:
    values = shares.to_numpy(np.float64)
    names = groups.to_numpy(str)
    for group in np.unique(names):
        here = names == group
        own, rest = values[here], values[~here]
        with_bundle = measure == NOT_RECOGNISED
        reference = (held_out.groups if held_out is not None else np.empty(0)) if with_bundle else rest
        mean = mean_share(own)
        flag: Flag | None = None
        p_value = None
        if not len(reference):
            flag = "nothing to compare with"
        elif len(own) < SLIDES_AT_LEAST or len(reference) < SLIDES_AT_LEAST:
            flag = "too few slides to tell"
        else:
            p_value = _p_value(own, reference)
        expected = held_out.share if held_out is not None else None
        yield {
            "by": by,
            "group": group,
            "measure": measure,
            "slides": len(own),
            "value": mean.value,
            "low": mean.low,
            "high": mean.high,
            "held_out": None if expected is None else expected.value,
            "held_out_low": None if expected is None else expected.low,
            "held_out_high": None if expected is None else expected.high,
            "held_out_groups": 0 if held_out is None else len(held_out.groups),
            "compared_with": BUNDLE if with_bundle else REST,
            "reference": float(reference.mean()) if len(reference) else None,
            "reference_n": len(reference),
            "p_value": p_value,
            "flag": flag,
        }


def _p_value(own: Floats, reference: Floats) -> float:
    """Of a test that two means lie more than ``MATTERS`` apart: Welch's t against that distance.

    A minimum-effect test (Murphy and Myors 1999, J Appl Psychol 84:234-248): with thousands of slides a test against no
    difference at all would call every trifle, and sorting those out by size afterwards would undo the control of false alarms.
    """
    apart = abs(own.mean() - reference.mean())
    parts = np.array([own.var(ddof=1) / len(own), reference.var(ddof=1) / len(reference)])
    variance = parts.sum()
    if variance == 0:
        return float(apart <= MATTERS)
    freedom = variance**2 / (parts**2 / (np.array([len(own), len(reference)]) - 1)).sum()
    # Either mean may be the larger one: means that lie just so far apart come out as far the other way, too.
    return float(sum(stdtr(freedom, -(apart + minimum) / np.sqrt(variance)) for minimum in (-MATTERS, MATTERS)))
