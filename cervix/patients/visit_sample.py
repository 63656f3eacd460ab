"""A generated visit table: nobody's data, only its shape."""

import csv
import io
from datetime import date, timedelta

import numpy as np

from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, VISIT_DATE
from cervix.patients.vocabulary import PATIENT_ID

SAMPLE_WOMEN = 40
SAMPLE_SEED = 20
LAST_DAY = date(2025, 6, 30)
SHOWN = ("cytology", "hpv_result", "hpv_16", "hpv_18", "hpv_other_hr", "colposcopy", "histology", "treatment", "smoker")

_HPV_16 = {"hpv_result": "positive", "hpv_16": "positive", "hpv_18": "negative", "hpv_other_hr": "negative"}
_HPV_OTHER = _HPV_16 | {"hpv_16": "negative", "hpv_other_hr": "positive"}
_HPV_NONE = _HPV_OTHER | {"hpv_result": "negative", "hpv_other_hr": "negative"}
# What happened at a woman's last visits, the newest last; before them all her smears were negative.
_STORIES: tuple[tuple[dict[str, str], ...], ...] = (
    (),
    (),
    (),
    ({"cytology": "NILM"} | _HPV_NONE,),
    ({"cytology": "ASC-US", "hpv_result": "negative"},),
    ({"cytology": "NILM"} | _HPV_OTHER,),
    (
        {"cytology": "NILM"} | _HPV_16,
        {
            "cytology": "ASC-US",
            "hpv_result": "positive",
            "hpv_16": "positive",
            "hpv_18": "negative",
            "hpv_other_hr": "negative",
        },
        {"cytology": "ASC-H"} | _HPV_16,
    ),
    ({"cytology": "LSIL", "hpv_result": "positive", "colposcopy": "low-grade", "histology": "CIN1"},),
    (
        {"cytology": "HSIL", "colposcopy": "high-grade", "histology": "CIN3", "treatment": "LEEP"},
        {"cytology": "NILM", "hpv_result": "negative"},
    ),
    ({"cytology": "UNSAT", "hpv_result": "invalid"},),
    ({"cytology": "HSIL", "colposcopy": "inadequate"},),
)
_EMPTY, _SINGLE = 12, 13


def sample_visits_csv(women: int = SAMPLE_WOMEN, *, seed: int = SAMPLE_SEED) -> str:
    """Generate a CSV of screening visits.

    Stories of all kinds in turn, dates and ages drawn; one woman with a single visit, one of whom nothing but dates is
    known. Nothing about any population can be learned from it.
    """
    rng = np.random.default_rng(seed)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [PATIENT_ID, VISIT_DATE, AGE, *SHOWN], restval="", lineterminator="\n")
    writer.writeheader()
    for number in range(1, women + 1):
        story = _STORIES[number % len(_STORIES)]
        before = 0 if number == _SINGLE else int(rng.integers(0 if story else 1, 7))
        results: list[dict[str, str]] = [{"cytology": "NILM"} for _ in range(before)] + [dict(visit) for visit in story]
        results = results or [{"cytology": "NILM"}]
        if number == _EMPTY:
            results = [{} for _ in results]
        day = LAST_DAY - timedelta(days=int(rng.integers(0, 700)))
        age = int(rng.integers(28, 64))
        smoker = str(rng.choice(["yes", "no", ""], p=[0.2, 0.6, 0.2])) if number != _EMPTY else ""
        rows = []
        for back, visit in enumerate(reversed(results)):
            rows.append({PATIENT_ID: f"SAMPLE-{number:03d}", VISIT_DATE: day.isoformat(), AGE: age, "smoker": smoker, **visit})
            gap = int(rng.integers(330, 500) if back < len(story) else rng.integers(650, 1300))
            age -= (LAST_DAY - day + timedelta(days=gap)).days // 365 - (LAST_DAY - day).days // 365
            day -= timedelta(days=gap)
        writer.writerows(reversed(rows))
    return buffer.getvalue()


def blank_visits_csv() -> str:
    """The header alone, to fill in."""
    return ",".join([PATIENT_ID, VISIT_DATE, AGE, *(column.name for column in CODE_COLUMNS)]) + "\n"
