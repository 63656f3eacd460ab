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
from training.data.cohort.course import GENOTYPES, NEVER, Course
from training.data.cohort.progression import with_lesions

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_INFECTION, INFECTION, CIN1, CIN2, CIN3, CANCER = range(6)
STATES = ("no infection", "infection", "CIN1", "CIN2", "CIN3", "cancer")
# What a test sees: a state, CIN3 that no biopsy would find yet, glandular CIN3, or an infection that will become CIN3.
HIDDEN_CIN3, GLANDULAR_CIN3, TRANSFORMING = 6, 7, 8
SEEN = (*STATES, "CIN3 not yet found", "glandular CIN3", "infection before CIN3")
REGULAR, IRREGULAR, RARE, NEVER_ATTENDS = range(4)
IMPRESSIONS = CODES["colposcopy"].named(lambda code: not code.measures_nothing)
"""In the order of the recipe's tables."""
REFERRED_AT_ONCE = CODES["cytology"].named(lambda code: code.referral >= Referral.AT_ONCE)
REFERRED_IF_IT_STAYS = CODES["cytology"].named(lambda code: code.referral is Referral.IF_IT_STAYS)
ABNORMAL_CYTOLOGY = CODES["cytology"].named(lambda code: code.is_abnormal)
HIGH_GRADE_CYTOLOGY = CODES["cytology"].named(lambda code: code.referral is Referral.AT_ANY_RISK)
HIGH_GRADE_HISTOLOGY = (*PRECANCER, *CANCERS)
LARGEST_VISIT_COUNT = 60
AFTER_PREFIX, BEFORE_PREFIX = "after_", "before_"
MOMENTS = ("infected", "cleared", "cin1", "cin1_end", "cin2", "cin2_end", "cin3", "found", "lesion_end", "cancer")
WAITS = ("years_to_cin2", "years_to_cin3", "found_years_to_cin2", "found_years_to_cin3")
SMEARS = ("NILM", "ASC-US", "LSIL", "ASC-H", "AGC", "HSIL")
"""The smears of the published tables, in the order of the columns of ``[tests.together]``: HPV-negative, then positive."""


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
        the visit and its treatment: ``after_state, after_infected, after_glandular``, ``after_`` and each of ``WAITS``
        (``inf``: never; ``found_``: from when a biopsy would find it) and ``after_observed_years``, the length of follow-up.
        ``before_`` and each of ``WAITS``: with the tests of the visit done, before colposcopy and treatment.
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


def is_rare(visits: pd.DataFrame) -> pd.Series:
    """For each visit, whether its woman has a result that a cohort holds too few of to learn from: an abnormal smear beside a
    negative HPV test, a smear of ASC-H, AGC or worse, a repeated positive HPV test, a biopsy or a treatment."""
    abnormal = visits["cytology"].isin(ABNORMAL_CYTOLOGY)
    positive = visits["hpv_result"] == "positive"
    again = positive & (positive.groupby(_whose(visits)).transform("sum") > 1)
    rare = (abnormal & (visits["hpv_result"] == "negative")) | visits["cytology"].isin(HIGH_GRADE_CYTOLOGY) | again
    rare |= visits["histology"].notna() | visits["treatment"].notna()
    return rare.groupby(_whose(visits)).transform("any")


def _whose(visits: pd.DataFrame) -> list[pd.Series]:
    return [visits[name] for name in ("part", "turn", "woman") if name in visits]


