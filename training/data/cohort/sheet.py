"""The data sheet of the cohort: its sources, its results, and what it does not represent."""

import tomllib
from pathlib import Path

import pandas as pd

from cervix.intervals import wilson_interval
from cervix.patients.codes import CODES
from training.data.cohort.screening import ABNORMAL_CYTOLOGY, CANCER, CIN2, CIN3, HIGH_GRADE_HISTOLOGY

NORMAL_CYTOLOGY = CODES["cytology"].named(lambda code: not code.measures_nothing and not code.is_abnormal)
MEASURED_HPV = CODES["hpv_result"].named(lambda code: not code.measures_nothing)
CYTOLOGY_SENSITIVE, HPV_SENSITIVE, BIOPSY_SENSITIVE, HPV_16, FAILED = (
    "Cytology ASC-US or worse, of visits with CIN2+",
    "HPV test positive, of visits with CIN2+",
    "Biopsy CIN2 or worse, of biopsies with CIN2+",
    "HPV 16 found, of typed visits with CIN3+",
    "CIN2+ that biopsies find at the round after treatment",
)
AGE_BANDS = (21, 25, 30, 35, 40, 50, 60, 76)
SOURCES = """\
- HPVsim 3.2 (Stuart et al. 2024, PLOS Computational Biology 20:e1012181): sexual network, transmission, clearance.
- Published risks of real women that guide (Egemen et al. 2020, J Low Genit Tract Dis 24:132-143): how HPV test and smear fall
  by state, by Bayes' rule; how often and how fast infections become CIN2 and CIN3, by search (`training data cohort-fit`).
- Progression of CIN3 to cancer: McCredie et al. 2008 (Lancet Oncol 9:425).
- Treatment failure: Arbyn et al. 2017 (Lancet Oncol 18:1665). Whoever set recurrence after treatment had seen table 5 of the
  published risks, which reports and does not guide.
- Dual stain, order of magnitude: Wentzensen et al. 2019 (JAMA Intern Med 179:881).
- Smoking and progression, direction only: International Collaboration 2006 (Int J Cancer 118:1481).
- All other numbers of the recipe are judgement."""
CITED = {
    CYTOLOGY_SENSITIVE: "75.5 % (Koliopoulos et al. 2017, Cochrane CD008587)",
    HPV_SENSITIVE: "92.6 % (the same)",
    BIOPSY_SENSITIVE: "85.6 % for two biopsies (Wentzensen et al. 2015, J Clin Oncol 33:83)",
    HPV_16: "about half (de Sanjosé et al. 2010, Lancet Oncol 11:1048, of cancers 61 %)",
    FAILED: "6.6 % (Arbyn et al. 2017, Lancet Oncol 18:1665, CIN2+ within 2 years)",
}
CANNOT = """\
- It represents no country: demography, network and attendance are stylised, and nothing was fitted to cancer registries.
- Tests, progression and detection were fitted to one programme in California. With another one the risks differ.
- Errors of repeated tests are independent given the lesion. In reality a laboratory may miss the same woman twice.
- There is one network of partners, and no migration, HIV epidemic, pregnancy, self-sampling or VIA.
- Apart from follow-up of abnormal results, attendance does not depend on risk. In reality it does.
- A figure measured on it shows how well a model learns this simulator, not how well it works for women."""


def data_sheet(visits: pd.DataFrame, latent: pd.DataFrame, recipe_path: Path, seed: int) -> str:
    """Markdown.

    Parameters
    ----------
    visits : with ``latent_state`` and ``latent_biopsied`` beside the columns of the CSV
    latent : the truth after each visit, in the same order
    """
    recipe = recipe_path.read_text(encoding="utf-8")
    named, women = tomllib.loads(recipe)["name"], visits["patient_id"].nunique()
    return "\n".join(
        [
            "# Simulated screening cohort: data sheet",
            "",
            "**Simulated. No row is a real woman.** Research and demonstration only.",
            "",
            f"{_made_of(named, seed, women)} with {len(visits):,} visits, "
            f"{len(visits) / women:.1f} each. `visits.csv` is what a clinic would have; `latent.csv` is the truth "
            "after each visit, for outcomes and evaluation, never an input.",
            "",
            "## Results",
            "",
            _table(face_validity(visits, latent)),
            "",
            "## HPV by age, at visits with an HPV test",
            "",
            _table(hpv_by_age(visits)),
            "",
            "## Sources",
            "",
            SOURCES,
            "",
            "## What it does not represent",
            "",
            CANNOT,
            "",
            "## The whole recipe",
            "",
            "```toml",
            recipe.rstrip(),
            "```",
            "",
        ]
    )


