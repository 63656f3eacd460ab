"""The simulated cohort looks like a screened population, its tests err as often as cited, and a seed fixes every byte."""

import hashlib
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.cli import RECIPES_DIR
from training.data.cohort.files import (
    LATENT_FILE,
    SHEET_FILE,
    VISITS_FILE,
    Cohort,
    CohortError,
    simulate_cohort,
    write_cohort,
)
from training.data.cohort.screening import CIN2, CIN3
from training.data.cohort.sheet import (
    BIOPSY_SENSITIVE,
    CYTOLOGY_SENSITIVE,
    FAILED,
    HIGH_GRADE_HISTOLOGY,
    HPV_SENSITIVE,
    face_validity,
)

pytestmark = [
    pytest.mark.training,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(find_spec("hpvsim") is None, reason="the cohort needs HPVsim, which the app's environment has not"),
]

RECIPE_PATH = RECIPES_DIR / "cohort.toml"
RECIPE = tomllib.loads(RECIPE_PATH.read_text(encoding="utf-8"))
WOMEN, SEED = 4_000, 7
# A third of the years takes a third of the time, and chance decides in each of them.
SHORT = RECIPE | {"population": RECIPE["population"] | {"start": 2005}}


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate_cohort(WOMEN, SEED, RECIPE, log=lambda _: None)


def test_there_are_as_many_women_as_asked_for_each_with_a_visit(cohort: Cohort) -> None:
    assert cohort.latent.loc[cohort.latent["turn"] == 0, "patient_id"].nunique() == WOMEN
    assert (cohort.visits[["patient_id", "visit_date"]] == cohort.latent[["patient_id", "visit_date"]]).all(axis=None)


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(tmp_path: Path) -> None:
    def digests(made: Cohort, name: str) -> list[str]:
        write_cohort(made, tmp_path / name, RECIPE_PATH, SEED)
        return [
            hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for file in (VISITS_FILE, LATENT_FILE, SHEET_FILE)
        ]

    small = [simulate_cohort(40, seed, SHORT, log=lambda _: None) for seed in (3, 3, 4)]
    first, again, other = (digests(made, str(number)) for number, made in enumerate(small))
    assert first == again
    assert first[0] != other[0]


def test_tests_find_about_as_many_lesions_as_cited(cohort: Cohort) -> None:
    """Koliopoulos et al. 2017: HPV test 92.6 %, cytology 75.5 % of CIN2+; Wentzensen et al. 2015: two biopsies 85.6 %."""
    once = (cohort.latent["turn"] == 0).to_numpy()
    table = face_validity(cohort.visits[once], cohort.latent[once]).set_index("figure")["value"].str.rstrip("%").astype(float)
    assert 88 < table[HPV_SENSITIVE] < 98
    assert 65 < table[CYTOLOGY_SENSITIVE] < 90
    assert 70 < table[BIOPSY_SENSITIVE] < 95
    assert table[FAILED] < 15


def test_who_lives_a_course_again_had_a_rare_result_and_counts_for_less(cohort: Cohort) -> None:
    again = cohort.latent["turn"] > 0
    assert 0.05 < again.mean() < 0.7
    assert set(cohort.latent.loc[again, "weight"]) == {1 / (1 + RECIPE["rare"]["more_screenings"])}
    assert cohort.latent.loc[~again, "weight"].isin([1.0, 1 / (1 + RECIPE["rare"]["more_screenings"])]).all()
    of_woman = cohort.latent.groupby("patient_id")["weight"].nunique()
    assert (of_woman == 1).all()


def test_what_biopsies_find_is_never_before_what_is_there(cohort: Cohort) -> None:
    latent = cohort.latent
    for known in ("", "tested_"):
        for grade in ("cin2", "cin3"):
            assert (latent[f"{known}found_years_to_{grade}"] >= latent[f"{known}years_to_{grade}"] - 1e-9).all()
    assert (latent["found_years_to_cin3"] > latent["years_to_cin3"]).any()


def test_hpv_is_commonest_in_young_women_and_falls_with_age(cohort: Cohort) -> None:
    tested = cohort.visits[cohort.visits["hpv_result"].isin(["positive", "negative"])]
    share = [
        (tested.loc[tested["age"].between(low, high), "hpv_result"] == "positive").mean()
        for low, high in ((25, 34), (35, 49), (50, 75))
    ]
    assert share[0] > share[1] > share[2]
    assert 0.08 < share[0] < 0.30
    assert 0.01 < share[2] < 0.12


def test_hpv_16_leads_in_high_grade_lesions(cohort: Cohort) -> None:
    """De Sanjosé et al. 2010, Lancet Oncol 11:1048: about half or more of the worst lesions."""
    visits = cohort.visits
    typed = visits[(visits["latent_state"] >= CIN3) & (visits["hpv_16"] != "") & (visits["hpv_result"] == "positive")]
    mild = visits[(visits["latent_state"] < CIN2) & (visits["hpv_16"] != "") & (visits["hpv_result"] == "positive")]
    assert (typed["hpv_16"] == "positive").mean() > 1.3 * (mild["hpv_16"] == "positive").mean()


