"""The step for one woman: by published risks where her history is published, else by the model's; never against the rules."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.patients.completeness import RESTS_ON
from cervix.patients.diagnosis import KNOWN as KNOWN_DIAGNOSIS
from cervix.patients.diagnosis import TREATED as TREATED_BY
from cervix.patients.guideline.alike import Key, keys_of
from cervix.patients.guideline.course import Course, Visit, course_of, rounds_of, visits_of
from cervix.patients.guideline.ladder import (
    AT_ONCE_TASK,
    FIVE_YEAR_TASK,
    SOURCE,
    Rung,
    allowed,
    immediate_task,
    rung_of,
    sooner,
    why_no_ladder,
)
from cervix.patients.guideline.published import Found, PublishedTables, published_tables
from cervix.patients.guideline.rules import INCOMPLETE, KNOWN, NEAREST, Rule, age_at_last_visit, least_steps, why_not_her
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.vocabulary import PATIENT_ID

Scores: TypeAlias = Mapping[Hashable, Any]
Memory: TypeAlias = dict[Key, tuple[str, str, str]]
STEP, STEP_RESTS_ON, STEP_REASON = "guideline_step", "guideline_rests_on", "guideline_reason"
MODEL_ALONE: Final = "model (simulated women)"


@dataclass(frozen=True)
class ModelRisk:
    """The model's risk of CIN3+, 0..1: at once, or within 3 years where it states none at once, and within 5 years."""

    immediate: float
    five_year: float
    at_once: bool

    @property
    def words(self) -> str:
        when = "at once" if self.at_once else "within 3 years"
        return f"CIN3+ {self.immediate:.2%} {when}, {self.five_year:.2%} within 5 years"


@dataclass(frozen=True)
class Step:
    """What the guideline says of a woman, or why it says nothing.

    Attributes
    ----------
    action : str
        Empty where there is none.
    reason : str
        Why there is none, or what overrides the risk; empty otherwise.
    rule : Rule, optional
        The rule that says so.
    found : Found, optional
        Her row of the published tables, or the nearest.
    tables : bool
        Whether published tables were at hand.
    model : ModelRisk, optional
        None where the model may not be asked.
    """

    action: str
    reason: str = ""
    rule: Rule | None = None
    found: Found | None = None
    model: ModelRisk | None = None
    tables: bool = False

    @property
    def published(self) -> bool:
        """Whether the published risk stands first."""
        return bool(self.action) and self.found is not None and self.found.exact

    @property
    def rests_on(self) -> str:
        """Whose risk the step rests on; empty where there is none."""
        if not self.action:
            return ""
        return f"published (ASCCP 2019, {self.found.row.women:,.0f} women)" if self.found and self.published else MODEL_ALONE

    @property
    def headline(self) -> str:
        """The step in one sentence, or why there is none."""
        if not self.action:
            return f"No guideline step is shown: {self.reason}"
        lead = "For this history the guideline says" if self.published else "At these risks the ladder says"
        rule = f" (rule {self.rule.number}: {self.reason})" if self.rule else ""
        return f"{lead}: {self.action}{rule}."

    @property
    def lines(self) -> tuple[str, ...]:
        """What the step rests on, one fact a line, and the caveat that goes with every step."""
        if not self.action:
            return ()
        return (*self._published_lines(), *self._model_lines(), f"This is not advice. {SOURCE}.")

    @property
    def words(self) -> str:
        """For paper: all in one paragraph."""
        return " ".join((self.headline, *self.lines))

    def _published_lines(self) -> tuple[str, ...]:
        if self.found is None:
            near = "No published history is near hers: those are of women who were tested for HPV."
            return (near,) if self.tables else ()
        row = self.found.row
        horizons = [years for years in sorted(row.cin3) if years in (0, 5) or 0 not in row.cin3]
        risks = ", ".join(f"{row.cin3[years].words} {_WHEN[years]}" for years in horizons)
        told = f"CIN3+ {risks}" if risks else "no risk, for they are too few"
        if self.found.exact:
            return f"Her history is published: {row.words}.", f"Risk shown: {self.rests_on}: {told}."
        done = f" Management there: {row.management}." if row.management else ""
        return (
            f"Her history is not published. Nearest: {row.words}.{done}",
            f"Published there (ASCCP 2019, {row.women:,.0f} women): {told}.",
        )

    def _model_lines(self) -> tuple[str, ...]:
        if self.model is None:
            return ()
        instead = "" if self.published or self.model.at_once else " Its risk within 3 years stands in for the risk at once."
        lead = "Beside it" if self.published else "Risk shown"
        return (f"{lead}: {MODEL_ALONE}: {self.model.words}{self._distance()}.{instead}",)

    def _distance(self) -> str:
        """By how many times the model's risk within 5 years differs from the published."""
        risk = self.found.row.cin3.get(5) if self.found else None
        if self.model is None or risk is None or not risk.value or not self.model.five_year:
            return ""
        factor = self.model.five_year / risk.value
        return f", {max(factor, 1 / factor):.2g} times {'higher' if factor > 1 else 'lower'} than published"


_WHEN = {0: "at once", 1: "within 1 year", 3: "within 3 years", 5: "within 5 years"}


def step_for(
    visits: pd.DataFrame,
    scores: pd.Series,
    model: Model,
    published: PublishedTables | None = None,
    *,
    today: date | None = None,
) -> Step:
    """The step for one woman, or why there is none.

    Where her history is a row of the published tables, the published management is the step; else it is the ladder's at the
    model's risks. No step waits longer than the rules allow (``rules.RULES``), nor than the nearest published row.

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    scores : her row of ``score_visits``
    published : the tables that the bundle carries; None where it has none
    today : date, optional
        The day on which it is asked.
    """
    return _step(visits_of(visits), scores.to_dict(), model, published, today or date.today())


