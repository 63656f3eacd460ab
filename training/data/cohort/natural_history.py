"""The latent course of HPV infection in a simulated female population, from HPVsim.

HPVsim (Stuart et al. 2024, PLOS Computational Biology 20:e1012181) is an agent-based model of sexual networks, HPV
transmission by genotype and progression. This module records who is infected with what, and for how long. What the infections
cause is drawn in ``training.data.cohort.progression``; tests and treatment in ``training.data.cohort.screening``.
"""

from collections.abc import Mapping
from typing import Any

import hpvsim as hpv
import numpy as np
import pandas as pd
import starsim as ss
from numpy.typing import NDArray

from training.data.cohort.course import GENOTYPES, NEVER, Course

STEP_YEARS = 0.25
Floats = NDArray[np.float64]


def simulate_course(agents: int, seed: int, recipe: Mapping[str, Any]) -> Course:
    """Simulate one population. Equal seeds give equal results.

    Parameters
    ----------
    agents : int
        Women and men alive at the start.
    recipe : mapping
        The ``[population]``, ``[transmission]`` and ``[factors]`` tables of ``recipes/cohort.toml``.
    """
    population, transmission = recipe["population"], recipe["transmission"]
    factors, log = _Factors(recipe["factors"]), _InfectionLog()
    sim = hpv.Sim(
        start=population["start"],
        stop=population["stop"],
        dt=STEP_YEARS,
        rand_seed=seed,
        genotypes=list(GENOTYPES),
        genotype_pars={name: _genotype_parameters(name, recipe) for name in GENOTYPES},
        people=ss.People(agents, age_data=_age_pyramid(), extra_states=[ss.BoolArr("fine", default=False)]),
        demographics=[
            hpv.Births(birth_rate=ss.peryear(population["births_per_1000"])),
            ss.Deaths(death_rate=_death_table()),
        ],
        nw_pars={
            "m_cross_layer": transmission["male_cross_layer"],
            "f_cross_layer": transmission["female_cross_layer"],
            "m_partners_casual": ss.poisson(lam=transmission["extra_casual_partners"]),
            "f_partners_casual": ss.poisson(lam=transmission["extra_casual_partners"]),
            "dur_pship_casual": ss.lognorm_ex(mean=transmission["casual_years"], std=transmission["casual_years"]),
            "debut_f": ss.normal(loc=transmission["debut_age_female"], scale=2.1),
            "debut_m": ss.normal(loc=transmission["debut_age_male"], scale=1.8),
        },
        connectors=[factors],
        analyzers=[log],
        copy_inputs=False,
        verbose=0,
    )
    # Common random numbers are for comparing scenarios. Without them a run takes a third less time and is as reproducible.
    with ss.options.context(crn=False):
        sim.run()
    return _course(sim, factors, log, population["start"])


