"""Simulated screening visits over a latent course: attendance, tests, work-up, treatment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.codes import CODES, Referral
from cervix.patients.diagnosis import CANCER as CANCERS
from cervix.patients.diagnosis import PRECANCER
from training.data.cohort.natural_history import GENOTYPES, NEVER, Course

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_INFECTION, INFECTION, CIN1, CIN2, CIN3, CANCER = range(6)
STATES = ("no infection", "infection", "CIN1", "CIN2", "CIN3", "cancer")
REGULAR, IRREGULAR, RARE, NEVER_ATTENDS = range(4)
IMPRESSIONS = CODES["colposcopy"].named(lambda code: not code.measures_nothing)
"""In the order of the recipe's tables."""
REFERRED_AT_ONCE = CODES["cytology"].named(lambda code: code.referral >= Referral.AT_ONCE)
REFERRED_IF_IT_STAYS = CODES["cytology"].named(lambda code: code.referral is Referral.IF_IT_STAYS)
ABNORMAL_CYTOLOGY = CODES["cytology"].named(lambda code: code.is_abnormal)
HIGH_GRADE_HISTOLOGY = (*PRECANCER, *CANCERS)
LARGEST_VISIT_COUNT = 60
AFTER_PREFIX = "after_"


def _nothing(column: str) -> str:
    """The code of a failed test."""
    return CODES[column].named(lambda code: code.measures_nothing)[0]


@dataclass(frozen=True)
class Histories:
    """Visits of all women who were ever screened, up to their index visit, with the truth.

    Attributes
    ----------
    visits : DataFrame
        One row a visit, ordered by woman and time: ``woman, time`` (calendar year), ``age`` (years), the columns of the
        visit CSV, None where not done or not known, and ``state, was_glandular, biopsied`` at the visit. The truth after
        the visit and its treatment: ``after_state, after_infected, after_glandular, after_years_to_cin2,
        after_years_to_cin3`` (``inf``: never) and ``after_observed_years``, the length of follow-up.
    women : DataFrame
        One row a woman: ``woman`` and her constant factors.
    """

    visits: pd.DataFrame
    women: pd.DataFrame


def screen(course: Course, recipe: Mapping[str, Any], rng: np.random.Generator) -> Histories:
    """Simulate the visits of every woman, treat what is found, and end each history at an index visit.

    Parameters
    ----------
    recipe : mapping
        The whole of ``recipes/cohort.toml``; probabilities by state are in the order of ``STATES``.
    """
    desk = _Desk(course, recipe, rng)
    rows: list[pd.DataFrame] = []
    for _ in range(LARGEST_VISIT_COUNT):
        due = np.flatnonzero(desk.next_visit <= desk.leaves)
        if not len(due):
            break
        rows.append(desk.visit(due))
    visits = pd.concat(rows, ignore_index=True).sort_values(["woman", "time"], ignore_index=True)
    return _eligible(desk, visits, recipe, rng)