def sheet_is_of(sheet: str, recipe_path: Path, women: int, seed: int) -> bool:
    """Whether a data sheet describes a cohort of this recipe, size and seed. It is written last, so then all files exist."""
    recipe = recipe_path.read_text(encoding="utf-8")
    return _made_of(tomllib.loads(recipe)["name"], seed, women) in sheet and recipe.rstrip() in sheet


def _made_of(name: str, seed: int, women: int) -> str:
    return f"Recipe `{name}`, seed {seed}: {women:,} women"


def face_validity(visits: pd.DataFrame, latent: pd.DataFrame) -> pd.DataFrame:
    """Figures to compare with the literature, each with its 95 % Wilson interval."""
    state = visits["latent_state"]
    squamous_or_not = state >= CIN2
    abnormal, normal = (visits["cytology"].isin(codes) for codes in (ABNORMAL_CYTOLOGY, NORMAL_CYTOLOGY))
    read = abnormal | normal
    tested = visits["hpv_result"].isin(MEASURED_HPV)
    graded = visits["latent_biopsied"] & (visits["histology"] != "")
    typed = visits["hpv_16"] != ""
    same_woman = visits["patient_id"] == visits["patient_id"].shift()
    treated_before = (visits["treatment"].shift(fill_value="") != "") & same_woman
    rows = [
        (CYTOLOGY_SENSITIVE, abnormal, read & squamous_or_not),
        ("Cytology negative, of visits without CIN2+", normal, read & ~squamous_or_not),
        (HPV_SENSITIVE, visits["hpv_result"] == "positive", tested & squamous_or_not),
        ("HPV test negative, of visits without CIN2+", visits["hpv_result"] == "negative", tested & ~squamous_or_not),
        (
            BIOPSY_SENSITIVE,
            visits["histology"].isin(HIGH_GRADE_HISTOLOGY),
            graded & squamous_or_not,
        ),
        (HPV_16, visits["hpv_16"] == "positive", typed & (state >= CIN3)),
        ("HPV 18 found, of typed visits with CIN3+", visits["hpv_18"] == "positive", typed & (state >= CIN3)),
        (FAILED, latent["tested_found_years_to_cin2"] <= 0, treated_before),
        ("Visits with CIN2 or CIN3", state.isin([CIN2, CIN3]), state.notna()),
        ("Visits with undiagnosed cancer", state == CANCER, state.notna()),
    ]
    figures = [(name, int((hit & among).sum()), int(among.sum())) for name, hit, among in rows]
    index = latent.groupby("patient_id").tail(1)
    for years in (3, 5):
        for grade, column in (
            ("CIN2+", "years_to_cin2"),
            ("CIN3+", "years_to_cin3"),
            ("CIN3+ that biopsies find", "found_years_to_cin3"),
        ):
            hit = index[column] <= years
            known = index["observed_years"] >= years
            figures.append((f"{grade} within {years} years of the index visit", int((hit & known).sum()), int(known.sum())))
    return pd.DataFrame(
        [
            {
                "figure": name,
                "value": f"{hits / max(count, 1):.2%}",
                "95 % interval": f"{wilson_interval(hits, count).low:.2%}–{wilson_interval(hits, count).high:.2%}"
                if count
                else "–",
                "n": f"{count:,}",
                "literature": CITED.get(name, ""),
            }
            for name, hits, count in figures
        ]
    )


def hpv_by_age(visits: pd.DataFrame) -> pd.DataFrame:
    """Share of HPV tests that are positive, by age band in years."""
    tested = visits[visits["hpv_result"].isin(MEASURED_HPV)]
    band = pd.cut(tested["age"], AGE_BANDS, right=False)
    rows = []
    for interval, members in tested.groupby(band, observed=True):
        hits = int((members["hpv_result"] == "positive").sum())
        share = wilson_interval(hits, len(members))
        rows.append(
            {
                "age": f"{interval.left}–{interval.right - 1}",
                "HPV positive": f"{share.value:.1%}",
                "95 % interval": f"{share.low:.1%}–{share.high:.1%}",
                "n": f"{len(members):,}",
            }
        )
    return pd.DataFrame(rows)


def _table(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
