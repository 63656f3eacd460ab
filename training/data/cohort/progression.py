"""From an infection to CIN1, CIN2, CIN3 and cancer: a small model over HPVsim's infections, fitted to published risks.

HPVsim lets every lesion grow along one curve, so that CIN3 needs years of CIN1 and CIN2 first. Real women with a new infection
have CIN3 within few years or never (Schiffman et al. 2011, J Natl Cancer Inst 103:368). Here a few infections transform: CIN3
follows after a time drawn for each. All others clear, some after CIN1 or CIN2 for a while.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.cohort.course import NEVER, Course

Floats = NDArray[np.float64]


def with_lesions(course: Course, recipe: Mapping[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Infections with the lesions that each causes while nobody treats it.

    Parameters
    ----------
    recipe : mapping
        The ``[progression]``, ``[factors]`` and ``[histology]`` tables of ``recipes/cohort.toml``, by genotype in the order of
        ``GENOTYPES``.

    Returns
    -------
    DataFrame
        Times are calendar years, ``inf``: never. ``woman, genotype, infected, cleared``; ``cin1, cin1_end, cin2, cin2_end``;
        ``cin3``, from when a biopsy would find it ``found``, and ``lesion_end``; ``cancer`` and ``symptoms``, when it is found
        without screening; ``transforms, glandular`` bool.
    """
    settings, infections, women = recipe["progression"], course.infections, course.women
    faster = np.where(women["smoker"], recipe["factors"]["smoker_speed"], 1.0)
    faster *= np.where(women["immunosuppressed"], recipe["factors"]["immunosuppressed_speed"], 1.0)
    genotype = infections["genotype"].to_numpy(np.int64)
    kept = rng.random(len(infections)) < np.array(settings["infections_kept"])[genotype]
    infections, genotype = infections[kept].reset_index(drop=True), genotype[kept]
    count, speed = len(infections), faster[infections["woman"].to_numpy(np.int64)]
    infected = infections["infected"].to_numpy(np.float64)
    lasts = (infections["cleared"].to_numpy(np.float64) - infected) * np.array(settings["duration_factor"])[genotype]
    cleared = infected + np.minimum(np.maximum(lasts, 0.0), rng.exponential(settings["longest_years"], count) + 1.0)

    def share(name: str) -> NDArray[np.bool_]:
        return np.asarray(rng.random(count) < np.array(settings[name])[genotype], bool)

    transforms = rng.random(count) < np.array(settings["transforms"])[genotype] * speed
    cin3 = infected + _lognormal(rng, settings["years_to_cin3"], settings["spread_of_years_to_cin3"], count)
    cin3[~transforms] = NEVER
    lesion_end = cin3 + rng.exponential(1.0, count) / np.array(settings["cin3_regresses_per_year"])[genotype]
    cancer = cin3 + rng.exponential(1.0 / settings["cancer_per_year"], count)
    cancer[cancer >= lesion_end] = NEVER
    lesion_end[np.isfinite(cancer)] = NEVER
    found = cin3 + rng.exponential(settings["years_until_found"], count)
    found[found >= lesion_end] = NEVER
    found = np.minimum(found, cancer)

    begins2 = infected + _lognormal(rng, settings["years_to_cin2"], settings["spread_of_years_to_cin3"], count)
    alone = share("cin2_alone") & ~transforms
    just_before = np.maximum(cin3 - rng.exponential(settings["cin2_before_cin3_years"], count), infected)
    cin2 = np.where(alone, begins2, np.where(transforms, just_before, NEVER))
    cin2_end = np.where(alone, cin2 + rng.exponential(settings["cin2_years"], count), np.where(transforms, cin3, NEVER))
    cin1 = np.where(share("cin1"), infected + rng.exponential(settings["years_to_cin1"], count), NEVER)
    cin1_end = cin1 + rng.exponential(settings["cin1_years"], count)
    # An infection lasts as long as what it causes, and CIN1 no longer than its infection.
    cleared = np.where(transforms, lesion_end, np.where(alone, np.maximum(cleared, cin2_end), cleared))
    cin1[cin1 >= cleared] = NEVER
    cin1_end = np.where(np.isfinite(cin1), np.minimum(cin1_end, cleared), NEVER)
    symptoms = cancer + _lognormal(rng, settings["years_to_symptoms"], 0.8, count)
    glandular = transforms & (rng.random(count) < np.array(recipe["histology"]["glandular_share"])[genotype])
    return pd.DataFrame(
        {
            "woman": infections["woman"].to_numpy(np.int64), "genotype": genotype, "infected": infected, "cleared": cleared,
            "cin1": cin1, "cin1_end": cin1_end, "cin2": cin2, "cin2_end": cin2_end, "cin3": cin3, "found": found,
            "lesion_end": lesion_end, "cancer": cancer, "symptoms": symptoms, "transforms": transforms, "glandular": glandular,
        }
    )  # fmt: skip


def _lognormal(rng: np.random.Generator, median: float, spread: float, count: int) -> Floats:
    return np.asarray(median * np.exp(spread * rng.standard_normal(count)), np.float64)
