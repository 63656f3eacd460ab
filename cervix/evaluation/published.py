"""The model against published risks of real women: the one yardstick of a simulated cohort that is not of its own making.

A published history counts where its risk is known well enough (``is_scored``). Those that guided the simulator are told apart
from those that did not: only the second say what the model is worth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model
from cervix.bundle.published_risks import (
    COLPOSCOPY,
    CURRENT,
    KINDS,
    NEGATIVE_ROUND,
    RIVALS,
    SURVEILLANCE,
    TREATMENT,
    read_published_risks,
)
from cervix.errors import BundleError
from cervix.evaluation.comparison import percent
from cervix.evaluation.metrics import group_draws, percentile_interval
from cervix.intervals import Interval, wilson_interval
from cervix.patients.guideline import LADDER

HEADING = "Against published risks of real women"
SOURCE = (
    "Published, real women: Kaiser Permanente Northern California, 2003 to 2017, aged 25 to 65. Egemen et al. 2020, J Low "
    "Genit Tract Dis 24:132-143; Perkins et al. 2020, 24:102-131. The risk estimates are in the public domain in the United "
    "States."
)
DEFAULT = ("cin3", 5)
"""The risk that the verdict is of: the one by which most women are sent home."""
SCORED_WITHIN = 2.0
"""A published risk counts where its own 95 % interval lies within this factor of it, to either side."""
CLOSE, NEAR = FACTORS = (1.5, 2.0)
"""How many times too high or too low the model may be and is still called near."""
FEWEST_CELLS = 4
"""Fewer cells have no rank correlation worth an interval."""
MANAGEMENTS = tuple(rung.management for rung in LADDER)
"""Published managements, the soonest first: each is a step of ``LADDER`` under another name."""
_EARLIER = {
    NEGATIVE_ROUND: "after",
    SURVEILLANCE: "after",
    COLPOSCOPY: "after colposcopy below CIN2, referred for",
    TREATMENT: "after treatment of",
}
THIS_MODEL = "This model"
ALL_KINDS, ALL_ROWS, REPORTING, GUIDING = "all histories", "all", "did not guide", "guided"
_STEPS = {action: at for at, action in enumerate(rung.action for rung in LADDER)}
_PUBLISHED_STEPS = {rung.management: rung.action for rung in LADDER}


@dataclass(frozen=True)
class Agreement:
    """How near a model comes to the published risks of some histories, those alone that are scored.

    Attributes
    ----------
    kind, rows, source : str
        Which histories, whether they guided the simulator, and which model.
    cells : int
        Histories that are compared.
    women : float
        Women that their published risks rest on; who is in two rows counts twice.
    spearman : Interval or None
        Rank correlation with its bootstrap interval over histories; None where there are too few, or all are alike.
    within : factor -> Interval
        Share of histories in which the model is at most that many times too high or too low (Wilson).
    within_by_women : factor -> float
        The same share, each history weighing as many women as it has.
    factor : float
        Median over histories of how many times too high or too low.
    ratio : float
        Median of model over published: above 1, the model is too high.
    """

    kind: str
    rows: str
    source: str
    cells: int
    women: float
    spearman: Interval | None
    within: dict[float, Interval]
    within_by_women: dict[float, float]
    factor: float
    ratio: float


@dataclass(frozen=True)
class StepAgreement:
    """The model's own step of the ladder beside the published management.

    Attributes
    ----------
    same : Interval
        Share of histories in which they are the same (Wilson).
    milder : int
        In how many histories the model's step is further down the ladder: a longer wait, or no treatment yet.
    differing : DataFrame
        ``history, women, published, model, milder, guides``: one row a history in which they differ, the milder first.
    """

    histories: int
    same: Interval
    milder: int
    differing: pd.DataFrame


def is_scored(value: NDArray[np.floating], low: NDArray[np.floating], high: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether published risks ``(n,)`` are known well enough to hold a model against: above 0, each with its 95 % interval
    within a factor of ``SCORED_WITHIN`` to either side. One without an interval is not."""
    return np.asarray((value > 0) & (high <= SCORED_WITHIN * value) & (low >= value / SCORED_WITHIN))


def published_risks(bundle: Bundle, model: Model) -> pd.DataFrame | None:
    """A model's table, read once a process; None where it has none. ``BundleError`` where it is not one."""
    name = model.evaluation.published_risks if model.evaluation else None
    return None if name is None else _table(bundle.root, bundle.sha256, name)


@lru_cache(maxsize=4)
def _table(root: Path, _sha256: str, name: str) -> pd.DataFrame:
    frame = read_published_risks(root, name)
    if unknown := sorted(set(frame["model_step"]) - {*_STEPS, ""}):
        raise BundleError(f"{name} has steps of no ladder", expected=", ".join(_STEPS), found=", ".join(unknown))
    if unknown := sorted(set(frame["management"]) - {*MANAGEMENTS, ""}):
        raise BundleError(f"{name} has managements of no step", expected=", ".join(MANAGEMENTS), found=", ".join(unknown))
    return frame


