"""The codes that other systems use for what the visit table holds: one table, each row with the name its system gives it.

The choice follows the published decision support for cervical cancer screening of CDC and MITRE (ccsm-cds-tools on GitHub,
Apache 2.0: value sets CervicalCytologyResult, CervicalHistologyResult, HpvTestResult, PertinentProcedureShortList and its
library DashboardLibrary) and the value sets "HPV Test" and "Pap Test" of eCQM CMS124 (VSAC
2.16.840.1.113883.3.464.1003.110.12.1059 and .108.12.1017). A code that could mean two codes of ours is not in it: excision of
the cervix (120038005) is a loop or a knife, carcinoma in situ of the cervix (ICD-10 D06) squamous or glandular, and a test of
low-risk types too (38372-9) is no test for high-risk ones. Two that say less than a code of ours carry a note for whoever
reads the file. What is not in it is read by its words, or is a problem.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cervix.interop.fhir.resources import LOINC, SNOMED
from cervix.patients.hpv import HPV_16, HPV_18, HPV_ANY, HPV_OTHER
from cervix.patients.words import RESULTS

ICD_10 = "http://hl7.org/fhir/sid/icd-10"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
NOTHING_SAID: Final = (
    "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    "http://terminology.hl7.org/CodeSystem/data-absent-reason",
)
"""Systems all of whose codes say that nothing is known."""
ICD_OF_THE_CERVIX: Final = re.compile(r"(?:C53|D06|N87|R87\.61|R87\.8[12]0|Z85\.41|Z86\.001|Z90\.71)")
"""ICD-10 and ICD-10-CM: cancer of the cervix and its precursors, then or once; abnormal smears, HPV; a cervix that is gone."""
ICD_MARKING: Final = ("D06", "D06.0", "D06.1", "D06.7", "D06.9", "N87", "N87.9", "Z85.41", "Z86.001", "Z90.710", "Z90.712")
"""Those among them that are no code of ours and yet change what an answer means: asked for, so that they mark the woman."""
CDC, ECQM = "CDC and MITRE, cervical cancer screening CDS", "eCQM CMS124, VSAC"
NAMES = "the code's fully specified name"
NOTHING: Final = ""
"""In place of a code of ours: it is known, and no result."""


@dataclass(frozen=True)
class Observed:
    """A LOINC code of what was observed.

    Attributes
    ----------
    column : str
        Of the visit table, for a positive result or any other.
    if_negative : str
        Column of which a negative result speaks; ``NOTHING`` where it tells of some types only and so of no column.
    """

    code: str
    name: str
    column: str
    if_negative: str
    source: str


def _test(code: str, name: str, column: str, source: str, if_negative: str | None = None) -> Observed:
    return Observed(code, name, column, column if if_negative is None else if_negative, source)


_POOL = "16+18+31+33+35+39+45+51+52+56+58+59+66+68"
TESTS: Final[tuple[Observed, ...]] = (
    _test("10524-7", "Microscopic observation [Identifier] in Cervix by Cyto stain", "cytology", ECQM),
    _test("18500-9", "Microscopic observation [Identifier] in Cervix by Cyto stain.thin prep", "cytology", ECQM),
    _test("19762-4",
          "General categories [Interpretation] of Cervical or vaginal smear or scraping by Cyto stain", "cytology", ECQM),
    _test("19765-7", "Microscopic observation [Identifier] in Cervical or vaginal smear or scraping by Cyto stain", "cytology",
          ECQM),
    _test("33717-0", "Cervical AndOr vaginal cytology study", "cytology", ECQM),
    _test("47527-7", "Cytology report of Cervical or vaginal smear or scraping Cyto stain.thin prep", "cytology", ECQM),
    _test("47528-5", "Cytology report of Cervical or vaginal smear or scraping Cyto stain", "cytology", ECQM),
    _test("21440-3", "Human papilloma virus 16+18+31+33+35+45+51+52+56 DNA [Presence] in Cervix by Probe", HPV_ANY, CDC),
    _test("30167-1",
          "Human papilloma virus 16+18+31+33+35+39+45+51+52+56+58+59+68 DNA [Presence] in Cervix by Probe with signal "
          "amplification", HPV_ANY, ECQM),
    _test("59420-0",
          f"Human papilloma virus {_POOL} DNA [Presence] in Cervix by Probe with signal amplification", HPV_ANY, ECQM),
    _test("69002-4", "Human papilloma virus E6+E7 mRNA [Presence] in Cervix by NAA with probe detection", HPV_ANY, ECQM),
    _test("77379-6", "Human papilloma virus 16 and 18 and 31+33+35+39+45+51+52+56+58+59+66+68 DNA [Interpretation] in Cervix",
          HPV_ANY, ECQM),
    _test("82675-0", f"Human papilloma virus {_POOL} DNA [Presence] in Cervix by NAA with probe detection", HPV_ANY, ECQM),
    _test("59263-4", "Human papilloma virus 16 DNA [Presence] in Cervix by Probe with signal amplification", HPV_16, ECQM),
    _test("77399-4", "Human papilloma virus 16 DNA [Presence] in Cervix by NAA with probe detection", HPV_16, ECQM),
    _test("82456-5", "Human papilloma virus 16 E6+E7 mRNA [Presence] in Cervix by NAA with probe detection", HPV_16, ECQM),
    _test("59264-2", "Human papilloma virus 18 DNA [Presence] in Cervix by Probe with signal amplification", HPV_18, ECQM),
    _test("77400-0", "Human papilloma virus 18 DNA [Presence] in Cervix by NAA with probe detection", HPV_18, ECQM),
    # 18 or 45 when positive; neither when negative.
    _test("75694-0", "Human papilloma virus 18+45 E6+E7 mRNA [Presence] in Cervix by NAA with probe detection", HPV_ANY, ECQM,
          HPV_18),
    _test("71431-1", "Human papilloma virus 31+33+35+39+45+51+52+56+58+59+66+68 DNA [Presence] in Cervix by NAA with probe "
          "detection", HPV_OTHER, ECQM),
    _test("95539-3", "Human papilloma virus 31 DNA [Presence] in Cervix by NAA with probe detection", HPV_OTHER, ECQM, NOTHING),
    _test("104170-6", "Human papilloma virus 31+33+52+58 DNA [Presence] in Cervix by NAA with probe detection", HPV_OTHER, ECQM,
          NOTHING),
    _test("65753-6", "Cervix Pathology biopsy report", "histology", CDC),
    _test("82810-3", "Pregnancy status", "pregnant", CDC),
    _test("30525-0", "Age", "age", "LOINC, as in our own export"),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A code of what was found.

    Attributes
    ----------
    columns : tuple of str
        Of the visit table, in which it may stand as a result.
    means : str
        Code of ours; ``NOTHING`` where it is none.
    becomes : str
        Another column that it speaks of; empty where it is the one it stands in.
    note : str
        What the reader should know where it is met; mostly empty.
    """

    system: str
    code: str
    name: str
    columns: tuple[str, ...]
    means: str
    source: str
    becomes: str = ""
    note: str = ""


