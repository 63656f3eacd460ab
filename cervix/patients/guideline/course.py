"""A woman's visits as the published tables see them: rounds of tests, and where she stands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from cervix.patients.codes import CODES
from cervix.patients.diagnosis import PRECANCER, TREATMENTS
from cervix.patients.sequences import DAYS_A_YEAR, EPISODE_DAYS, TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, VISIT_DATE

POSITIVE, NEGATIVE = "positive", "negative"
NILM, ASC_US, LSIL, AGC, ASC_H, HSIL = SMEARS = ("NILM", "ASC-US", "LSIL", "AGC", "ASC-H", "HSIL+")
"""Smears as the tables call them, the mildest first."""
LOW_GRADE, HIGH_GRADE = "ASC-US/LSIL", "High Grade"
GROUPS: Final = {ASC_US: LOW_GRADE, LSIL: LOW_GRADE, AGC: HIGH_GRADE, ASC_H: HIGH_GRADE, HSIL: HIGH_GRADE}
SMEAR_OF: Final = {
    "NILM": NILM, "ASC-US": ASC_US, "LSIL": LSIL, "AGC": AGC, "AGC-FN": AGC, "ASC-H": ASC_H, "HSIL": HSIL, "AIS": HSIL,
    "ADC": HSIL, "SCC": HSIL,
}  # fmt: skip
"""Code of the visit table -> smear of the tables; an unsatisfactory one is none."""
LESS_THAN_CIN2: Final = CODES["histology"].named(lambda code: code.cin == (0, 1))
ABNORMAL: Final = CODES["colposcopy"].named(lambda code: code.is_abnormal)
TREATED_CIN: Final = tuple(name for name in PRECANCER if name != "AIS")
"""What the table after treatment is of; AIS is not in it."""


class Visit(NamedTuple):
    """One row of ``VisitTable.frame``, as far as the guideline asks; empty where not known."""

    day: date | None
    years: float
    age: float
    cytology: str
    hpv_result: str
    hpv_16: str
    hpv_18: str
    colposcopy: str
    histology: str
    treatment: str
    pregnant: str
    hiv: str
    immunosuppressed: str


def visits_of(frame: pd.DataFrame) -> list[Visit]:
    """The rows of ``VisitTable.frame``, of one woman or of many, in their order."""
    days = [None if np.isnat(day) else day.item() for day in frame[VISIT_DATE].to_numpy("datetime64[D]")]
    numbers = (frame[name].to_numpy(np.float64).tolist() for name in (TIME_YEARS, AGE))
    codes = (frame[name].astype(object).where(frame[name].notna(), "").tolist() for name in Visit._fields[3:])
    return [Visit(*row) for row in zip(days, *numbers, *codes, strict=True)]


@dataclass(frozen=True)
class Round:
    """What was found at one round: an episode, and what followed from it.

    Attributes
    ----------
    hpv, hpv_16, hpv_18 : str
        "positive", "negative" or empty.
    smear : str
        Gravest of ``SMEARS``; empty where there was none that could be read.
    without_result : bool
        Whether an unsatisfactory smear has no readable one beside it, or an invalid HPV test no result at all.
    colposcopy : bool
        Whether colposcopy or biopsy was done.
    histology : str
        "benign" or "CIN1" where a biopsy found less than CIN2 and nothing more; empty where there was none.
    cleared : bool
        Whether colposcopy found less than CIN2: by biopsy, or a normal one without.
    suspected : bool
        Whether colposcopy looked abnormal and there was no biopsy.
    lesion : bool
        Whether a biopsy proved CIN2 or CIN3.
    treated : bool
    """

    hpv: str = ""
    hpv_16: str = ""
    hpv_18: str = ""
    smear: str = ""
    without_result: bool = False
    colposcopy: bool = False
    histology: str = ""
    cleared: bool = False
    suspected: bool = False
    lesion: bool = False
    treated: bool = False

    @property
    def negative(self) -> bool:
        """A negative HPV test with nothing against it."""
        return self.hpv == NEGATIVE and self.smear in ("", NILM)

    @property
    def cotest_negative(self) -> bool:
        return self.hpv == NEGATIVE and self.smear == NILM

    @property
    def high_grade(self) -> bool:
        return GROUPS.get(self.smear) == HIGH_GRADE

    @property
    def says_nothing_of_hpv(self) -> bool:
        """No HPV test, and no smear that would call for one."""
        return not self.hpv and self.smear in ("", NILM)

    @property
    def type_found(self) -> str:
        """Of HPV 16 and 18, the one that was found; empty where neither was."""
        return "16" if self.hpv_16 == POSITIVE else "18" if self.hpv_18 == POSITIVE else ""


def rounds_of(visits: Sequence[Visit]) -> list[Round]:
    """The rounds of one woman's visits, oldest first. A visit without any result is in none of them.

    A colposcopy, biopsy or treatment more than 90 days after the test that led to it still belongs to that test's round.
    """
    rounds: list[list[Visit]] = []
    for episode in _episodes([visit for visit in visits if any(visit[3:10])]):
        tested = any(visit.cytology or visit.hpv_result or visit.hpv_16 or visit.hpv_18 for visit in episode)
        if rounds and not tested:
            rounds[-1] += episode
        else:
            rounds.append(episode)
    return [_joined(episode) for episode in rounds]


def _episodes(visits: Sequence[Visit]) -> Iterator[list[Visit]]:
    episode: list[Visit] = []
    for visit in visits:
        if episode and round((visit.years - episode[0].years) * DAYS_A_YEAR) > EPISODE_DAYS:
            yield episode
            episode = []
        episode.append(visit)
    if episode:
        yield episode


def _joined(episode: Sequence[Visit]) -> Round:
    return _round_of(tuple(visit[3:10] for visit in episode))


class _Results(NamedTuple):
    """What was found at one visit: fields of ``Visit``, as they stand there."""

    cytology: str
    hpv_result: str
    hpv_16: str
    hpv_18: str
    colposcopy: str
    histology: str
    treatment: str


@lru_cache(maxsize=100_000)
def _round_of(results: tuple[tuple[str, ...], ...]) -> Round:
    """The round of an episode; of many women few episodes differ."""
    episode = [_Results(*own) for own in results]
    smears = [SMEAR_OF[visit.cytology] for visit in episode if visit.cytology in SMEAR_OF]
    smear = max(smears, key=SMEARS.index, default="")
    hpv, hpv_16, hpv_18 = (_either({getattr(visit, name) for visit in episode}) for name in ("hpv_result", "hpv_16", "hpv_18"))
    unsatisfactory = any(visit.cytology == "UNSAT" for visit in episode) and not smear
    invalid = any(visit.hpv_result == "invalid" for visit in episode) and not smear and not hpv
    histology = {visit.histology for visit in episode} - {""}
    less = histology <= set(LESS_THAN_CIN2)
    seen = {visit.colposcopy for visit in episode} - {""}
    return Round(
        hpv=hpv or (POSITIVE if POSITIVE in (hpv_16, hpv_18) else ""),
        hpv_16=hpv_16,
        hpv_18=hpv_18,
        smear=smear,
        without_result=unsatisfactory or invalid,
        colposcopy=bool(seen or histology),
        histology=("CIN1" if "CIN1" in histology else "benign") if histology and less else "",
        cleared=less and (bool(histology) or seen == {"normal"}),
        suspected=bool(seen & set(ABNORMAL)) and not histology,
        lesion=bool(histology & set(TREATED_CIN)),
        treated=any(visit.treatment in TREATMENTS for visit in episode),
    )


def _either(found: set[str]) -> str:
    return POSITIVE if POSITIVE in found else NEGATIVE if NEGATIVE in found else ""


Standing = Literal["screening", "at colposcopy", "after colposcopy", "treated now", "after treatment"]


@dataclass(frozen=True)
class Course:
    """Where a woman stands.

    Attributes
    ----------
    current : Round
        The last.
    since : tuple of Round
        The rounds between the event that ``standing`` names and the current one; of a woman in screening all earlier ones.
    event : Round, optional
        That event's round: the colposcopy that found less than CIN2, or the treatment.
    """

    standing: Standing
    current: Round
    since: tuple[Round, ...]
    event: Round | None = None

    @property
    def in_surveillance(self) -> bool:
        return self.standing != "screening"

    @property
    def not_cleared(self) -> tuple[Round, ...]:
        """The rounds that no colposcopy that found less than CIN2, and no treatment, has followed."""
        return () if self.current.cleared else (*(one for one in self.since if not one.cleared), self.current)


def course_of(rounds: Sequence[Round]) -> Course | None:
    """Where a woman of these rounds stands; None where there is no round."""
    if not rounds:
        return None
    *earlier, current = rounds
    if current.treated:
        return Course("treated now", current, tuple(earlier))
    treated = next((at for at in reversed(range(len(earlier))) if earlier[at].treated), -1)
    if treated >= 0:
        # What precancer was treated may stand in a round of its own before it.
        event = earlier[treated]
        proven = any(one.lesion for one in earlier[: treated + 1])
        return Course(
            "after treatment", current, tuple(earlier[treated + 1 :]), Round(treated=True, lesion=proven, hpv=event.hpv)
        )
    if current.cleared:
        return Course("at colposcopy", current, tuple(earlier))
    seen = next((at for at in reversed(range(len(earlier))) if earlier[at].cleared), -1)
    if seen >= 0:
        return Course("after colposcopy", current, tuple(earlier[seen + 1 :]), earlier[seen])
    return Course("screening", current, tuple(earlier))
