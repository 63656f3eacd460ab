"""Fit the simulator to published risks: tests by Bayes' rule, the course of disease by search.

Only the rows of ``read_published`` that may guide are read. Tests: the published tables say how many women had each result of
HPV test and smear, and what share of them had CIN2 and CIN3+ at once; so they also say how results are distributed among women
with CIN3+, with CIN2 and with neither. What remains, infection and progression, is searched so that simulated risks at once and
after 1, 3 and 5 years agree.
"""

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.published_risks import CURRENT, GRADES, YEARS
from training.data.cohort.course import Course
from training.data.cohort.files import population
from training.data.cohort.published import read_published
from training.data.cohort.screening import (
    CANCER,
    CIN1,
    CIN2,
    CIN3,
    GLANDULAR_CIN3,
    HIDDEN_CIN3,
    INFECTION,
    NO_INFECTION,
    SEEN,
    SMEARS,
    TRANSFORMING,
    screen,
)  # fmt: skip
from training.shared.stages import Log

Floats = NDArray[np.float64]
AGES = (25, 65)
FROM_YEAR = 2003
"""Women and years of the published tables (Egemen et al. 2020)."""
HPV_POSITIVE_SHARE, HPV16_SHARE, HPV18_SHARE = 126_429 / 1_546_462, 0.257, 0.086
"""Of women without a known history, and of the positive among them (the published tables, women by result)."""
PERSISTING_SHARE = 0.35
"""Positive again a year after a positive test and a normal smear; by judgement, after Rodríguez et al. 2008, J Natl Cancer
Inst 100:513, of whose infections about a third persisted for a year."""
ENOUGH_EVENTS = 10.0
SMALLEST_RISK = 2e-4
LARGEST_SQUARE = 2.0
ROUNDS = 2
_GLANDULAR = (0.03, 0.005, 0.002, 0.003, 0.04, 0.01, 0.22, 0.08, 0.04, 0.08, 0.36, 0.13)
_CIN1 = (0.07, 0.015, 0.02, 0.001, 0.0003, 0.0003, 0.34, 0.24, 0.29, 0.015, 0.003, 0.008)
_NEGATIVE_INFECTED = (0.93, 0.045, 0.02, 0.002, 0.0025, 0.0005)
_FALSE_POSITIVE = (0.80, 0.10, 0.07, 0.012, 0.012, 0.006)
_CANCER_TIMES = (3.0, 0.5, 0.3, 1.0, 3.0, 2.0, 0.3, 0.5, 0.3, 1.0, 1.5, 1.5)
HIDDEN_LIKE_CIN3 = 0.4
"""By judgement, for nobody publishes them: results in glandular CIN3, in CIN1, in infection with a negative test and without
infection with a positive one; cancer as multiples of CIN3. CIN3 that is not found yet lies between infection and CIN3."""


@dataclass(frozen=True)
class Sensitivity:
    """HPV test of an infection that clears, of one that will become CIN3, and of CIN3 that no biopsy would find yet; 0..1."""

    infection: float
    transforming: float
    hidden: float


def tests_together(published: pd.DataFrame, shares: Floats, of_hpv: Sensitivity) -> dict[str, list[float]]:
    """Distribution of HPV result and smear by what tests see.

    Parameters
    ----------
    published : rows of ``read_published``; those without a known history are used
    shares : (9,) of screened women by what tests see, in the order of ``SEEN``

    Returns
    -------
    ``SEEN`` -> (12,), ``SMEARS`` with a negative, then with a positive HPV test.
    """
    women, cin3, cin2 = _current(published)
    joint = women / women.sum()
    with_cin3, with_cin2 = _shared(joint * cin3), _shared(joint * (cin2 - cin3))
    glandular, cin1 = _shared(np.array(_GLANDULAR)), _shared(np.array(_CIN1))
    of_glands = shares[GLANDULAR_CIN3] / max(shares[GLANDULAR_CIN3] + shares[CIN3], 1e-12)
    squamous = _shared(np.maximum(with_cin3 - of_glands * glandular, with_cin3 * 0.1))
    neither, half = joint * (1 - cin2), len(SMEARS)
    needed = neither[half:] - shares[CIN1] * cin1[half:]
    positive = shares[INFECTION] * of_hpv.infection + shares[TRANSFORMING] * of_hpv.transforming
    false = max(needed.sum() - positive, 0.002 * shares[NO_INFECTION])
    found = _shared(np.maximum(needed - false * np.array(_FALSE_POSITIVE), 0.0))
    infected = _joined(1 - of_hpv.infection, np.array(_NEGATIVE_INFECTED), found)
    healthy = neither[:half] - shares[CIN1] * cin1[:half] - shares[INFECTION] * infected[:half]
    share = false / shares[NO_INFECTION]
    nothing = _joined(1 - share, _shared(np.maximum(healthy, neither[:half] * 0.3)), np.array(_FALSE_POSITIVE))
    like = (1 - HIDDEN_LIKE_CIN3) * found + HIDDEN_LIKE_CIN3 * _shared(squamous[half:])
    table = {
        NO_INFECTION: nothing, INFECTION: infected, CIN1: cin1, CIN2: with_cin2, CIN3: squamous,
        CANCER: _shared(squamous * np.array(_CANCER_TIMES)),
        HIDDEN_CIN3: _joined(1 - of_hpv.hidden, np.array(_NEGATIVE_INFECTED), like), GLANDULAR_CIN3: glandular,
        TRANSFORMING: _joined(1 - of_hpv.transforming, np.array(_NEGATIVE_INFECTED), found),
    }  # fmt: skip
    return {SEEN[at]: [float(f"{value:.3g}") for value in row] for at, row in table.items()}


