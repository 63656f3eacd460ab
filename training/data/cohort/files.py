"""A simulated screening cohort as files: the visit CSV, the latent truth, and a data sheet."""

import tomllib
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import ceil
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cervix.errors import CervixError
from cervix.files import replacing
from training.data.cohort.course import Course
from training.data.cohort.screening import AFTER_PREFIX, BEFORE_PREFIX, STATES, WAITS, Histories, is_rare, screen
from training.data.cohort.sheet import data_sheet, sheet_is_of
from training.shared.stages import Arrays, Log, Stages

VISITS_FILE, LATENT_FILE, SHEET_FILE = "visits.csv", "latent.csv", "DATASHEET.md"
CODE_COLUMNS = (
    "cytology", "hpv_result", "hpv_16", "hpv_18", "hpv_other_hr", "dual_stain", "colposcopy", "histology", "treatment",
)  # fmt: skip
FACTOR_COLUMNS = {"smoker": "smoker", "immunosuppressed": "immunosuppressed", "hpv_vaccinated": "vaccinated"}
FACTOR_KNOWN_SHARE = 0.75
LATENT_PREFIX = "latent_"
LATENT_COLUMNS = ("state", "infected", "glandular", *WAITS, "observed_years")
TESTED_PREFIX = "tested_"
"""Before a column of ``WAITS``: with the tests of the visit known, before its colposcopy and treatment."""
SMALLEST_POPULATION = 6_000
# Eligible women per simulated person at the start, on the low side. If a batch yields too few, another one follows.
ELIGIBLE_PER_AGENT = 0.40


@dataclass(frozen=True)
class Cohort:
    """A cohort before it is written to files.

    Attributes
    ----------
    visits : DataFrame
        The visit CSV: ``patient_id, visit_date, age`` and codes; one row a visit, ordered by woman and date. Also the truth
        at each visit before treatment, ``latent_state`` and ``latent_biopsied``, which is not written.
    latent : DataFrame
        The truth after each visit, in the same order, ``state_at_visit`` before treatment, and years to disease before the
        work-up (``tested_``). For outcomes and evaluation only, never an input. ``woman`` tells who lived the course:
        of ``screenings`` of one course, all but the first are kept only of women with a rare result, and of those women each
        counts for ``weight``.
    """

    visits: pd.DataFrame
    latent: pd.DataFrame


class CohortError(CervixError, ValueError, code="cohort-refused"):
    """Raised when the requested cohort cannot be made."""