class _Desk:
    """State of the simulation: when each woman comes next, and what treatment has changed."""

    def __init__(self, course: Course, recipe: Mapping[str, Any], rng: np.random.Generator) -> None:
        self.recipe, self.rng = recipe, rng
        self.women = course.women
        infections = course.infections
        self.woman: Ints = infections["woman"].to_numpy(np.int64)
        self.genotype: Ints = infections["genotype"].to_numpy(np.int64)
        self.begin = {
            name: infections[name].to_numpy(np.float64).copy() for name in ("infected", "cin1", "cin2", "cin3", "cancer")
        }
        self.end = infections["cleared"].to_numpy(np.float64).copy()
        self.lesion_end = self.end.copy()
        self.symptoms = infections["symptoms"].to_numpy(np.float64)
        shares = np.array(recipe["histology"]["glandular_share"])
        self.glandular: Bools = rng.random(len(infections)) < shares[self.genotype]
        self._plan_attendance()
        count = len(self.women)
        self.abnormal_before = np.zeros(count, bool)
        self.positive_before = np.zeros(count, bool)

    def _plan_attendance(self) -> None:
        recipe, rng, women = self.recipe["attendance"], self.rng, self.women
        count, born = len(women), women["born"].to_numpy()
        self.kind = rng.choice(4, count, p=recipe["shares"])
        first_age = recipe["first_age"] + rng.gamma(1.5, np.array(recipe["first_delay_years"])[self.kind])
        self.next_visit: Floats = np.maximum(born + first_age, recipe["from"] + rng.uniform(0, 4, count))
        population = self.recipe["population"]
        limit = rng.uniform(population["cut_from"], population["index_until"], count)
        found = np.full(count, NEVER)
        np.minimum.at(found, self.woman, self.symptoms)
        self.leaves: Floats = np.minimum.reduce([limit, women["exit"].to_numpy(), found, born + population["oldest"]])
        self.leaves[self.kind == NEVER_ATTENDS] = -NEVER

    def visit(self, due: Ints) -> pd.DataFrame:
        """Simulate one visit of each woman in ``due``, each at her own time, and plan the next."""
        rng, tests = self.rng, self.recipe["tests"]
        time = self.next_visit[due]
        age = time - self.women["born"].to_numpy()[due]
        state, infected, glandular = self._state(due, time)
        wants_hpv, wants_cytology = self._mode(time, age)
        hpv_positive, typed = self._hpv(state, infected)
        hpv_invalid = wants_hpv & (rng.random(len(due)) < tests["hpv_invalid"])
        known_positive = wants_hpv & hpv_positive & ~hpv_invalid
        # Primary HPV screening: cytology only if the HPV test is positive or failed.
        reflex = wants_hpv & ~wants_cytology & (known_positive | hpv_invalid)
        cytology = self._cytology(state, glandular)
        with_cytology = wants_cytology | reflex
        genotyped = (
            wants_hpv & ~hpv_invalid & (time >= tests["genotyping_from"]) & (rng.random(len(due)) < tests["genotyping_share"])
        )
        referred = self._referred(due, cytology, with_cytology, known_positive, typed & genotyped[:, None])
        seen = referred & (rng.random(len(due)) < tests["colposcopy_attended"])
        impression = self._colposcopy(state)
        biopsied = seen & ((impression != "normal") | (rng.random(len(due)) < tests["biopsy_of_normal"]))
        histology = self._histology(state, glandular)
        treatment = self._treat(due, time, age, biopsied, histology)
        lost = [rng.random(len(due)) < tests["result_lost"] for _ in range(3)]
        none = np.full(len(due), None, object)
        result = np.where(hpv_invalid, _nothing("hpv_result"), np.where(hpv_positive, "positive", "negative"))
        rows = pd.DataFrame({"woman": due, "time": time, "age": age})
        rows["cytology"] = np.where(with_cytology & ~lost[0], cytology, none)
        rows["hpv_result"] = np.where(wants_hpv & ~lost[1], result, none)
        for index, name in enumerate(("hpv_16", "hpv_18", "hpv_other_hr")):
            answer = np.where(typed[:, index] & hpv_positive, "positive", "negative")
            rows[name] = np.where(genotyped & ~lost[1], answer, none)
        rows["colposcopy"] = np.where(seen, impression, none)
        rows["histology"] = np.where(biopsied & ~lost[2], histology, none)
        rows["treatment"] = np.where(treatment == "", none, treatment)
        rows["state"] = state
        rows["was_glandular"] = glandular
        rows["biopsied"] = biopsied
        abnormal = with_cytology & np.isin(cytology.astype(str), ABNORMAL_CYTOLOGY)
        self._plan_next(due, time, abnormal, known_positive, seen, treatment, wants_hpv)
        return rows

    def _state(self, due: Ints, time: Floats) -> tuple[Ints, Bools, Bools]:
        """Worst state, genotypes present ``(n, 4)``, and whether the worst lesion is glandular."""
        position = np.full(len(self.women), -1)
        position[due] = np.arange(len(due))
        here = np.flatnonzero(position[self.woman] >= 0)
        who = position[self.woman[here]]
        at = time[who]
        active = (self.begin["infected"][here] <= at) & (self.end[here] > at)
        reached = np.where(active, INFECTION, NO_INFECTION)
        lesion = active & (self.lesion_end[here] > at)
        for grade, name in ((CIN1, "cin1"), (CIN2, "cin2"), (CIN3, "cin3"), (CANCER, "cancer")):
            reached[lesion & (self.begin[name][here] <= at)] = grade
        state = np.zeros(len(due), np.int64)
        np.maximum.at(state, who, reached)
        infected = np.zeros((len(due), len(GENOTYPES)), bool)
        infected[who[active], self.genotype[here][active]] = True
        glandular = np.zeros(len(due), bool)
        worst = active & (reached == state[who]) & (reached >= CIN3) & self.glandular[here]
        glandular[who[worst]] = True
        return state, infected, glandular

    def _mode(self, time: Floats, age: Floats) -> tuple[Bools, Bools]:
        """Whether an HPV test is done, and whether cytology is done regardless of its result."""
        modes, draw = self.recipe["modes"], self.rng.random(len(time))
        primary = (time >= modes["hpv_primary_from"]) & (age >= modes["hpv_primary_age"]) & (draw < modes["hpv_primary_share"])
        together = (time >= modes["cotest_from"]) & (age >= modes["cotest_age"]) & (draw < modes["cotest_share"]) & ~primary
        return primary | together, ~primary

    def _hpv(self, state: Ints, infected: Bools) -> tuple[Bools, Bools]:
        """Whether any high-risk type was found, and the channels 16, 18 and others ``(n, 3)``."""
        tests, rng = self.recipe["tests"], self.rng
        positive = rng.random(len(state)) < np.array(tests["hpv_positive"])[state]
        channels = np.stack([infected[:, 0], infected[:, 1], infected[:, 2] | infected[:, 3]], axis=1)
        channels[:, 2] |= ~channels.any(axis=1)  # cross-reactivity shows in the pooled channel
        return positive, channels & positive[:, None]

    def _cytology(self, state: Ints, glandular: Bools) -> NDArray[np.object_]:
        tests = self.recipe["tests"]
        codes = np.array(tests["cytology_codes"], object)
        table = np.cumsum(np.array([*tests["cytology"], tests["cytology_glandular"]]), axis=1)
        row = np.where(glandular, len(table) - 1, state)
        draw = self.rng.random(len(state))
        result = codes[np.minimum((draw[:, None] >= table[row]).sum(axis=1), len(codes) - 1)]
        result[self.rng.random(len(state)) < tests["cytology_unsatisfactory"]] = _nothing("cytology")
        return np.asarray(result, object)

    def _referred(self, due: Ints, cytology: NDArray[np.object_], with_cytology: Bools, positive: Bools, typed: Bools) -> Bools:
        at_once = with_cytology & np.isin(cytology.astype(str), REFERRED_AT_ONCE)
        borderline = with_cytology & np.isin(cytology.astype(str), REFERRED_IF_IT_STAYS)
        abnormal = borderline | at_once
        return np.asarray(
            at_once
            | typed[:, 0]
            | typed[:, 1]
            | (borderline & positive)
            | (positive & self.positive_before[due])
            | (abnormal & self.abnormal_before[due])
        )

    def _colposcopy(self, state: Ints) -> NDArray[np.object_]:
        tests, rng = self.recipe["tests"], self.rng
        table = np.cumsum(np.array(tests["colposcopy"]), axis=1)
        draw = rng.random(len(state))
        found = np.minimum((draw[:, None] >= table[state]).sum(axis=1), len(IMPRESSIONS) - 1)
        result = np.array(IMPRESSIONS, object)[found]
        result[rng.random(len(state)) < tests["colposcopy_inadequate"]] = _nothing("colposcopy")
        return np.asarray(result, object)

    def _histology(self, state: Ints, glandular: Bools) -> NDArray[np.object_]:
        """Result of the biopsies: the worst state with the sensitivity of two biopsies, otherwise CIN1 or benign."""
        tests, rng = self.recipe["tests"], self.rng
        found = rng.random(len(state)) < tests["biopsy_sensitivity"]
        low = rng.random(len(state)) < np.array(tests["biopsy_cin1"])[state]
        result = np.where(low, "CIN1", "benign").astype(object)
        other_grade = rng.random(len(state)) < tests["biopsy_misgraded"]
        for grade, name, beside in ((CIN2, "CIN2", "CIN3"), (CIN3, "CIN3", "CIN2"), (CANCER, "SCC", "CIN3")):
            hit = found & (state == grade)
            result[hit] = name
            result[hit & other_grade] = beside
        result[found & (state == CIN3) & glandular] = "AIS"
        result[found & (state == CANCER) & glandular & ~other_grade] = "ADC"
        return np.asarray(result, object)

    def _treat(
        self, due: Ints, time: Floats, age: Floats, biopsied: Bools, histology: NDArray[np.object_]
    ) -> NDArray[np.object_]:
        """Treat according to histology and end the infections that are cured; women with cancer or without a cervix leave."""
        settings, rng = self.recipe["treatment"], self.rng
        draw, kind, cured = rng.random(len(due)), rng.random(len(due)), rng.random(len(due))
        cin2 = np.where(age < settings["watched_below_age"], settings["cin2_young"], settings["cin2"])
        wanted = np.select(
            [histology == "CIN2", np.isin(histology.astype(str), PRECANCER)],
            [cin2, np.full(len(due), settings["cin3"])],
            0.0,
        )
        treated = biopsied & (draw < wanted)
        result = np.full(len(due), "", object)
        result[treated] = "LEEP"
        result[treated & (kind < settings["ablation_share"]) & (histology == "CIN2")] = "ablation"
        result[treated & ((histology == "AIS") | (kind > 1 - settings["cone_share"]))] = "cone"
        result[treated & (age > settings["hysterectomy_from_age"]) & (kind > 1 - settings["hysterectomy_share"])] = (
            "hysterectomy"
        )
        gone = result == "hysterectomy"
        cancer = biopsied & np.isin(histology.astype(str), CANCERS)
        self.leaves[due[gone | cancer]] = -NEVER
        self._cut(due, time, treated & (cured < settings["cured"]), gone)
        return np.asarray(result, object)

    def _cut(self, due: Ints, time: Floats, cured: Bools, all_gone: Bools) -> None:
        until = np.full(len(self.women), np.nan)
        until[due[cured | all_gone]] = time[cured | all_gone]
        at = until[self.woman]
        active = (self.begin["infected"] <= at) & (self.end > at)
        persists = active & (self.rng.random(len(at)) < self.recipe["treatment"]["infection_persists"])
        self.end[active & ~persists] = at[active & ~persists]
        # A persisting infection causes no second lesion.
        self.lesion_end[active] = at[active]

    def _plan_next(
        self,
        due: Ints,
        time: Floats,
        abnormal: Bools,
        positive: Bools,
        seen: Bools,
        treatment: NDArray[np.object_],
        with_hpv: Bools,
    ) -> None:
        recipe, rng = self.recipe["attendance"], self.rng
        routine = np.where(with_hpv, recipe["interval_with_hpv"], recipe["interval_cytology"])
        soon = abnormal | positive | seen
        wait = np.where(soon, recipe["interval_abnormal"], routine)
        wait = np.where(treatment != "", recipe["interval_treated"], wait)
        factor = np.array(recipe["delay_factor"])[self.kind[due]]
        # Even irregular attenders mostly come when they are recalled soon.
        factor = np.where(soon, 1 + (factor - 1) * recipe["delay_kept_when_abnormal"], factor)
        late = rng.lognormal(0.0, np.array(recipe["delay_spread"])[self.kind[due]])
        self.next_visit[due] = time + np.maximum(wait * factor * late, 0.3)
        self.abnormal_before[due] = abnormal
        self.positive_before[due] = positive