def risk_title(grade: str, years: int) -> str:
    """``CIN3+ within 5 years``."""
    when = f"within {years} year{'s' if years > 1 else ''}" if years else "at once"
    return f"{grade.upper()}+ {when}"


def women_screened(frame: pd.DataFrame) -> float:
    """All women of the tables, each once: those of the current test without earlier rounds, by HPV result and smear."""
    once = (frame["kind"] == CURRENT) & frame["hpv"].isin(["HPV-negative", "HPV-positive"]) & (frame["cytology"] != "ALL")
    return float(frame.loc[once, "women"].sum())


def cells_of(frame: pd.DataFrame, grade: str, years: int) -> pd.DataFrame:
    """The histories of which both a published risk and the model's is there.

    Returns
    -------
    DataFrame
        ``history`` in words, ``kind, guides, women``, ``published, low, high, model`` and the rivals' risks 0..1, ``scored``,
        ``ratio`` (model over published) and ``factor`` (how many times too high or too low, 1 or more); both NaN where the
        published risk is 0.
    """
    risk = f"{grade}_{years}"
    columns = {"published": f"published_{risk}", "low": f"published_{risk}_low", "high": f"published_{risk}_high"}
    columns |= {"model": f"model_{risk}"} | {rival: f"{rival}_{risk}" for rival in RIVALS if f"{rival}_{risk}" in frame}
    cells = frame[["kind", "guides", "women"]].assign(
        history=[_in_words(*row) for row in frame[["kind", "history", "hpv", "cytology"]].itertuples(index=False)],
        **{name: frame[column] for name, column in columns.items()},
    )
    cells = cells[cells["published"].notna() & cells["model"].notna()]
    ratio = _ratio(cells["model"], cells["published"])
    scored = is_scored(*(cells[name].to_numpy() for name in ("published", "low", "high")))
    return cells.assign(scored=scored, ratio=ratio, factor=_factor(ratio)).reset_index(drop=True)


def agreement(frame: pd.DataFrame, grade: str, years: int) -> list[Agreement]:
    """All histories, those that did not guide the simulator first, with the rivals on the same ones; then kind by kind."""
    scored = _scored(frame, grade, years)
    by_kind = (found for kind in KINDS for found in _of_kind(scored[scored["kind"] == kind], kind, {"model": THIS_MODEL}))
    return [*_of_kind(scored, ALL_KINDS, _sources(scored)), *by_kind]


def leading_agreement(frame: pd.DataFrame, grade: str, years: int) -> list[Agreement]:
    """The model, then its rivals, in all histories that did not guide the simulator; where all did, in those; empty where none
    is scored."""
    scored = _scored(frame, grade, years)
    for _, found in groupby(_of_kind(scored, ALL_KINDS, _sources(scored)), key=lambda item: item.rows):
        return list(found)
    return []


def worst_cells(frame: pd.DataFrame, grade: str, years: int, count: int = 10) -> pd.DataFrame:
    """The scored histories of which the model is farthest from what is published, the farthest first; as ``cells_of``."""
    return _scored(frame, grade, years).nlargest(count, "factor")


def step_agreement(frame: pd.DataFrame) -> StepAgreement | None:
    """The model's step, by its risks alone, beside the published management; None where no row has both."""
    both = frame[(frame["management"] != "") & (frame["model_step"] != "")]
    if both.empty:
        return None
    published = both["management"].map(_PUBLISHED_STEPS)
    told = pd.DataFrame(
        {
            "history": [_in_words(*row) for row in both[["kind", "history", "hpv", "cytology"]].itertuples(index=False)],
            "women": both["women"], "published": published, "model": both["model_step"],
            "milder": both["model_step"].map(_STEPS) > published.map(_STEPS), "guides": both["guides"],
        }
    )  # fmt: skip
    differing = told[told["published"] != told["model"]].sort_values(["milder", "women"], ascending=False)
    same = wilson_interval(len(told) - len(differing), len(told))
    return StepAgreement(len(told), same, int(told["milder"].sum()), differing.reset_index(drop=True))


def verdict(frame: pd.DataFrame) -> str:
    """What the table comes to for ``DEFAULT``, in a sentence: how near, to how many, beside the rivals; the worst by name."""
    title, women = risk_title(*DEFAULT), women_screened(frame)
    found = leading_agreement(frame, *DEFAULT)
    if not found:
        return f"No published risk of {title} is known well enough to hold the model against."
    model, *rivals = found
    worst = worst_cells(frame[frame["guides"] == (model.rows == GUIDING)], *DEFAULT, count=1).iloc[0]
    beside = ", ".join(f"{item.source.lower()} in {percent(item.within[NEAR])}" for item in rivals)
    return (
        f"Against published risks of {f'{women / 1e6:.1f} million ' if women else ''}real women ({title}) the model is within "
        f"a factor of {NEAR:g} in {percent(model.within[NEAR])} of the {model.cells} histories that {model.rows} the simulator"
        f"{f' ({beside})' if beside else ''}, in half of them within {model.factor:.2g}; worst: {worst['history']}, published "
        f"{share(worst['published'])}, model {share(worst['model'])} ({worst['women']:,.0f} women)."
    )