def _snomed(
    code: str, name: str, columns: str | tuple[str, ...], means: str, source: str, becomes: str = "", note: str = ""
) -> Answer:
    return Answer(SNOMED, code, name, (columns,) if isinstance(columns, str) else columns, means, source, becomes, note)


def _loinc(code: str, name: str, means: str) -> Answer:
    return Answer(LOINC, code, name, RESULTS, means, "LOINC answer lists LL744-4 and LL1055-4")


_HSIL_OR_CARCINOMA: Final = "The code for HSIL or carcinoma (416033009) is read as HSIL."
_TUMOUR: Final = "A malignant tumour of the cervix of no stated type is read as SCC, as the word carcinoma is."
ANSWERS: Final[tuple[Answer, ...]] = (
    _snomed("10828004", "Positive (qualifier value)", RESULTS, "positive", CDC),
    _snomed("260373001", "Detected (qualifier value)", RESULTS, "positive", CDC),
    _snomed("260385009", "Negative (qualifier value)", RESULTS, "negative", CDC),
    _snomed("260415000", "Not detected (qualifier value)", RESULTS, "negative", NAMES),
    _loinc("LA6576-8", "Positive", "positive"),
    _loinc("LA6577-6", "Negative", "negative"),
    _loinc("LA11882-0", "Detected", "positive"),
    _loinc("LA11883-8", "Not detected", "negative"),
    _snomed("720005005",
            "Human papillomavirus deoxyribonucleic acid test positive, high risk on cervical specimen (finding)", HPV_ANY,
            "positive", CDC),
    _snomed("787724008", "Human papillomavirus deoxyribonucleic acid test negative (finding)", HPV_ANY, "negative", CDC),
    _snomed("708298003",
            "Deoxyribonucleic acid of Human papillomavirus 16 (substance)", (HPV_ANY, HPV_16), "positive", CDC, HPV_16),
    _snomed("708299006",
            "Deoxyribonucleic acid of Human papillomavirus 18 (substance)", (HPV_ANY, HPV_18), "positive", CDC, HPV_18),
    _snomed("126481000119106", "Vaginal Papanicolaou smear unsatisfactory for evaluation (finding)", "cytology", "UNSAT", CDC),
    _snomed("373887005", "Negative for intraepithelial lesion or malignancy (finding)", "cytology", "NILM", CDC),
    _snomed("441087007",
            "Atypical squamous cells of undetermined significance on cervical Papanicolaou smear (finding)", "cytology",
            "ASC-US", CDC),
    _snomed("441088002",
            "Atypical squamous cells on cervical Papanicolaou smear cannot exclude high grade squamous intraepithelial "
            "lesion (finding)", "cytology", "ASC-H", CDC),
    _snomed("62051000119105",
            "Low grade squamous intraepithelial lesion on cervical Papanicolaou smear (finding)", "cytology", "LSIL",
            CDC),
    _snomed("62061000119107",
            "High grade squamous intraepithelial lesion on cervical Papanicolaou smear (finding)", "cytology", "HSIL",
            CDC),
    _snomed("416033009",
            "Cervicovaginal cytology: High grade squamous intraepithelial lesion or carcinoma (finding)", "cytology", "HSIL",
            CDC, note=_HSIL_OR_CARCINOMA),
    _snomed("441219009", "Atypical glandular cells on cervical Papanicolaou smear (finding)", "cytology", "AGC", CDC),
    _snomed("441094005", "Atypical endocervical cells on cervical Papanicolaou smear (finding)", "cytology", "AGC", CDC),
    _snomed("103646000",
            "Atypical endometrial cells of undetermined significance (morphologic abnormality)", "cytology", "AGC", CDC),
    _snomed("373883009", "Atypical glandular cells, favor neoplastic (morphologic abnormality)", "cytology", "AGC-FN", CDC),
    _snomed("373882004", "Atypical endocervical cells, favor neoplastic (morphologic abnormality)", "cytology", "AGC-FN", CDC),
    _snomed("412716005", "Cervical smear transformation zone cells absent (situation)", "cytology", NOTHING, CDC),
    _snomed("22725004",
            "High-grade squamous intraepithelial lesion (morphologic abnormality)", ("cytology", "histology"), "HSIL", CDC),
    _snomed("447760009", "Endocervical adenocarcinoma in situ (disorder)", ("cytology", "histology"), "AIS", CDC),
    _snomed("254890008", "Adenocarcinoma in situ of cervix (disorder)", ("cytology", "histology"), "AIS", CDC),
    _snomed("1162767002", "Squamous cell carcinoma (morphologic abnormality)", ("cytology", "histology"), "SCC", CDC),
    _snomed("1187332001", "Adenocarcinoma (morphologic abnormality)", ("cytology", "histology"), "ADC", NAMES),
    _snomed("165324008", "Biopsy result normal (finding)", "histology", "benign", CDC),
    _snomed("285836003", "Cervical intraepithelial neoplasia grade 1 (disorder)", "histology", "CIN1", CDC),
    _snomed("285838002", "Cervical intraepithelial neoplasia grade 2 (disorder)", "histology", "CIN2", CDC),
    _snomed("20365006", "Squamous intraepithelial neoplasia, grade III (morphologic abnormality)", "histology", "CIN3", CDC),
    _snomed("363354003", "Malignant tumor of cervix (disorder)", "histology", "SCC", CDC, note=_TUMOUR),
    _snomed("112631006", "Specimen unsatisfactory for diagnosis (finding)", "histology", NOTHING, CDC),
    _snomed("77386006", "Patient currently pregnant (finding)", "pregnant", "yes", CDC),
    _snomed("60001007", "Not pregnant (finding)", "pregnant", "no", NAMES),
)  # fmt: skip
PROCEDURES: Final[tuple[Answer, ...]] = (
    _snomed("23140002", "Loop electrosurgical excision procedure of cervix (procedure)", "treatment", "LEEP", CDC),
    _snomed("54535009", "Cone biopsy of cervix (procedure)", "treatment", "cone", NAMES),
    _snomed("74580009", "Cauterization of lesion of cervix (procedure)", "treatment", "ablation", CDC),
    _snomed("116140006", "Total hysterectomy (procedure)", "treatment", "hysterectomy", CDC),
    # They say that it was done, and nothing of what was seen.
    _snomed("392003006", "Colposcopy (procedure)", "treatment", NOTHING, CDC),
    _snomed("176786003", "Colposcopy of cervix (procedure)", "treatment", NOTHING, CDC),
    _snomed("52889002", "Endocervical curettage (procedure)", "treatment", NOTHING, CDC),
    _snomed("51675008", "Punch biopsy of cervix (procedure)", "treatment", NOTHING, NAMES),
)