def _eligible(desk: _Desk, visits: pd.DataFrame, recipe: Mapping[str, Any], rng: np.random.Generator) -> Histories:
    """Women still in screening who have a cervix and no known untreated disease after their last visit."""
    last = visits.groupby("woman").tail(1).set_index("woman")
    untreated = last["histology"].isin(HIGH_GRADE_HISTOLOGY) & last["treatment"].isna()
    recent = last["time"] >= recipe["population"]["index_from"]
    kept = last.index[recent & ~untreated & (last["treatment"] != "hysterectomy")]
    index_time = last.loc[kept, "time"].to_numpy()
    lost = rng.exponential(1.0 / recipe["attendance"]["lost_per_year"], len(kept))
    ends_at = np.minimum(desk.women["exit"].to_numpy()[kept], recipe["population"]["stop"])
    followed_until = pd.Series(np.minimum(index_time + lost, np.maximum(ends_at, index_time)), index=kept)
    visits = visits[visits["woman"].isin(kept)].reset_index(drop=True)
    truth = _truth(desk, visits["woman"].to_numpy(), visits["time"].to_numpy())
    truth["observed_years"] = followed_until[visits["woman"]].to_numpy() - visits["time"].to_numpy()
    return Histories(visits.join(truth.add_prefix(AFTER_PREFIX)), desk.women.loc[kept].rename_axis("woman").reset_index())