class _Desk:
    """State of the simulation: when each woman comes next, and what treatment has changed."""

    def __init__(self, course: Course, recipe: Mapping[str, Any], rng: np.random.Generator) -> None:
        self.recipe, self.rng = recipe, rng
        self.women = course.women
        lesions = with_lesions(course, recipe, rng)
        self.woman: Ints = lesions["woman"].to_numpy(np.int64)
        self.genotype: Ints = lesions["genotype"].to_numpy(np.int64)
        self.at = {name: lesions[name].to_numpy(np.float64).copy() for name in MOMENTS}
        self.symptoms = lesions["symptoms"].to_numpy(np.float64)
        self.transforms: Bools = lesions["transforms"].to_numpy(bool).copy()
        self.glandular: Bools = lesions["glandular"].to_numpy(bool)
        self._plan_attendance()
        count = len(self.women)
        self.abnormal_before = np.zeros(count, bool)
        self.positive_before = np.zeros(count, bool)
        self.recalls_left = np.zeros(count, np.int64)

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
        state, seen_as, infected, glandular = self._state(due, time)
        wants_hpv, wants_cytology = self._mode(time, age)
        hpv_positive, cytology, typed = self._tested(state, seen_as, infected)
        hpv_invalid = wants_hpv & (rng.random(len(due)) < tests["hpv_invalid"])
        known_positive = wants_hpv & hpv_positive & ~hpv_invalid
        # Primary HPV screening: cytology only if the HPV test is positive or failed.
        reflex = wants_hpv & ~wants_cytology & (known_positive | hpv_invalid)
        with_cytology = wants_cytology | reflex
        genotyped = (
            wants_hpv & ~hpv_invalid & (time >= tests["genotyping_from"]) & (rng.random(len(due)) < tests["genotyping_share"])
        )
        stained = known_positive & (time >= tests["dual_stain_from"]) & (rng.random(len(due)) < tests["dual_stain_share"])
        stain_positive = rng.random(len(due)) < np.array(tests["dual_stain_positive"])[seen_as]
        before = self._waits(due, time)
        referred = self._referred(due, cytology, with_cytology, known_positive, typed & genotyped[:, None])
        referred |= stained & stain_positive
        seen = referred & (rng.random(len(due)) < tests["colposcopy_attended"])
        impression = self._colposcopy(state)
        biopsied = seen & ((impression != "normal") | (rng.random(len(due)) < tests["biopsy_of_normal"]))
        histology = self._histology(state, seen_as, glandular)
        treatment = self._treat(due, time, age, biopsied, histology)
        lost = [rng.random(len(due)) < tests["result_lost"] for _ in range(3)]
        none = np.full(len(due), None, object)
        result = np.where(hpv_invalid, _nothing("hpv_result"), np.where(hpv_positive, "positive", "negative"))
        stain = np.where(stain_positive, "positive", "negative")
        stain = np.where(rng.random(len(due)) < tests["dual_stain_inconclusive"], _nothing("dual_stain"), stain)
        rows = pd.DataFrame({"woman": due, "time": time, "age": age})
        rows["cytology"] = np.where(with_cytology & ~lost[0], cytology, none)
        rows["hpv_result"] = np.where(wants_hpv & ~lost[1], result, none)
        for index, name in enumerate(("hpv_16", "hpv_18", "hpv_other_hr")):
            answer = np.where(typed[:, index] & hpv_positive, "positive", "negative")
            rows[name] = np.where(genotyped & ~lost[1], answer, none)
        rows["dual_stain"] = np.where(stained & ~lost[0], stain, none)
        rows["colposcopy"] = np.where(seen, impression, none)
        rows["histology"] = np.where(biopsied & ~lost[2], histology, none)
        rows["treatment"] = np.where(treatment == "", none, treatment)
        rows["state"] = state
        rows["seen_as"] = seen_as
        rows["was_glandular"] = glandular
        rows["biopsied"] = biopsied
        state, _, infected, glandular = self._state(due, time)
        truth: dict[str, Any] = {"state": state, "infected": infected.any(axis=1), "glandular": glandular}
        after = pd.DataFrame(truth | self._waits(due, time)).add_prefix(AFTER_PREFIX)
        rows = rows.join(pd.DataFrame(before).add_prefix(BEFORE_PREFIX)).join(after)
        abnormal = with_cytology & np.isin(cytology.astype(str), ABNORMAL_CYTOLOGY)
        self._plan_next(due, time, abnormal, known_positive, seen, treatment, wants_hpv)
        return rows

    def _moments(self, due: Ints, time: Floats) -> tuple[Ints, Ints, Floats]:
        """The infections of these women: which, whose (position in ``due``), and the time of the visit."""
        position = np.full(len(self.women), -1)
        position[due] = np.arange(len(due))
        here = np.flatnonzero(position[self.woman] >= 0)
        who = position[self.woman[here]]
        return here, who, time[who]

    def _state(self, due: Ints, time: Floats) -> tuple[Ints, Ints, Bools, Bools]:
        """Worst state, what tests see, genotypes present ``(n, 4)``, and whether the worst lesion is glandular."""
        here, who, now = self._moments(due, time)
        at = {name: moments[here] for name, moments in self.at.items()}
        active = (at["infected"] <= now) & (at["cleared"] > now)
        reached = np.where(active, INFECTION, NO_INFECTION)
        for grade, begin, end in ((CIN1, "cin1", "cin1_end"), (CIN2, "cin2", "cin2_end"), (CIN3, "cin3", "lesion_end")):
            reached[(at[begin] <= now) & (at[end] > now)] = grade
        reached[at["cancer"] <= now] = CANCER
        state = np.zeros(len(due), np.int64)
        np.maximum.at(state, who, reached)
        infected = np.zeros((len(due), len(GENOTYPES)), bool)
        infected[who[active], self.genotype[here][active]] = True
        worst = (reached == state[who]) & (reached >= CIN3)
        glandular, found = np.zeros(len(due), bool), np.zeros(len(due), bool)
        glandular[who[worst & self.glandular[here]]] = True
        found[who[worst & (at["found"] <= now)]] = True
        becomes = np.zeros(len(due), bool)
        becomes[who[active & self.transforms[here]]] = True
        seen_as = np.where((state == INFECTION) & becomes, TRANSFORMING, state)
        seen_as = np.where(
            (state == CIN3) & ~found, HIDDEN_CIN3, np.where((state == CIN3) & glandular, GLANDULAR_CIN3, seen_as)
        )
        return state, seen_as, infected, glandular

    def _waits(self, due: Ints, time: Floats) -> dict[str, Floats]:
        """Years until CIN2+ and CIN3+ if nobody treats, true and as biopsies would find it; 0: it is there, ``inf``: never."""
        here, who, now = self._moments(due, time)
        at = {name: moments[here] for name, moments in self.at.items()}
        ends3 = np.where(np.isfinite(at["cancer"]), NEVER, at["lesion_end"])
        spans = {
            "years_to_cin3": [(np.minimum(at["cin3"], at["cancer"]), ends3)],
            "found_years_to_cin3": [(np.minimum(at["found"], at["cancer"]), ends3)],
        }
        for name in ("years_to_cin", "found_years_to_cin"):
            spans[f"{name}2"] = [*spans[f"{name}3"], (at["cin2"], at["cin2_end"])]
        waits = {}
        for name in WAITS:
            wait = np.full(len(due), NEVER)
            for begin, end in spans[name]:
                counts = np.isfinite(begin) & (begin < end) & (end > now)
                np.minimum.at(wait, who[counts], np.maximum(begin[counts] - now[counts], 0.0))
            waits[name] = wait
        return waits

    def _mode(self, time: Floats, age: Floats) -> tuple[Bools, Bools]:
        """Whether an HPV test is done, and whether cytology is done regardless of its result."""
        modes, draw = self.recipe["modes"], self.rng.random(len(time))
        primary = (time >= modes["hpv_primary_from"]) & (age >= modes["hpv_primary_age"]) & (draw < modes["hpv_primary_share"])
        together = (time >= modes["cotest_from"]) & (age >= modes["cotest_age"]) & (draw < modes["cotest_share"]) & ~primary
        return primary | together, ~primary

    def _tested(self, state: Ints, seen_as: Ints, infected: Bools) -> tuple[Bools, NDArray[np.object_], Bools]:
        """Whether any high-risk type was found, the smear, and the channels 16, 18 and others ``(n, 3)``.

        HPV test and smear are drawn together: they depend on each other beyond the state (table of ``[tests]``).
        """
        tests, rng = self.recipe["tests"], self.rng
        table = np.cumsum(np.array([tests["together"][name] for name in SEEN]), axis=1)
        draw = rng.random(len(state))[:, None] * table[seen_as, -1:]
        drawn = np.minimum((draw >= table[seen_as]).sum(axis=1), table.shape[1] - 1)
        positive = drawn >= len(SMEARS)
        cytology = np.array(SMEARS, object)[drawn % len(SMEARS)]
        for smear, finer in tests["finer"].items():
            (at,) = np.nonzero(cytology == smear)
            names, shares = list(finer), np.array([finer[name] for name in finer])
            limits = np.cumsum(shares.T, axis=1)
            pick = (rng.random(len(at))[:, None] >= limits[seen_as[at]]).sum(axis=1)
            cytology[at] = np.array([*names, smear], object)[np.minimum(pick, len(names))]
        cytology[rng.random(len(state)) < tests["cytology_unsatisfactory"]] = _nothing("cytology")
        channels = np.stack([infected[:, 0], infected[:, 1], infected[:, 2] | infected[:, 3]], axis=1)
        channels[:, 2] |= ~channels.any(axis=1)  # cross-reactivity shows in the pooled channel
        return positive, cytology, channels & positive[:, None]

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

    def _histology(self, state: Ints, seen_as: Ints, glandular: Bools) -> NDArray[np.object_]:
        """Result of the biopsies: the worst state if biopsies find it, otherwise CIN1 or benign."""
        tests, rng = self.recipe["tests"], self.rng
        found = (seen_as != HIDDEN_CIN3) & ((state != CIN2) | (rng.random(len(state)) < tests["biopsy_sensitivity_cin2"]))
        low = rng.random(len(state)) < np.array(tests["biopsy_cin1"])[state]
        result = np.where(low, "CIN1", "benign").astype(object)
        lower_grade = rng.random(len(state)) < tests["biopsy_graded_lower"]
        for grade, name, below in ((CIN2, "CIN2", "CIN1"), (CIN3, "CIN3", "CIN2"), (CANCER, "SCC", "CIN3")):
            hit = found & (state == grade)
            result[hit] = name
            result[hit & lower_grade] = below
        result[found & (state == CIN3) & glandular] = "AIS"
        result[found & (state == CANCER) & glandular & ~lower_grade] = "ADC"
        return np.asarray(result, object)

    def _treat(
        self, due: Ints, time: Floats, age: Floats, biopsied: Bools, histology: NDArray[np.object_]
    ) -> NDArray[np.object_]:
        """Treat according to histology and end the infections that are cured; women with cancer or without a cervix leave."""
        settings, rng = self.recipe["treatment"], self.rng
        draw, kind = rng.random(len(due)), rng.random(len(due))
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
        self._cut(due[treated], time[treated], gone[treated])
        return np.asarray(result, object)

    def _cut(self, treated: Ints, time: Floats, all_gone: Bools) -> None:
        """What treatment leaves: nothing, mostly; or the lesion, or an infection, which may cause another lesion."""
        settings, rng = self.recipe["treatment"], self.rng
        here, who, now = self._moments(treated, time)
        active = (self.at["infected"][here] <= now) & (self.at["cleared"][here] > now)
        here, who, now = here[active], who[active], now[active]
        draw, gone, transforms = rng.random(len(here)), all_gone[who], self.transforms[here]
        left = ~gone & transforms & (self.at["cin3"][here] <= now) & (draw < settings["lesion_left"])
        again = ~gone & ~left & transforms & (draw < settings["lesion_left"] + settings["lesion_returns"])
        stays = ~gone & ~left & ~again & (rng.random(len(here)) < settings["infection_persists"])
        for name in ("cin1", "cin2"):
            self.at[name][here] = NEVER
            self.at[f"{name}_end"][here] = NEVER
        over = here[~left]
        for name in ("cin3", "found", "cancer"):
            self.at[name][over] = NEVER
        self.at["cleared"][over] = now[~left]
        self.transforms[over] = False
        self.at["cleared"][here[stays]] = now[stays] + rng.exponential(settings["infection_years"], int(stays.sum()))
        back = now[again] + rng.exponential(settings["years_to_return"], int(again.sum()))
        self.at["cin3"][here[again]], self.at["cleared"][here[again]] = back, NEVER
        self.at["found"][here[again]] = back + rng.exponential(
            self.recipe["progression"]["years_until_found"], int(again.sum())
        )
        self.at["lesion_end"][here[again]] = NEVER
        self.transforms[here[again]] = True

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
        treated = treatment != ""
        left = np.maximum(self.recalls_left[due] - 1, 0)
        left = np.where(seen, np.maximum(left, recipe["recalls_after_colposcopy"]), left)
        left = np.where(treated, recipe["recalls_after_treatment"], left)
        soon = abnormal | positive | seen | (left > 0)
        wait = np.where(soon, recipe["interval_abnormal"], routine)
        wait = np.where(treated, recipe["interval_treated"], wait)
        factor = np.array(recipe["delay_factor"])[self.kind[due]]
        # Even irregular attenders mostly come when they are recalled soon.
        factor = np.where(soon, 1 + (factor - 1) * recipe["delay_kept_when_abnormal"], factor)
        late = rng.lognormal(0.0, np.array(recipe["delay_spread"])[self.kind[due]])
        self.next_visit[due] = time + np.maximum(wait * factor * late, 0.3)
        self.abnormal_before[due] = abnormal
        self.positive_before[due] = positive
        self.recalls_left[due] = left


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
    visits = visits[visits["woman"].isin(kept)]
    visits = visits[visits["time"] >= _records_from(visits, recipe["records"], rng)].reset_index(drop=True)
    visits[f"{AFTER_PREFIX}observed_years"] = followed_until[visits["woman"]].to_numpy() - visits["time"].to_numpy()
    return Histories(visits, desk.women.loc[kept].rename_axis("woman").reset_index())


def _records_from(visits: pd.DataFrame, settings: Mapping[str, Any], rng: np.random.Generator) -> Floats:
    """From when each woman's results are on record, for each visit: of many women not before their first HPV test.

    So are those of the published tables: a programme began with HPV tests and knows of nothing before.
    """
    starts = np.flatnonzero(np.append(True, np.diff(visits["woman"].to_numpy()) != 0))
    lengths = np.diff(np.append(starts, len(visits)))
    lost = np.repeat(rng.random(len(starts)) < settings["earlier_lost_share"], lengths)
    tested = visits["time"].where(visits["hpv_result"].notna()).groupby(visits["woman"]).transform("min")
    return np.where(lost & tested.notna(), tested, -NEVER)