def simulate_cohort(women: int, seed: int, recipe: Mapping[str, Any], log: Log, stages_dir: Path | None = None) -> Cohort:
    """Simulate populations until there are ``women`` eligible women. Equal arguments give equal bytes.

    Populations are simulated in parallel, one per core. Each has its own seed, so the result does not depend on the number
    of cores.

    Parameters
    ----------
    stages_dir : where finished populations are kept; a run that was broken off goes on from them

    Raises
    ------
    CohortError
        If fewer than one woman is requested.
    """
    if women < 1:
        raise CohortError("A cohort needs women", expected="at least 1", found=str(women))
    largest = int(recipe["population"]["agents_per_batch"] * ELIGIBLE_PER_AGENT)
    planned = -(-women // largest)
    agents = max(SMALLEST_POPULATION, ceil(women / planned / ELIGIBLE_PER_AGENT))
    parts: list[list[Histories]] = []
    found = 0
    workers = max(1, min(cpu_count() or 1, 4))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        while found < women:
            numbers = range(len(parts), max(planned, len(parts) + 1))
            for job in [pool.submit(_batch, agents, [seed, number], dict(recipe), stages_dir) for number in numbers]:
                parts.append(job.result())
                found += len(parts[-1][0].women)
                log(f"population of {agents:,}: {found:,} of {women:,} eligible women")
    return _joined(parts, women, seed)


def _batch(agents: int, seeds: list[int], recipe: dict[str, Any], stages_dir: Path | None) -> list[Histories]:
    """One population, screened several times; the first screening whole, of the others the women with a rare result."""
    screening = np.random.SeedSequence(seeds)
    course = population(agents, sum(seeds), recipe, stages_dir)
    times = 1 + recipe["rare"]["more_screenings"]
    screened = [screen(course, recipe, np.random.default_rng(own)) for own in screening.spawn(times)]
    return [screened[0], *(_of(histories, is_rare(histories.visits)) for histories in screened[1:])]


def population(agents: int, seed: int, recipe: Mapping[str, Any], stages_dir: Path | None) -> Course:
    """``simulate_course`` as a stage, where there is a folder for it: minutes of computing."""
    from training.data.cohort.natural_history import simulate_course  # HPVsim takes seconds to import

    if stages_dir is None:
        return simulate_course(agents, seed, recipe)

    def simulated() -> Arrays:
        course = simulate_course(agents, seed, recipe)
        return {f"{table}_{name}": column.to_numpy() for table, frame in vars(course).items() for name, column in frame.items()}

    needs = {name: recipe[name] for name in ("population", "transmission", "factors")}
    stored = Stages(stages_dir, lambda _: None).arrays("population", {"agents": agents, "seed": seed, **needs}, simulated)

    def table(name: str) -> pd.DataFrame:
        return pd.DataFrame({key.removeprefix(f"{name}_"): stored[key] for key in stored if key.startswith(f"{name}_")})

    return Course(table("women"), table("infections"))


def _of(histories: Histories, rare: pd.Series) -> Histories:
    visits = histories.visits[rare.to_numpy(bool)]
    women = histories.women[histories.women["woman"].isin(visits["woman"])]
    return Histories(visits.reset_index(drop=True), women.reset_index(drop=True))


def _joined(parts: list[list[Histories]], women: int, seed: int) -> Cohort:
    """The first ``women`` women of all parts in random order, with pseudonyms and dates, then those with a rare result."""
    flat = [(number, turn, part) for number, turns in enumerate(parts) for turn, part in enumerate(turns)]
    visits = pd.concat([part.visits.assign(part=number, turn=turn) for number, turn, part in flat], ignore_index=True)
    everyone = pd.concat([part.women.assign(part=number, turn=turn) for number, turn, part in flat], ignore_index=True)
    rng = np.random.default_rng([seed, 1])
    first = everyone["turn"] == 0
    chosen = pd.concat([everyone[first].iloc[rng.permutation(int(first.sum()))[:women]], everyone[~first]], ignore_index=True)
    chosen["patient_id"] = [f"S{number:06d}" for number in range(1, len(chosen) + 1)]
    factors = {}
    for column, source in FACTOR_COLUMNS.items():
        known = rng.random(len(chosen)) < FACTOR_KNOWN_SHARE
        factors[column] = np.where(known, np.where(chosen[source], "yes", "no"), "")
    chosen = chosen[["part", "turn", "woman", "patient_id"]].assign(**factors)
    visits["weight"] = np.where(is_rare(visits), 1.0 / (1 + visits["turn"].max()), 1.0)
    visits = visits.merge(chosen, on=["part", "turn", "woman"]).sort_values(["patient_id", "time"], ignore_index=True)
    year = np.floor(visits["time"]).astype(int)
    days = np.floor((visits["time"] - year) * 365).astype("timedelta64[D]")
    visits["visit_date"] = (pd.to_datetime(year.astype(str) + "-01-01") + days).dt.strftime("%Y-%m-%d")
    visits["age"] = np.floor(visits["age"]).astype(int)
    for column in CODE_COLUMNS:
        visits[column] = visits[column].astype(object).where(visits[column].notna(), "")
    shown = ["patient_id", "visit_date", "age", *CODE_COLUMNS, *FACTOR_COLUMNS]
    visits["woman"] = visits["part"].astype(str) + "-" + visits["woman"].astype(str)
    named = {"state": "state_at_visit", "was_glandular": "glandular_at_visit"}
    named |= {BEFORE_PREFIX + name: TESTED_PREFIX + name for name in WAITS}
    own = ["patient_id", "visit_date", "woman", "turn", "weight"]
    latent = visits[[*own, *named, *(AFTER_PREFIX + name for name in LATENT_COLUMNS)]].rename(columns=named)
    states = visits[["state", "biopsied"]].add_prefix(LATENT_PREFIX)
    return Cohort(visits[shown].join(states), _readable(latent.rename(columns=lambda name: name.removeprefix(AFTER_PREFIX))))


def _readable(latent: pd.DataFrame) -> pd.DataFrame:
    yes_no = {name: np.where(latent[name], "yes", "no") for name in ("infected", "glandular", "glandular_at_visit")}
    states = {name: np.array(STATES)[latent[name]] for name in ("state_at_visit", "state")}
    waits = [*WAITS, *(TESTED_PREFIX + name for name in WAITS), "observed_years"]
    years = {name: latent[name].round(4) for name in waits}
    return latent.assign(**states, **yes_no, **years)


def write_cohort(cohort: Cohort, folder: Path, recipe_path: Path, seed: int) -> None:
    """Write ``visits.csv``, ``latent.csv`` and ``DATASHEET.md``; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    once = (cohort.latent["turn"] == 0).to_numpy()
    visible = cohort.visits.loc[:, ~cohort.visits.columns.str.startswith(LATENT_PREFIX)]
    for name, text in (
        (VISITS_FILE, visible.to_csv(index=False)),
        (LATENT_FILE, cohort.latent.to_csv(index=False)),
        (SHEET_FILE, data_sheet(cohort.visits[once], cohort.latent[once], recipe_path, seed)),
    ):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def make_cohort(recipe_path: Path, women: int, seed: int, folder: Path, log: Log, *, reuse: bool = False) -> None:
    """``python -m training data cohort``: simulate and write.

    Parameters
    ----------
    reuse : bool
        Keep an existing cohort of the same recipe, size and seed.
    """
    sheet = folder / SHEET_FILE
    if reuse and sheet.is_file() and sheet_is_of(sheet.read_text(encoding="utf-8"), recipe_path, women, seed):
        log(f"cohort in {folder}: simulated before")
        return
    recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    cohort = simulate_cohort(women, seed, recipe, log, folder.parent / "stages")
    write_cohort(cohort, folder, recipe_path, seed)
    log(f"{women:,} women, {len(cohort.visits):,} visits in {folder}")