def _current(published: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Women, CIN3+ and CIN2+ at once by HPV result and smear, without a known history: ``(12,)`` each."""
    rows = published[published["kind"] == CURRENT].set_index(["hpv", "cytology"])
    keys = [(hpv, "HSIL+" if smear == "HSIL" else smear) for hpv in ("HPV-negative", "HPV-positive") for smear in SMEARS]
    columns = ("women", "published_cin3_0", "published_cin2_0")
    women, cin3, cin2 = (rows[name].reindex(keys).to_numpy(np.float64) for name in columns)
    return women, cin3, cin2


def _shared(values: Floats) -> Floats:
    return np.asarray(values / values.sum(), np.float64)


def _joined(negative_share: float, negative: Floats, positive: Floats) -> Floats:
    return np.concatenate([negative_share * _shared(negative), (1 - negative_share) * _shared(positive)])


def simulated(courses: Sequence[Course], recipe: dict[str, Any], seed: int) -> pd.DataFrame:
    """All visits of all courses, each beside the one before it (``earlier_``), of women and years like the published ones."""
    parts = [
        screen(course, recipe, np.random.default_rng([seed, at])).visits.assign(part=at) for at, course in enumerate(courses)
    ]
    visits = pd.concat(parts, ignore_index=True)
    visits["smear"] = visits["cytology"].replace({"SCC": "HSIL", "AIS": "HSIL", "ADC": "HSIL", "AGC-FN": "AGC"})
    same = (visits[["part", "woman"]] == visits[["part", "woman"]].shift()).all(axis=1)
    for name in ("hpv_result", "smear", "colposcopy", "histology", "treatment"):
        visits[f"earlier_{name}"] = visits[name].shift().where(same)
    visits["first_test"] = visits["hpv_result"].notna().groupby([visits["part"], visits["woman"]]).cumsum() == 1
    return visits[visits["age"].between(*AGES, inclusive="left") & (visits["time"] >= FROM_YEAR)]


def shares_seen(visits: pd.DataFrame) -> Floats:
    """Share of women at their first HPV test by what tests see, in the order of ``SEEN``."""
    seen = visits.loc[visits["first_test"], "seen_as"].to_numpy()
    return np.bincount(seen, minlength=len(SEEN)) / len(seen)


def agreement(visits: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Simulated beside published risk of groups of histories that may guide.

    Returns
    -------
    One row a group, grade and horizon: ``group, grade, years, simulated, published`` (0..1), ``events, visits``, ``counts``.
    """
    positive, negative = visits["hpv_result"] == "positive", visits["hpv_result"] == "negative"
    minor, high = ("ASC-US", "LSIL"), ("ASC-H", "AGC", "HSIL")
    type_16 = visits["hpv_16"] == "positive"
    type_18 = (visits["hpv_16"] == "negative") & (visits["hpv_18"] == "positive")
    new = visits["first_test"]
    groups: list[tuple[str, pd.Series, str, str, Sequence[str], float]] = [
        ("HPV-negative, NILM", negative & new, "NO HISTORY", "HPV-negative", ("NILM",), 2.0),
        ("HPV-negative, ASC-US or LSIL", negative & new, "NO HISTORY", "HPV-negative", minor, 1.0),
        *(
            (f"HPV-positive, {smear}", positive & new, "NO HISTORY", "HPV-positive", (smear,), 2.0)
            for smear in ("NILM", *minor)
        ),
        ("HPV-positive, ASC-H or worse", positive & new, "NO HISTORY", "HPV-positive", high, 1.0),
        ("HPV 16, LSIL or less", type_16 & new, "NO HISTORY", "HPV16+", ("NILM", *minor), 2.0),
        ("HPV 18, LSIL or less", type_18 & new, "NO HISTORY", "HPV16-, HPV18+", ("NILM", *minor), 1.0),
    ]
    less = visits["earlier_histology"].isin(("benign", "CIN1")) & visits["earlier_treatment"].isna()
    of_high = visits["earlier_smear"].isin(high)
    for history, before in (("Low Grade", less & ~of_high), ("High Grade", less & of_high)):
        groups += [
            (f"{history} < CIN2, HPV-negative, NILM", before & negative, history, "HPV-negative", ("NILM",), 1.0),
            (f"{history} < CIN2, HPV-positive, NILM", before & positive, history, "HPV-positive", ("NILM",), 1.0),
            (f"{history} < CIN2, HPV-positive, minor", before & positive, history, "HPV-positive", minor, 1.0),
        ]
    rows = []
    may = published[published["guides"] == "yes"]
    for name, chosen, history, hpv, smears, counts in groups:
        here = visits[chosen & visits["smear"].isin(smears)]
        names = {*smears, "HSIL+" if "HSIL" in smears else "", "ASC-US/LSIL" if set(smears) == set(minor) else ""}
        theirs = may[(may["history"] == history) & (may["hpv"] == hpv) & may["cytology"].isin(names)]
        for grade in GRADES:
            wait = here[f"before_found_years_to_{grade}"]
            for years in YEARS:
                events = int((wait <= years).sum())
                risk = float(np.average(theirs[f"published_{grade}_{years}"], weights=theirs["women"]))
                share = events / max(len(here), 1)
                rows.append((name, grade, years, share, risk, events, len(here), counts))
    return pd.DataFrame(rows, columns=["group", "grade", "years", "simulated", "published", "events", "visits", "counts"])


def misfit(visits: pd.DataFrame, published: pd.DataFrame) -> float:
    """Mean squared logarithm of simulated over published risk; groups with few expected events count for less.

    A quarter of the squared logarithms of HPV prevalence, of the shares of types 16 and 18, and of persistence is added.
    """
    table = agreement(visits, published)
    ratio = np.log((table["events"] + 0.5) / table["visits"].clip(lower=1) / table["published"].clip(lower=SMALLEST_RISK))
    weight = table["counts"] * np.minimum(table["published"] * table["visits"] / ENOUGH_EVENTS, 1.0)
    risks = float(np.average(np.minimum(ratio**2, LARGEST_SQUARE), weights=weight))
    tested, typed = (
        visits[visits["hpv_result"].notna()],
        visits[visits["hpv_16"].notna() & (visits["hpv_result"] == "positive")],
    )
    again = tested[
        (tested["earlier_hpv_result"] == "positive") & (tested["earlier_smear"] == "NILM") & tested["earlier_colposcopy"].isna()
    ]
    found = [
        ((tested.loc[tested["first_test"], "hpv_result"] == "positive").mean(), HPV_POSITIVE_SHARE),
        ((typed["hpv_16"] == "positive").mean(), HPV16_SHARE),
        ((typed["hpv_18"] == "positive").mean(), HPV18_SHARE),
        ((again["hpv_result"] == "positive").mean(), PERSISTING_SHARE),
    ]
    return risks + 0.25 * sum(float(np.log(max(share, 1e-6) / wanted) ** 2) for share, wanted in found)


def suggested(trial: optuna.trial.BaseTrial) -> tuple[dict[str, Any], Sensitivity]:
    """The parameters of the course of disease that are searched: ``[progression]`` of the recipe, and the HPV test."""

    def share(name: str, low: float, high: float) -> float:
        return trial.suggest_float(name, low, high, log=True)

    transforms = [share("q16", 0.01, 0.08), share("q18", 0.004, 0.05), share("qhi", 0.006, 0.05), share("qo", 0.003, 0.03)]
    others = trial.suggest_float("kept", 0.5, 1.0)
    kept = [trial.suggest_float("kept16", 0.2, 0.7), others, others, others]
    lasts = trial.suggest_float
    lasting = [lasts("dur16", 0.8, 4.0), lasts("dur18", 0.8, 4.0), lasts("duro", 1.0, 5.0)]
    regresses = [share("reg16", 0.005, 0.1), share("regh", 0.08, 0.6), share("rego", 0.08, 0.6)]
    alone = trial.suggest_float("c2", 0.5, 2.5)
    progression = {
        "transforms": transforms,
        "infections_kept": kept,
        "duration_factor": [*lasting, lasting[-1]],
        "years_to_cin3": trial.suggest_float("t3", 1.2, 5.0),
        "cin3_regresses_per_year": [regresses[0], *regresses],
        "years_until_found": share("found", 0.3, 2.0),
        "cin2_years": trial.suggest_float("c2y", 0.8, 3.0),
        "cin2_alone": [at * alone for at in (0.08 * trial.suggest_float("c2_16", 0.4, 1.2), 0.04, 0.05, 0.03)],
    }
    names = ("hpv_inf", "hpv_transforming", "hpv_hidden")
    return progression, Sensitivity(*(trial.suggest_float(name, 0.65, 0.98) for name in names))


def with_fitted(
    recipe: Mapping[str, Any], progression: Mapping[str, Any], together: Mapping[str, list[float]]
) -> dict[str, Any]:  # fmt: skip
    """The recipe with another course of disease and other tests."""
    other = deepcopy(dict(recipe))
    other["progression"] |= progression
    other["tests"]["together"] = dict(together)
    return other


def tried(
    courses: Sequence[Course], recipe: Mapping[str, Any], progression: Mapping[str, Any], of_hpv: Sensitivity,
    published: pd.DataFrame, shares: Floats, seed: int,
) -> tuple[dict[str, Any], pd.DataFrame, Floats]:  # fmt: skip
    """Simulate with tests that fit what the simulation itself has of each state: recipe, visits and shares of the last round.

    Parameters
    ----------
    shares : a first guess, as ``shares_seen`` gives them
    """
    for _ in range(ROUNDS):
        own = with_fitted(recipe, progression, tests_together(published, shares, of_hpv))
        visits = simulated(courses, own, seed)
        shares = shares_seen(visits)
    return own, visits, shares


def fit_cohort(
    recipe_path: Path, published_path: Path, agents: int, populations: int, trials: int, seed: int, out_dir: Path, log: Log
) -> dict[str, Any]:  # fmt: skip
    """Search, and write ``trials.csv``, ``agreement.csv`` of the best and ``fitted.toml``, what the recipe takes over.

    A search that was broken off goes on: populations and trials are kept under ``out_dir``.

    Returns
    -------
    The recipe with what was fitted.
    """
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    published = read_published(published_path)
    courses = [population(agents, seed + number, recipe, out_dir / "stages") for number in range(populations)]
    log(f"{populations} populations of {agents:,}")
    start = np.array([0.9085, 0.070, 0.0055, 0.0064, 0.0037, 2e-5, 1.0e-3, 4e-4, 0.004])
    storage = f"sqlite:///{out_dir / 'trials.sqlite'}"
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(study_name=recipe["name"], storage=storage, load_if_exists=True, sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        progression, of_hpv = suggested(trial)
        _, visits, _ = tried(courses, recipe, progression, of_hpv, published, start, seed)
        return misfit(visits, published)

    def told(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        log(f"trial {trial.number}: {trial.value:.4f}, best {study.best_value:.4f}")

    study.optimize(objective, n_trials=max(trials - len(study.trials), 0), callbacks=[told])
    progression, of_hpv = suggested(optuna.trial.FixedTrial(study.best_params))
    fitted, visits, shares = tried(courses, recipe, progression, of_hpv, published, start, seed)
    table = study.trials_dataframe(attrs=("number", "value", "params")).rename(
        columns=lambda name: name.removeprefix("params_")
    )
    table.round(5).to_csv(out_dir / "trials.csv", index=False)
    agreement(visits, published).round(6).to_csv(out_dir / "agreement.csv", index=False)
    lines = [
        f"# of screened women by what tests see: {dict(zip(SEEN, shares.round(5).tolist(), strict=True))}",
        "[progression]",
    ]
    lines += [f"{name} = {_rounded(value)}" for name, value in progression.items()]
    lines += ["", "[tests.together]", *(f'"{name}" = {row}' for name, row in fitted["tests"]["together"].items()), ""]
    (out_dir / "fitted.toml").write_text("\n".join(lines), encoding="utf-8")
    return fitted


def _rounded(value: Any) -> Any:
    return [_rounded(each) for each in value] if isinstance(value, list) else float(f"{value:.3g}")
