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
from training.data.cohort.natural_history import simulate_course
from training.data.cohort.screening import AFTER_PREFIX, STATES, Histories, screen
from training.data.cohort.sheet import data_sheet, sheet_is_of
from training.shared.stages import Log

VISITS_FILE, LATENT_FILE, SHEET_FILE = "visits.csv", "latent.csv", "DATASHEET.md"
CODE_COLUMNS = ("cytology", "hpv_result", "hpv_16", "hpv_18", "hpv_other_hr", "colposcopy", "histology", "treatment")
FACTOR_COLUMNS = {"smoker": "smoker", "immunosuppressed": "immunosuppressed", "hpv_vaccinated": "vaccinated"}
FACTOR_KNOWN_SHARE = 0.75
LATENT_PREFIX = "latent_"
LATENT_COLUMNS = ("state", "infected", "glandular", "years_to_cin2", "years_to_cin3", "observed_years")
SMALLEST_POPULATION = 6_000
# Eligible women per simulated person at the start, on the low side. If a batch yields too few, another one follows.
ELIGIBLE_PER_AGENT = 0.38


@dataclass(frozen=True)
class Cohort:
    """A cohort before it is written to files.

    Attributes
    ----------
    visits : DataFrame
        The visit CSV: ``patient_id, visit_date, age`` and codes; one row a visit, ordered by woman and date. Also the truth
        at each visit before treatment, ``latent_state`` and ``latent_biopsied``, which is not written.
    latent : DataFrame
        The truth after each visit, in the same order, and ``state_at_visit`` before treatment. For outcomes and
        evaluation only, never an input.
    """

    visits: pd.DataFrame
    latent: pd.DataFrame


class CohortError(CervixError, ValueError, code="cohort-refused"):
    """Raised when the requested cohort cannot be made."""


def simulate_cohort(women: int, seed: int, recipe: Mapping[str, Any], log: Log) -> Cohort:
    """Simulate populations until there are ``women`` eligible women. Equal arguments give equal bytes.

    Populations are simulated in parallel, one per core. Each has its own seed, so the result does not depend on the number
    of cores.

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
    parts: list[Histories] = []
    found = 0
    workers = max(1, min(cpu_count() or 1, 4))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        while found < women:
            numbers = range(len(parts), max(planned, len(parts) + 1))
            for job in [pool.submit(_batch, agents, [seed, number], dict(recipe)) for number in numbers]:
                parts.append(job.result())
                found += len(parts[-1].women)
                log(f"population of {agents:,}: {found:,} of {women:,} eligible women")
    return _joined(parts, women, seed)


def _batch(agents: int, seeds: list[int], recipe: dict[str, Any]) -> Histories:
    course_seed, screening = np.random.SeedSequence(seeds).spawn(2)
    course = simulate_course(agents, int(course_seed.generate_state(1)[0]) % 2**31, recipe)
    return screen(course, recipe, np.random.default_rng(screening))


def _joined(parts: list[Histories], women: int, seed: int) -> Cohort:
    """The first ``women`` women of all parts in random order, with pseudonyms and dates."""
    visits = pd.concat([part.visits.assign(part=number) for number, part in enumerate(parts)], ignore_index=True)
    everyone = pd.concat([part.women.assign(part=number) for number, part in enumerate(parts)], ignore_index=True)
    rng = np.random.default_rng([seed, 1])
    chosen = everyone.iloc[rng.permutation(len(everyone))[:women]].reset_index(drop=True)
    chosen["patient_id"] = [f"S{number:06d}" for number in range(1, len(chosen) + 1)]
    factors = {}
    for column, source in FACTOR_COLUMNS.items():
        known = rng.random(len(chosen)) < FACTOR_KNOWN_SHARE
        factors[column] = np.where(known, np.where(chosen[source], "yes", "no"), "")
    chosen = chosen[["part", "woman", "patient_id"]].assign(**factors)
    visits = visits.merge(chosen, on=["part", "woman"]).sort_values(["patient_id", "time"], ignore_index=True)
    year = np.floor(visits["time"]).astype(int)
    days = np.floor((visits["time"] - year) * 365).astype("timedelta64[D]")
    visits["visit_date"] = (pd.to_datetime(year.astype(str) + "-01-01") + days).dt.strftime("%Y-%m-%d")
    visits["age"] = np.floor(visits["age"]).astype(int)
    for column in CODE_COLUMNS:
        visits[column] = visits[column].astype(object).where(visits[column].notna(), "")
    shown = ["patient_id", "visit_date", "age", *CODE_COLUMNS, *FACTOR_COLUMNS]
    latent = visits[["patient_id", "visit_date", "state", "was_glandular", *(AFTER_PREFIX + name for name in LATENT_COLUMNS)]]
    latent = latent.rename(columns={"state": "state_at_visit", "was_glandular": "glandular_at_visit"})
    states = visits[["state", "biopsied"]].add_prefix(LATENT_PREFIX)
    return Cohort(visits[shown].join(states), _readable(latent.rename(columns=lambda name: name.removeprefix(AFTER_PREFIX))))


def _readable(latent: pd.DataFrame) -> pd.DataFrame:
    yes_no = {name: np.where(latent[name], "yes", "no") for name in ("infected", "glandular", "glandular_at_visit")}
    states = {name: np.array(STATES)[latent[name]] for name in ("state_at_visit", "state")}
    years = {name: latent[name].round(4) for name in ("years_to_cin2", "years_to_cin3", "observed_years")}
    return latent.assign(**states, **yes_no, **years)


def write_cohort(cohort: Cohort, folder: Path, recipe_path: Path, seed: int) -> None:
    """Write ``visits.csv``, ``latent.csv`` and ``DATASHEET.md``; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    visible = cohort.visits.loc[:, ~cohort.visits.columns.str.startswith(LATENT_PREFIX)]
    for name, text in (
        (VISITS_FILE, visible.to_csv(index=False)),
        (LATENT_FILE, cohort.latent.to_csv(index=False)),
        (SHEET_FILE, data_sheet(cohort.visits, cohort.latent, recipe_path, seed)),
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
    cohort = simulate_cohort(women, seed, recipe, log)
    write_cohort(cohort, folder, recipe_path, seed)
    log(f"{women:,} women, {len(cohort.visits):,} visits in {folder}")