def _icd(code: str, name: str, column: str, means: str, note: str = "") -> tuple[Answer, ...]:
    return tuple(Answer(system, code, name, (column,), means, "ICD-10", "", note) for system in (ICD_10, ICD_10_CM))


CONDITIONS: Final[tuple[Answer, ...]] = (
    *(answer for answer in ANSWERS if answer.name.endswith("(disorder)") or answer.means == "yes"),
    _snomed("86406008", "Human immunodeficiency virus infection (disorder)", "hiv", "yes", NAMES),
    _snomed("370388006", "Patient immunocompromised (finding)", "immunosuppressed", "yes", CDC),
    *_icd("B20", "Human immunodeficiency virus [HIV] disease", "hiv", "yes"),
    *_icd("Z21", "Asymptomatic human immunodeficiency virus [HIV] infection status", "hiv", "yes"),
    *_icd("Z33.1", "Pregnant state, incidental", "pregnant", "yes"),
    *_icd("N87.0", "Mild cervical dysplasia", "histology", "CIN1"),
    *_icd("N87.1", "Moderate cervical dysplasia", "histology", "CIN2"),
    *_icd("C53", "Malignant neoplasm of cervix uteri", "histology", "SCC", _TUMOUR),
    *_icd("C53.0", "Malignant neoplasm of endocervix", "histology", "SCC", _TUMOUR),
    *_icd("C53.1", "Malignant neoplasm of exocervix", "histology", "SCC", _TUMOUR),
    *_icd("C53.8", "Malignant neoplasm of overlapping sites of cervix uteri", "histology", "SCC", _TUMOUR),
    *_icd("C53.9", "Malignant neoplasm of cervix uteri, unspecified", "histology", "SCC", _TUMOUR),
)

Coding = tuple[str, str]


def _by_code(answers: Iterable[Answer]) -> dict[Coding, Answer]:
    return {(answer.system, answer.code): answer for answer in answers}


TEST_BY_CODE: Final[dict[Coding, Observed]] = {(LOINC, test.code): test for test in TESTS}
ANSWER_BY_CODE: Final = _by_code(ANSWERS)
PROCEDURE_BY_CODE: Final = _by_code(PROCEDURES)
CONDITION_BY_CODE: Final = _by_code(CONDITIONS)
KNOWN_CODES: Final = TEST_BY_CODE.keys() | ANSWER_BY_CODE.keys() | PROCEDURE_BY_CODE.keys() | CONDITION_BY_CODE.keys()