def _genotype_parameters(name: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    defaults = hpv.get_genotype_pars(name)
    cancer = dict(defaults.cancer_fn)
    cancer["transform_prob"] = cancer["transform_prob"] * recipe["population"]["cancer_factor"]
    return {
        "beta": recipe["transmission"]["per_act"],
        "rel_beta": recipe["transmission"]["relative"][GENOTYPES.index(name)],
        "cancer_fn": ss.Pars(cancer),
        "dur_undetected": ss.lognorm_ex(
            mean=ss.years(recipe["population"]["years_to_symptoms"]), std=ss.years(recipe["population"]["years_to_symptoms"])
        ),
    }


class _InfectionLog(ss.Analyzer):  # type: ignore[misc]  # untyped base class
    """Records every new infection of a woman with the time at which it clears."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, NDArray[Any]]] = []

    def step(self) -> None:
        female = self.sim.people.female
        for index, name in enumerate(GENOTYPES):
            module = self.sim.diseases[name]
            new = (module.ti_infected == module.ti).uids
            new = new[female[new]]
            if len(new):
                self.rows.append(
                    {
                        "woman": np.asarray(new),
                        "genotype": np.full(len(new), index),
                        "infected": np.full(len(new), float(module.ti)),
                        "cleared": np.asarray(module.ti_clearance[new]),
                    }
                )


class _Factors(ss.Connector):  # type: ignore[misc]  # untyped base class
    """Applies smoking, immunosuppression and vaccination through HPVsim's own multipliers."""

    def __init__(self, factors: Mapping[str, Any]) -> None:
        super().__init__()
        self.settings = dict(factors)
        self.define_states(
            ss.BoolState("drawn"), ss.BoolState("smoker"), ss.BoolState("immunosuppressed"),
            ss.BoolState("offered"), ss.BoolState("vaccinated"),
        )  # fmt: skip
        self._smokes = ss.bernoulli(p=factors["smoker_share"])
        self._immunosuppressed = ss.bernoulli(p=factors["immunosuppressed_share"])
        self._vaccinated = ss.bernoulli(p=factors["vaccinated_share"])

    def step(self) -> None:
        settings = self.settings
        immunity = next(c for c in self.sim.connectors.values() if isinstance(c, hpv.CrossImmunity))
        new = (~self.drawn).uids
        if len(new):
            immunity.ensure_rel_sev(new)
            self.drawn[new] = True
            smokers, immune = self._smokes.filter(new), self._immunosuppressed.filter(new)
            self.smoker[smokers] = True
            self.immunosuppressed[immune] = True
            immunity.rel_sev[smokers] = immunity.rel_sev[smokers] * settings["smoker_speed"]
            immunity.rel_sev[immune] = immunity.rel_sev[immune] * settings["immunosuppressed_speed"]
        suppressed = self.immunosuppressed.uids
        modules = [self.sim.diseases[name] for name in GENOTYPES]
        for module in modules:
            module.rel_sus[suppressed] = module.rel_sus[suppressed] * settings["immunosuppressed_susceptibility"]
        year = self.sim.pars.start.years + self.ti * STEP_YEARS
        if year >= settings["vaccination_from"]:
            people = self.sim.people
            girls = (people.female & (people.age >= settings["vaccination_age"]) & ~self.offered).uids
            self.offered[girls] = True
            young = girls[people.age[girls] < settings["vaccination_age"] + 2.0]
            vaccinated = self._vaccinated.filter(young)
            self.vaccinated[vaccinated] = True
            for module, efficacy in zip(modules, list(settings["vaccine_efficacy"]), strict=True):
                module.vax_imm[vaccinated] = efficacy


def _course(sim: hpv.Sim, factors: _Factors, log: _InfectionLog, start: float) -> Course:
    """HPVsim's arrays and step numbers as tables in calendar years."""
    people, seen = sim.people, len(sim.people.uid.raw)
    female = np.asarray(people.female.raw[:seen], bool) & np.isfinite(people.age.raw[:seen])
    died = np.asarray(people.ti_dead.raw[:seen], np.float64)
    last = sim.t.npts - 1
    died = np.where(np.isfinite(died) & (died <= last), died, np.nan)
    exit_step = np.where(np.isnan(died), float(last), died)
    born = start + exit_step * STEP_YEARS - np.asarray(people.age.raw[:seen], np.float64)
    women = pd.DataFrame(
        {
            "born": born,
            "exit": np.where(np.isnan(died), NEVER, start + died * STEP_YEARS),
            **{
                name: np.asarray(getattr(factors, name).raw[:seen], bool)
                for name in ("smoker", "immunosuppressed", "vaccinated")
            },
        }
    )[female].reset_index(names="uid")
    number = np.full(seen, -1)
    number[women["uid"]] = np.arange(len(women))
    infections = pd.DataFrame({key: np.concatenate([row[key] for row in log.rows]) for key in log.rows[0]})
    infections["woman"] = number[infections["woman"]]
    for event in ("infected", "cleared"):
        steps = infections[event].to_numpy(np.float64)
        infections[event] = np.where(np.isnan(steps), NEVER, start + steps * STEP_YEARS)
    order = ["woman", "infected", "genotype"]
    return Course(women.drop(columns="uid"), infections.sort_values(order, ignore_index=True)[[*order, "cleared"]])


def _age_pyramid() -> pd.DataFrame:
    """Initial age distribution, declining with age according to the death table."""
    ages = np.arange(0, 90)
    return pd.DataFrame({"age": ages, "value": np.exp(-np.cumsum(_mortality(ages)))})


def _death_table() -> pd.DataFrame:
    ages = np.arange(0, 101, 5)
    rates = pd.DataFrame({"AgeGrpStart": ages, "mx": _mortality(ages)})
    return pd.concat([rates.assign(Time=year, Sex=sex) for year in (1900, 2100) for sex in ("Male", "Female")])


def _mortality(ages: NDArray[np.integer]) -> Floats:
    """Deaths per person-year after Gompertz: 0.0005 at age 30, doubling every 8 years."""
    return np.asarray(0.0005 * 2.0 ** ((ages - 30) / 8.0), np.float64)