def step_verdict(found: StepAgreement) -> str:
    """How often the model's step is the published one, and how often it is milder, in one sentence."""
    return (
        f"The step by the model's own risks is the published management in {percent(found.same)} of {found.histories} "
        f"histories, and milder in {found.milder}."
    )


def share(risk: float) -> str:
    """A risk in per cent with two figures that say something: ``0.035 %``, ``4.8 %``, ``53 %``."""
    return f"{100 * risk:.2g} %" if risk < 0.995 else "100 %"


def share_within(value: float, low: float, high: float) -> str:
    """A risk with its interval: ``4.8 % (4.6–5.0)``; alone where it has none."""
    if np.isnan(low) or np.isnan(high):
        return share(value)
    return f"{share(value)} ({share(low).removesuffix(' %')}–{share(high).removesuffix(' %')})"


def _in_words(kind: str, history: str, hpv: str, cytology: str) -> str:
    """``after treatment of CIN 2 or 3; now HPV-negative, NILM``."""
    now = ", ".join(filter(None, (hpv, "any cytology" if cytology == "ALL" else cytology)))
    return f"{_EARLIER[kind]} {history.replace(' | ', ', then ')}; now {now}" if kind in _EARLIER else now


def _scored(frame: pd.DataFrame, grade: str, years: int) -> pd.DataFrame:
    cells = cells_of(frame, grade, years)
    return cells[cells["scored"]]


def _sources(cells: pd.DataFrame) -> dict[str, str]:
    """Column of risks -> whose they are."""
    return {"model": THIS_MODEL} | {rival: title for rival, title in RIVALS.items() if rival in cells}


def _of_kind(scored: pd.DataFrame, kind: str, sources: dict[str, str]) -> Iterator[Agreement]:
    """Histories that did not guide, that did, and both where there are both."""
    parts = {REPORTING: scored[~scored["guides"]], GUIDING: scored[scored["guides"]]}
    parts = {rows: part for rows, part in parts.items() if len(part)}
    if len(parts) > 1:
        parts[ALL_ROWS] = scored
    for rows, part in parts.items():
        for source, title in sources.items():
            # Rivals once, beside the part that is read first.
            if (source == "model" or rows == next(iter(parts))) and len(known := part[part[source].notna()]):
                yield _agreement(known, source, kind, rows, title)


def _agreement(cells: pd.DataFrame, source: str, kind: str, rows: str, title: str) -> Agreement:
    ratio = _ratio(cells[source], cells["published"])
    factor, women = _factor(ratio), cells["women"].to_numpy()
    return Agreement(
        kind, rows, title, len(cells), float(women.sum()),
        spearman(cells["published"].to_numpy(), cells[source].to_numpy()),
        {limit: wilson_interval(int((factor <= limit).sum()), len(cells)) for limit in FACTORS},
        {limit: float(women[factor <= limit].sum() / women.sum()) for limit in FACTORS},
        float(np.median(factor)), float(np.median(ratio)),
    )  # fmt: skip


def spearman(published: NDArray[np.floating], told: NDArray[np.floating]) -> Interval | None:
    """Rank correlation of two ``(n,)`` with its percentile interval over 1,000 draws of cells; None where it has no meaning."""
    if len(published) < FEWEST_CELLS or min(np.ptp(published), np.ptp(told)) == 0:
        return None
    from scipy.stats import rankdata  # slow to import

    cells = np.arange(len(published))
    drawn = np.array([np.repeat(cells, times) for times in group_draws(len(cells)).T])
    replicates = _correlation(rankdata(published[drawn], axis=1), rankdata(told[drawn], axis=1))
    value = _correlation(rankdata(published[None], axis=1), rankdata(told[None], axis=1))[0]
    return percentile_interval(float(value), replicates, np.isfinite(replicates).astype(float))


def _correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    """Pearson's, row by row of two ``(rows, n)``; NaN where a row is all alike."""
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    products = (first * second).sum(axis=1)
    return np.asarray(np.divide(products, spread, out=np.full(len(spread), np.nan), where=spread > 0))


def _ratio(told: pd.Series, published: pd.Series) -> NDArray[np.floating]:
    """Model over published; NaN where the published risk is 0."""
    return np.asarray((told / published.where(published > 0)).to_numpy(float))


def _factor(ratio: NDArray[np.floating]) -> NDArray[np.floating]:
    """How many times too high or too low; infinite where the model says 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(ratio, 1 / ratio))
