"""A woman for every published history, made from the words of its row, apart from the code that reads them."""

import csv
import io
from datetime import date, timedelta

HEADER = [
    "patient_id", "visit_date", "age", "cytology", "hpv_result", "hpv_16", "hpv_18", "colposcopy", "histology", "treatment",
    "pregnant",
]  # fmt: skip
LAST, AGE = date(2025, 6, 1), 40
TODAY = date(2026, 1, 1)

SMEAR = {
    "NILM": "NILM", "ASC-US": "ASC-US", "LSIL": "LSIL", "ASC-H": "ASC-H", "AGC": "AGC", "HSIL+": "HSIL", "ASC-US/LSIL": "LSIL",
    "High Grade": "ASC-H", "ALL": "",
}  # fmt: skip
HPV = {
    "HPV-negative": {"hpv_result": "negative"},
    "HPV-positive": {"hpv_result": "positive"},
    "HPV16+": {"hpv_result": "positive", "hpv_16": "positive", "hpv_18": "negative"},
    "HPV16-, HPV18+": {"hpv_result": "positive", "hpv_16": "negative", "hpv_18": "positive"},
    "HPV16-,18+": {"hpv_result": "positive", "hpv_16": "negative", "hpv_18": "positive"},
}
COTEST = {"hpv_result": "negative", "cytology": "NILM"}
HPV_ALONE = {"hpv_result": "negative"}
NEGATIVE = {
    "Cotest-negative": [COTEST], "Cotest-negative x2": [COTEST] * 2, "Cotest-negative x3": [COTEST] * 3,
    "HPV-negative": [HPV_ALONE], "HPV-negative x2": [HPV_ALONE] * 2, "HPV-negative x3": [HPV_ALONE] * 3,
}  # fmt: skip
FIRST = {
    "NO HISTORY": [],
    "HPV-positive/NILM": [{"hpv_result": "positive", "cytology": "NILM"}],
    "HPV-negative/ASC-US": [{"hpv_result": "negative", "cytology": "ASC-US"}],
    "HPV-negative/LSIL": [{"hpv_result": "negative", "cytology": "LSIL"}],
    "HPV-negative/ASC-US/LSIL": [{"hpv_result": "negative", "cytology": "ASC-US"}],
    "Low Grade": [{"hpv_result": "positive", "cytology": "ASC-US", "colposcopy": "low-grade", "histology": "CIN1"}],
    "High Grade": [{"hpv_result": "positive", "cytology": "HSIL", "colposcopy": "normal", "histology": "benign"}],
    "CIN 2 or 3": [{"hpv_result": "positive", "cytology": "HSIL", "histology": "CIN3", "treatment": "LEEP"}],
} | NEGATIVE  # fmt: skip


def rounds_of_row(history: str, hpv: str, cytology: str) -> list[dict[str, str]]:
    """Her rounds in the order of time, the last the present one."""
    past = [one for part in history.split("|") for one in FIRST[part.strip()]]
    if not cytology:
        return [*past, *NEGATIVE[hpv]]
    return [*past, HPV[hpv] | {"cytology": SMEAR[cytology]}]


def rounds_at_colposcopy(referral: str, biopsy: str) -> list[dict[str, str]]:
    """The same of a row of table 3."""
    found = {"colposcopy": "low-grade", "histology": "CIN1" if biopsy == "CIN1" else "benign"}
    if referral == "HPV-positive NILM x2":
        return [FIRST["HPV-positive/NILM"][0], FIRST["HPV-positive/NILM"][0] | found]
    words = referral.split()
    positive = {"hpv_result": "positive"} if len(words) == 2 else {}
    return [positive | {"cytology": SMEAR[words[-1]]} | found]


def visits_csv(women: dict[str, list[dict[str, str]]], *, age: int = AGE, last: date = LAST) -> bytes:
    """A visit table: rounds a year apart, the last on the same day for all."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HEADER, restval="")
    writer.writeheader()
    for woman, rounds in women.items():
        for back, results in zip(reversed(range(len(rounds))), rounds, strict=True):
            day = last - timedelta(days=365 * back)
            own = {"patient_id": woman, "visit_date": day.isoformat(), "age": str(age - back), "pregnant": "no"}
            writer.writerow(own | results)
    return buffer.getvalue().encode()
