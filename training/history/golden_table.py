"""Made-up women for the golden table of models that read visits, with every code and words used by laboratories."""

import csv
import io
from collections.abc import Mapping, Sequence

from cervix.patients.codes import CODES
from cervix.patients.visit_vocabulary import AGE, GENOTYPES, VISIT_DATE
from cervix.patients.vocabulary import PATIENT_ID

Visit = Mapping[str, str]
FED = tuple(name for name, coded in CODES.items() if coded.features)
COLUMNS = (PATIENT_ID, VISIT_DATE, AGE, *FED, GENOTYPES)
FIRST_YEAR, FIRST_AGE = 2001, 30

AS_LABORATORIES_WRITE: tuple[Sequence[Visit], ...] = (
    (
        {"cytology": "Negative for intraepithelial lesion or malignancy", "hpv_result": "not detected", "smoker": "never"},
        {"cytology": "LGSIL", GENOTYPES: "16 31"},
        {"cytology": "high grade SIL", "colposcopy": "major", "histology": "CIN III", "treatment": "LLETZ"},
        {"cytology": "within normal limits", "hpv_result": "HPV negative"},
    ),
    (
        {"cytology": "II-a", "hpv_result": "nicht nachgewiesen", "smoker": "ja"},
        {"cytology": "II-p", "hpv_result": "nachgewiesen", "hpv_16": "negativ", "hpv_18": "negativ"},
        {"cytology": "III D1", "colposcopy": "low"},
        {"cytology": "IVa-p", "histology": "Plattenepithelkarzinom", "treatment": "Konisation"},
    ),
    (
        {"cytology": "frottis normal", "hpv_result": "non détecté", "smoker": "non"},
        {"cytology": "lésion intraépithéliale de bas grade", "hpv_result": "détecté"},
        {"cytology": "adénocarcinome in situ", "histology": "adenocarcinoma in situ", "treatment": "conization"},
    ),
    (
        {"cytology": "insatisfactoria", "hpv_result": "inválido", "smoker": "sí"},
        {"cytology": "bajo grado", "hpv_result": "positivo", GENOTYPES: "P1"},
        {"cytology": "LIEAG", "colposcopy": "high", "histology": "NIC 2", "treatment": "cryotherapy"},
    ),
    (
        {"cytology": "atypical glandular cells favor neoplastic", "hpv_result": "detected", "hpv_18": "+", "hpv_16": "neg"},
        {"cytology": "ASC-H", "hpv_other_hr": "reactive", "immunosuppressed": "true", "hpv_vaccinated": "unvaccinated"},
        {"cytology": "?", "hpv_result": "not done", "colposcopy": "", "histology": "n.d."},
        {"histology": "CIN2/3", "treatment": "no treatment"},
        {"histology": "cervicitis", "hpv_vaccinated": "vaccinated"},
    ),
)


def golden_visits_csv() -> str:
    """A made-up visit table.

    For each column that a model reads, there is a woman with all its codes in turn; new codes are included automatically.
    There are also women described in words used by laboratories, and three with irregularities of real files: one without
    dates, one with two rows for one day, one out of order; and a woman whose test, biopsy and treatment are three rows of one
    episode, with a visit a day beyond it.
    """
    women = [[{name: code.name} for code in CODES[name].codes] for name in FED]
    rows = [
        {PATIENT_ID: f"G{number:02d}", **_when(at), **visit}
        for number, visits in enumerate([*women, *AS_LABORATORIES_WRITE], 1)
        for at, visit in enumerate(visits)
    ]
    rows += [
        {PATIENT_ID: "H01", AGE: "41", "cytology": "NILM"},
        {PATIENT_ID: "H01", AGE: "46", "cytology": "HSIL", "hpv_result": "positive"},
        {PATIENT_ID: "H02", VISIT_DATE: "2012-05-31", AGE: "33", "cytology": "LSIL"},
        {PATIENT_ID: "H02", VISIT_DATE: "2012-05-31", AGE: "33", "hpv_result": "positive", "hpv_16": "positive"},
        {PATIENT_ID: "H03", VISIT_DATE: "31.12.2015", AGE: "52", "cytology": "ASC-US"},
        {PATIENT_ID: "H03", VISIT_DATE: "15.01.2012", AGE: "48", "cytology": "NILM"},
        {PATIENT_ID: "H03", VISIT_DATE: "28.02.2019", "hpv_result": "negative"},
        {PATIENT_ID: "H04", VISIT_DATE: "2016-01-04", "cytology": "LSIL", "hpv_result": "negative", "smoker": "no"},
        {PATIENT_ID: "H04", VISIT_DATE: "2016-02-01", AGE: "38", "cytology": "AGC", "hpv_result": "positive"},
        {PATIENT_ID: "H04", VISIT_DATE: "2016-04-03", "histology": "CIN2", "treatment": "LEEP", "smoker": "yes"},
        {PATIENT_ID: "H04", VISIT_DATE: "2016-04-04", "cytology": "NILM"},
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _when(visit: int) -> Visit:
    return {VISIT_DATE: f"{FIRST_YEAR + visit}-03-{1 + visit:02d}", AGE: str(FIRST_AGE + visit)}
