"""How far readers agree: kappa of each pair and of all, each reader beside the truth, and what they dispute."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa

from cervix.errors import EvaluationError
from cervix.evaluation.metrics import group_draws
from cervix.intervals import Interval, wilson_interval

UNSETTLED = "disputed"
FEW_CASES = 30
"""Of fewer cases the interval misses the true kappa more often than one time in twenty (simulated in the tests)."""
WIDE = 0.4
"""An interval of kappa of this width holds poor and good agreement alike."""


@dataclass(frozen=True)
class Kappa:
    """An agreement beyond chance with its 95 % interval.

    Attributes
    ----------
    interval : Interval
        1 is full agreement, 0 what chance gives. NaN throughout where every label is of one class: then chance alone
        agrees fully, and kappa does not exist.
    cases : int
        How many cases it was computed on.
    readers : int
        Labels of each case.
    agreed_share : float
        Share of pairs of labels that are the same, 0 to 1.
    """

    interval: Interval
    cases: int
    readers: int
    agreed_share: float

    @property
    def caution(self) -> str:
        """What a reader of the figure must know; empty where there is nothing."""
        value, low, high = self.interval
        if np.isnan(value):
            return "Every label is of one class, so chance alone would agree fully and kappa is not defined."
        if self.cases < FEW_CASES:
            return f"Based on {self.cases:,} cases only: too few to rely on the figure or its interval."
        if high - low >= WIDE:
            return f"The interval, {low:.2f} to {high:.2f}, is too wide to call agreement good or poor."
        return ""


def cohen_kappa(counts: NDArray[np.integer]) -> Kappa:
    """Cohen's kappa of two readers (Cohen 1960, Educ Psychol Meas 20:37-46), interval from the large-sample variance.

    The variance is that of Fleiss, Cohen and Everitt 1969 (Psychol Bull 72:323-327), as statsmodels has it; the interval
    that of ``_with_interval``.

    Parameters
    ----------
    counts : (classes, classes)
        Cases by the first reader's class and the second's.

    Raises
    ------
    EvaluationError
        If there is no case.
    """
    table = np.asarray(counts, float)
    if not table.sum():
        raise EvaluationError("The two readers have no case in common", expected="at least one", found="none")
    shared = float(np.trace(table) / table.sum())
    if _one_class(table.sum(axis=0) + table.sum(axis=1)):
        return Kappa(Interval(np.nan, np.nan, np.nan), int(table.sum()), 2, shared)
    with np.errstate(invalid="ignore"):  # a test that is not asked for divides by a variance that can be 0
        result = cohens_kappa(table)
    by_chance = float((table.sum(axis=0) * table.sum(axis=1)).sum() / table.sum() ** 2)
    return Kappa(_with_interval(shared, by_chance, float(result.std_kappa), int(table.sum())), int(table.sum()), 2, shared)


def fleiss_kappa_of(counts: NDArray[np.integer]) -> Kappa:
    """Fleiss' kappa of several readers (Fleiss 1971, Psychol Bull 76:378-382), interval from a bootstrap's variance.

    Parameters
    ----------
    counts : (cases, classes)
        How many labels of each class a case has; every case has equally many, at least two.

    Raises
    ------
    EvaluationError
        If cases have unequally many labels, fewer than two, or there is none.
    """
    table = np.asarray(counts, float)
    labels = table.sum(axis=1)
    if not len(table) or labels[0] < 2 or (labels != labels[0]).any():
        raise EvaluationError(
            "Fleiss' kappa needs equally many labels of each case", expected="two or more of each", found="other"
        )
    agreed = ((table**2).sum(axis=1) - labels) / (labels * (labels - 1))
    shape = (len(table), int(labels[0]), float(agreed.mean()))
    if _one_class(table.sum(axis=0)):
        return Kappa(Interval(np.nan, np.nan, np.nan), *shape)
    weights = group_draws(len(table)).T.astype(np.float32)
    observed = weights @ agreed / len(table)
    by_chance = ((weights @ table / table.sum()) ** 2).sum(axis=1)
    drawn = np.divide(observed - by_chance, 1 - by_chance, out=np.full(len(weights), np.nan), where=by_chance < 1)
    expected = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    return Kappa(_with_interval(float(agreed.mean()), expected, float(np.nanstd(drawn)), len(table)), *shape)


def _with_interval(agreed: float, by_chance: float, deviation: float, cases: int) -> Interval:
    """Kappa with Wilson's interval of the agreement, at the number of cases that gives it the variance of kappa, and no more
    than there are.

    An interval that is symmetric around kappa has no width at full agreement and misses the true value twice as often as it
    may where kappa is high. Wilson's does neither, and its agreement is turned into kappa as the agreement itself is.

    Parameters
    ----------
    agreed, by_chance : share of pairs of labels that agree, and that would by chance
    deviation : standard deviation of kappa; 0 or NaN where the cases tell none
    """
    room = 1 - by_chance
    alike = agreed * (1 - agreed)
    size = min(cases, alike / (room * deviation) ** 2) if alike > 0 and deviation > 0 else cases
    share = wilson_interval(agreed * cases, cases, effective_n=size)
    # No kappa lies below -1; where chance agrees often, a share of few cases would say so.
    return Interval(*(max(-1.0, (value - by_chance) / room) for value in share))


def pairs(reads: pd.DataFrame) -> pd.DataFrame:
    """Cohen's kappa of each pair of readers on the cases that both labelled.

    Parameters
    ----------
    reads : as ``LabelStore.reads`` gives it, of one kind of case

    Returns
    -------
    DataFrame
        ``first, second, cases, agreed_share, kappa, low, high, caution``, one row a pair with a case in common, the most
        cases first.
    """
    wide = _wide(reads)
    classes = sorted(set(reads["label"].dropna()))
    rows = []
    for first, second in combinations(wide.columns, 2):
        both = wide[[first, second]].dropna()
        if len(both):
            found = cohen_kappa(_crossed(both[first], both[second], classes))
            rows.append((first, second, found.cases, found.agreed_share, *found.interval, found.caution))
    table = pd.DataFrame(rows, columns=["first", "second", "cases", "agreed_share", "kappa", "low", "high", "caution"])
    return table.sort_values("cases", ascending=False, kind="stable", ignore_index=True)


def all_readers(reads: pd.DataFrame) -> Kappa | None:
    """Fleiss' kappa on the cases with the most common number of labels, two or more; None where no case has two.

    Fleiss' kappa compares cases with equally many labels; the readers may differ from case to case. Of numbers equally
    common, the larger is taken.
    """
    counts = _equally_many(reads)
    return None if counts is None else fleiss_kappa_of(counts)


def agreement_of_all(reads: pd.DataFrame) -> float | None:
    """The figure of ``all_readers`` without its interval, at once; NaN where kappa does not exist."""
    counts = _equally_many(reads)
    if counts is None:
        return None
    labels = counts[0].sum()
    agreed = float(((counts**2).sum(axis=1) - labels).mean() / (labels * (labels - 1)))
    by_chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return np.nan if _one_class(counts.sum(axis=0)) else (agreed - by_chance) / (1 - by_chance)


def readers(reads: pd.DataFrame, truths: pd.DataFrame) -> pd.DataFrame:
    """What each reader did, how fast, and how often it is what counts.

    Returns
    -------
    DataFrame
        One row a reader: ``labels, unsure, unusable, skipped, seconds_median, per_hour`` (at the median pace), and on the
        cases with two reads or more that have a truth ``compared, right_share, low, high`` (Wilson; NaN where there are none).
    """
    known = truths[(truths["reads"] >= 2) & truths["label"].notna()].set_index("case_id")["label"]
    rows = []
    for reader, own in reads.groupby("reader"):
        actions = own["action"].value_counts()
        seconds = own.loc[own["action"] != "skip", "seconds_taken"].dropna().astype(float)
        pace = float(seconds.median()) if len(seconds) else np.nan
        labelled = own[(own["action"] == "label") & own["case_id"].isin(known.index)]
        right = int((labelled["label"].to_numpy() == labelled["case_id"].map(known).to_numpy()).sum())
        share = wilson_interval(right, len(labelled)) if len(labelled) else Interval(np.nan, np.nan, np.nan)
        rows.append(
            {
                "reader": reader,
                "labels": int(actions.get("label", 0)),
                "unsure": int(actions.get("unsure", 0)),
                "unusable": int(actions.get("unusable", 0)),
                "skipped": int(actions.get("skip", 0)),
                "seconds_median": pace,
                "per_hour": 3600 / pace if pace > 0 else np.nan,
                "compared": len(labelled),
                "right_share": share.value,
                "low": share.low,
                "high": share.high,
            }
        )
    columns = (
        "reader", "labels", "unsure", "unusable", "skipped", "seconds_median", "per_hour", "compared", "right_share",
        "low", "high",
    )  # fmt: skip
    return pd.DataFrame(rows, columns=list(columns))


def disputed(reads: pd.DataFrame, truths: pd.DataFrame) -> pd.DataFrame:
    """Cases to adjudicate: ``case_id`` and a column a reader with what they said; the most recently read first."""
    open_cases = truths[truths["status"] == UNSETTLED].sort_values("last_event_id", ascending=False)["case_id"]
    said = reads[reads["case_id"].isin(open_cases) & (reads["action"] != "skip")]
    said = said.assign(said=said["label"].where(said["action"] == "label", said["action"]))
    wide = said.pivot(index="case_id", columns="reader", values="said").reindex(open_cases)
    wide.columns.name = None
    return wide.reset_index()


@dataclass(frozen=True)
class Settled:
    """The adjudication of a case that counts; ``label`` is None where it is settled as unusable."""

    event_id: int
    reader: str
    label: str | None


def who_said(history: pd.DataFrame) -> pd.DataFrame:
    """The last standing answer of each reader to one case, skips apart.

    Parameters
    ----------
    history : as ``LabelStore.case_history`` gives it
    """
    standing = history[history["stands"] & (history["action"] != "adjudicate")]
    last = standing.drop_duplicates("reader", keep="last")
    return last[last["action"] != "skip"]


def settled_by(history: pd.DataFrame) -> Settled | None:
    """The adjudication that counts; None where the case is not settled."""
    decisions = history[history["stands"] & (history["action"] == "adjudicate")]
    if decisions.empty:
        return None
    last = decisions.iloc[-1]
    return Settled(int(last["event_id"]), str(last["reader"]), last["label"] if isinstance(last["label"], str) else None)


def said_counts(disputes: pd.DataFrame) -> dict[str, Counter[str]]:
    """How many readers said what, by case, of the table that ``disputed`` makes; in its order, without names."""
    rows = disputes.set_index("case_id").to_dict("index")
    return {str(case): Counter(str(said) for said in row.values() if isinstance(said, str)) for case, row in rows.items()}


def blinded_names(case_id: str, names: Collection[str]) -> dict[str, str]:
    """Reader -> "Reader 1", "Reader 2", …, in an order that differs from case to case and tells nothing."""
    shuffled = sorted(names, key=lambda name: hashlib.sha256(f"{case_id} {name}".encode()).digest())
    return {name: f"Reader {number}" for number, name in enumerate(shuffled, start=1)}


def _equally_many(reads: pd.DataFrame) -> NDArray[np.int64] | None:
    """Labels by case and class ``(cases, classes)`` of the cases with the most common number of labels from two on."""
    labelled = reads[reads["action"] == "label"]
    counts = pd.crosstab(labelled["case_id"], labelled["label"])
    size = counts.sum(axis=1)
    if not (size >= 2).any():
        return None
    common = size[size >= 2].value_counts()
    chosen = max(common[common == common.max()].index)
    table: NDArray[np.int64] = counts[size == chosen].to_numpy(np.int64)
    return table


def _wide(reads: pd.DataFrame) -> pd.DataFrame:
    """One row a case, one column a reader, the label or None."""
    labelled = reads[reads["action"] == "label"]
    return labelled.pivot(index="case_id", columns="reader", values="label")


def _crossed(first: pd.Series, second: pd.Series, classes: list[str]) -> NDArray[np.int64]:
    table = pd.crosstab(first, second).reindex(index=classes, columns=classes, fill_value=0)
    return table.to_numpy(np.int64)


def _one_class(totals: NDArray[np.floating]) -> bool:
    return int(np.count_nonzero(totals)) < 2