def step_columns(
    visits: pd.DataFrame,
    scores: pd.DataFrame,
    model: Model,
    published: PublishedTables | None = None,
    *,
    today: date | None = None,
    memory: Memory | None = None,
) -> pd.DataFrame:
    """The steps of many women as columns of text beside their scores.

    Parameters
    ----------
    visits : ``VisitTable.frame``
    scores : ``score_visits`` of it, all or some of its rows
    memory : dict, optional
        Steps of histories seen before, by this model, on this day; it grows by those that are new. For whoever reads many
        tables of many women.

    Returns
    -------
    DataFrame
        Index of ``scores``: ``guideline_step``, empty where there is none; ``guideline_rests_on``: published or model;
        ``guideline_reason``: why there is none, or the rule that overrides the risk.
    """
    day = today or date.today()
    memory = {} if memory is None else memory
    ids = visits[PATIENT_ID].to_numpy(object)
    first_of_all = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])[: len(ids)])
    women = pd.Index(ids[first_of_all]).get_indexer(scores[PATIENT_ID].to_numpy(object))
    first = first_of_all[women]
    lengths = np.diff(np.append(first_of_all, len(ids)))[women]
    keys = keys_of(visits, first, lengths, scores, model, day)
    new = _new(keys, memory)
    rows = np.concatenate([np.arange(first[at], first[at] + lengths[at]) for at in new]) if new else np.empty(0, np.int64)
    told = iter(visits_of(visits.iloc[rows]))
    for at, line in zip(new, scores.iloc[new].to_dict("records"), strict=True):
        step = _step([next(told) for _ in range(lengths[at])], line, model, published, day)
        reason = f"rule {step.rule.number}: {step.reason}" if step.rule else step.reason
        memory[keys[at]] = (step.action, step.rests_on, reason)
    columns = np.array([memory[key] for key in keys], object).reshape(-1, 3).T
    return pd.DataFrame(dict(zip((STEP, STEP_RESTS_ON, STEP_REASON), columns, strict=True)), index=scores.index)


def _new(keys: Sequence[Key], memory: Memory) -> list[int]:
    """The first place of each key that is not known yet."""
    found: dict[Key, int] = {}
    for at, key in enumerate(keys):
        if key not in memory:
            found.setdefault(key, at)
    return list(found.values())


def with_steps(
    scores: pd.DataFrame,
    visits: pd.DataFrame,
    bundle: Bundle,
    model: Model,
    *,
    today: date | None = None,
    memory: Memory | None = None,
) -> pd.DataFrame:
    """Scores of ``score_visits`` with the columns of ``step_columns``, as every export has them."""
    published = published_tables(bundle, model)
    return scores.join(step_columns(visits, scores, model, published, today=today, memory=memory))


def _step(visits: Sequence[Visit], scores: Scores, model: Model, published: PublishedTables | None, today: date) -> Step:
    treated = bool(scores.get(TREATED_BY))
    if scores.get(NO_ANSWER) and not treated:
        return Step("", str(scores[NO_ANSWER]), KNOWN if scores.get(KNOWN_DIAGNOSIS) else None)
    if scores.get(RESTS_ON):
        return Step("", f"the answer {_of_history(str(scores[RESTS_ON]))}. Correct the data first.", INCOMPLETE)
    course = course_of(rounds_of(visits))
    if withheld := why_not_her(list(visits), course, today=today):
        return Step("", *withheld)
    assert course is not None
    age = age_at_last_visit(list(visits))
    found = published.find(course, age) if published else None
    no_ladder = why_no_ladder(model)
    risk = None if no_ladder else _model_risk(scores, model, "after_treatment_" if treated else "risk_")
    pregnant = visits[-1].pregnant == "yes" if visits[-1].pregnant else None
    if found and found.exact:
        rung = allowed(found.row.rung, age=age, pregnant=pregnant)
    elif no_ladder:
        return Step("", no_ladder, found=found)  # the published risk may stand beside the model's all the same
    elif risk is None:
        return Step("", str(scores.get(NO_ANSWER)), KNOWN)
    elif course.standing == "after treatment" and published is None:
        return Step("", "after treatment the step rests on published risks, and this bundle has none.", NEAREST)
    else:
        rung = rung_of(risk.immediate, risk.five_year, age=age, pregnant=pregnant)
    return replace(_bounded(rung, course, found, risk), tables=published is not None)


def _bounded(rung: Rung, course: Course, found: Found | None, risk: ModelRisk | None) -> Step:
    """No longer than the rules allow, nor than the nearest published row."""
    least = least_steps(course)
    if found and not found.exact:
        row = found.row
        least.append((row.rung, NEAREST, f"the nearest published history waits no longer ({row.women:,.0f} women)"))
    rule, reason = None, ""
    for bound, by, why in least:
        if sooner(bound, rung) is not rung:
            rung, rule, reason = bound, by, why
    return Step(rung.action, reason, rule, found, risk)


def _model_risk(scores: Scores, model: Model, prefix: str) -> ModelRisk | None:
    task = immediate_task(model)
    immediate, five_year = (float(scores[f"{prefix}{name}"]) for name in (task, FIVE_YEAR_TASK))
    if np.isnan(immediate) or np.isnan(five_year):
        return None
    return ModelRisk(immediate, five_year, task == AT_ONCE_TASK)


def _of_history(rests_on: str) -> str:
    return rests_on if rests_on.startswith("rests on") else f"rests on an incomplete history ({rests_on})"