def _truth(desk: _Desk, woman: Ints, time: Floats) -> pd.DataFrame:
    """The truth after each visit and its treatment. Years to CIN2+ and CIN3+ are ``inf`` if they never occur."""
    number = pd.Series(woman).groupby(woman).cumcount().to_numpy()
    columns = {
        "state": np.zeros(len(woman), np.int64),
        "infected": np.zeros(len(woman), bool),
        "glandular": np.zeros(len(woman), bool),
        "years_to_cin2": np.full(len(woman), NEVER),
        "years_to_cin3": np.full(len(woman), NEVER),
    }
    for nth in range(number.max(initial=-1) + 1):
        rows = np.flatnonzero(number == nth)
        at = np.full(len(desk.women), np.nan)
        at[woman[rows]] = time[rows]
        state, infected, glandular = desk._state(woman[rows], time[rows])
        columns["state"][rows] = state
        columns["infected"][rows] = infected.any(axis=1)
        columns["glandular"][rows] = glandular
        moment = at[desk.woman]
        for name in ("cin2", "cin3"):
            begins = np.minimum(desk.begin[name], desk.begin["cancer"])
            counts = (begins < desk.lesion_end) & (desk.lesion_end > moment) & np.isfinite(begins)
            wait = np.full(len(desk.women), NEVER)
            np.minimum.at(wait, desk.woman[counts], np.maximum(begins[counts] - moment[counts], 0.0))
            columns[f"years_to_{name}"][rows] = wait[woman[rows]]
    return pd.DataFrame(columns)