def test_disease_is_as_rare_as_under_screening(cohort: Cohort) -> None:
    once = (cohort.latent["turn"] == 0).to_numpy()
    assert 0.004 < cohort.visits.loc[once, "latent_state"].isin([CIN2, CIN3]).mean() < 0.02
    index = cohort.latent[once].groupby("patient_id").tail(1)
    assert 0.004 < (index.loc[index["observed_years"] >= 3, "years_to_cin2"] <= 3).mean() < 0.03


def test_a_disease_that_is_to_come_is_nearer_at_the_next_visit_unless_treated(cohort: Cohort) -> None:
    latent = cohort.latent
    same = (latent["patient_id"] == latent["patient_id"].shift()).to_numpy()[1:]
    waits, tested = latent["found_years_to_cin3"].to_numpy()[:-1], latent["tested_found_years_to_cin3"].to_numpy()[1:]
    years = pd.to_datetime(latent["visit_date"]).diff().dt.days.to_numpy()[1:] / 365.25
    coming = same & np.isfinite(waits) & (waits > years)
    assert (tested[coming] - (waits - years)[coming] <= 0.01).all()
    assert coming.sum() > 50


def test_who_was_treated_had_a_lesion_before_and_mostly_none_after(cohort: Cohort) -> None:
    treated = (cohort.visits["treatment"] != "").to_numpy()
    had = cohort.visits.loc[treated, "latent_state"] >= CIN2
    has = cohort.latent.loc[treated, "state"].isin(["CIN2", "CIN3", "cancer"])
    assert had.mean() > 0.8
    assert has.mean() < 0.15


def test_cin3_never_comes_before_cin2(cohort: Cohort) -> None:
    latent = cohort.latent
    assert (latent["years_to_cin2"] <= latent["years_to_cin3"]).all()


def test_nobody_with_known_untreated_disease_or_without_a_cervix_is_predicted_for(cohort: Cohort) -> None:
    last = cohort.visits.groupby("patient_id").tail(1)
    assert not (last["histology"].isin(HIGH_GRADE_HISTOLOGY) & (last["treatment"] == "")).any()
    assert not (cohort.visits["treatment"] == "hysterectomy").any()


def test_high_grade_histology_is_mostly_treated_and_treatment_mostly_cures(cohort: Cohort) -> None:
    visits = cohort.visits
    found = visits[visits["histology"].isin(["CIN3", "AIS"])]
    assert (found["treatment"] != "").mean() > 0.85
    next_state = visits.groupby("patient_id")["latent_state"].shift(-1)
    after = next_state[(visits["treatment"] != "") & next_state.notna()]
    assert (after >= CIN2).mean() < 0.15


def test_missing_results_and_unknown_factors_are_empty_not_negative(cohort: Cohort) -> None:
    visits = cohort.visits
    assert set(visits["hpv_16"]) <= {"", "positive", "negative"}
    assert (visits["hpv_result"] == "").mean() > 0.3
    assert 0.15 < (visits.drop_duplicates("patient_id")["smoker"] == "").mean() < 0.35


def test_the_truth_is_not_in_the_visit_file(cohort: Cohort, tmp_path: Path) -> None:
    write_cohort(cohort, tmp_path, RECIPE_PATH, SEED)
    header = (tmp_path / VISITS_FILE).read_text(encoding="utf-8").splitlines()[0]
    assert "latent" not in header
    assert "years_to" not in header
    assert len(pd.read_csv(tmp_path / LATENT_FILE)) == len(cohort.visits)


def test_the_data_sheet_says_that_it_is_simulated_and_quotes_the_whole_recipe(cohort: Cohort, tmp_path: Path) -> None:
    write_cohort(cohort, tmp_path, RECIPE_PATH, SEED)
    sheet = (tmp_path / SHEET_FILE).read_text(encoding="utf-8")
    assert "**Simulated. No row is a real woman.**" in sheet
    assert RECIPE_PATH.read_text(encoding="utf-8").rstrip() in sheet
    for figure in face_validity(cohort.visits, cohort.latent)["figure"]:
        assert figure in sheet


def test_a_cohort_of_nobody_is_refused() -> None:
    with pytest.raises(CohortError, match="at least 1"):
        simulate_cohort(0, SEED, RECIPE, log=lambda _: None)


def test_visits_are_in_order_and_ages_fit_the_dates(cohort: Cohort) -> None:
    visits = cohort.visits
    dates = pd.to_datetime(visits["visit_date"])
    same = visits["patient_id"] == visits["patient_id"].shift()
    assert (dates.diff()[same] > pd.Timedelta(0)).all()
    years, ages = dates.diff()[same].dt.days / 365.25, visits["age"].diff()[same]
    assert np.abs(years - ages).max() < 1.1
