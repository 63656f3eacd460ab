"""The columns of the visit table, one row a visit: their codes and the spellings they are met in.

Cytology: Bethesda 2014 (Nayar & Wilbur 2015). Histology: CIN, with the two-tier LAST terms (Darragh et al. 2012).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

VISIT_DATE, AGE, GENOTYPES, SLIDE = "visit_date", "age", "hpv_genotypes", "slide"
HIGH_RISK_GENOTYPES = ("16", "18", "31", "33", "35", "39", "45", "51", "52", "56", "58", "59", "66", "68")
AGE_LOW, AGE_HIGH = 10.0, 110.0


@dataclass(frozen=True)
class CodeColumn:
    """A column that holds one of a few codes.

    Attributes
    ----------
    spellings : mapping
        Folded spelling -> code, the codes themselves included.
    """

    name: str
    label: str
    codes: tuple[str, ...]
    spellings: Mapping[str, str]

    @property
    def accepted(self) -> str:
        """What a cell may hold, in words."""
        return f"{', '.join(self.codes)}, or empty or ? for not done or not known"


def folded(text: str) -> str:
    """A header or cell without the case, spaces and joints in which spellings differ; a sign alone stays a sign."""
    return re.sub(r"(?<=\w)[\s_\-/()]+(?=\w)|[\s_()]+", "", text.strip().casefold())


def _column(name: str, label: str, codes: Iterable[str], **spellings: str) -> CodeColumn:
    known = tuple(codes)
    others = {folded(spelling): code for code, listed in spellings.items() for spelling in listed.split(",")}
    by_code = {code.replace("-", "_"): code for code in known}
    table = {folded(code): code for code in known} | {spelling: by_code[code] for spelling, code in others.items()}
    return CodeColumn(name, label, known, table)


def _result(name: str, label: str, *more: str) -> CodeColumn:
    return _column(
        name, label, ("positive", "negative", *more),
        positive="pos,+,1,detected,reactive", negative="neg,-,0,not detected",
    )  # fmt: skip


def _answer(name: str, label: str) -> CodeColumn:
    return _column(name, label, ("yes", "no"), yes="y,true,1", no="n,false,0")


CODE_COLUMNS: tuple[CodeColumn, ...] = (
    _column(
        "cytology", "Cytology",
        ("UNSAT", "NILM", "ASC-US", "ASC-H", "LSIL", "HSIL", "SCC", "AGC", "AGC-FN", "AIS", "ADC"),
        UNSAT="unsatisfactory,inadequate",
        NILM="normal,negative,neg,within normal limits,wnl,benign",
        ASC_US="ASCUS", ASC_H="ASCH", LSIL="LGSIL,low grade,lowgradesil", HSIL="HGSIL,high grade,highgradesil",
        SCC="squamous cell carcinoma", AGC="AGUS,AGC-NOS,atypical glandular cells",
        AGC_FN="AGC-favour neoplastic,AGC-favor neoplastic", AIS="adenocarcinoma in situ",
        ADC="adenocarcinoma,adeno,adenoca",
    ),
    _result("hpv_result", "HPV test", "invalid"),
    _result("hpv_16", "HPV 16"),
    _result("hpv_18", "HPV 18"),
    _result("hpv_other_hr", "Other high-risk HPV"),
    _column(
        "colposcopy", "Colposcopy", ("normal", "low-grade", "high-grade", "suspicious", "inadequate"),
        low_grade="low,grade 1,minor", high_grade="high,grade 2,major", suspicious="suspicious for invasion,cancer",
        inadequate="unsatisfactory",
    ),
    _result("via", "VIA"),
    _column(
        "histology", "Histology", ("benign", "CIN1", "CIN2", "CIN3", "HSIL", "AIS", "SCC", "ADC", "adenosquamous"),
        benign="normal,negative,no dysplasia,NILM", CIN1="LSIL,CIN I,low grade", CIN2="CIN II", CIN3="CIN III,CIS",
        HSIL="high grade,CIN2/3,CIN 2-3", AIS="adenocarcinoma in situ",
        SCC="squamous cell carcinoma,carcinoma", ADC="adenocarcinoma", adenosquamous="adenosquamous carcinoma",
    ),
    _column(
        "treatment", "Treatment", ("none", "ablation", "LEEP", "cone", "hysterectomy"),
        none="no,untreated", ablation="cryotherapy,cryo,laser,thermal ablation", LEEP="LLETZ,LETZ,loop",
        cone="conisation,conization,cold knife,CKC,NETZ", hysterectomy="TAH",
    ),
    _answer("hiv", "HIV"),
    _answer("immunosuppressed", "Immunosuppressed"),
    _answer("pregnant", "Pregnant"),
    _answer("hpv_vaccinated", "Vaccinated against HPV"),
    _answer("smoker", "Smokes"),
)  # fmt: skip
VISIT_COLUMNS: dict[str, CodeColumn] = {column.name: column for column in CODE_COLUMNS}

_HEADERS = {
    VISIT_DATE: ("date", "visit", "date of visit", "screening date", "visitdate"),
    AGE: ("age at visit", "age years"),
    GENOTYPES: ("genotypes", "hpv types", "hpv genotype"),
    SLIDE: ("slide sha256", "slide file"),
    "cytology": ("citology", "pap", "pap smear", "pap result", "cytology result"),
    "hpv_result": ("hpv", "hr hpv", "hrhpv", "hpv test"),
    "hpv_16": ("hpv16",), "hpv_18": ("hpv18",), "hpv_other_hr": ("hpv other", "other hr hpv"),
    "histology": ("biopsy", "biopsy result", "histology result"),
    "colposcopy": ("colposcopic impression",), "via": (), "treatment": ("procedure",),
    "hiv": ("hiv status",), "immunosuppressed": ("immunosuppression",), "pregnant": ("pregnancy",),
    "hpv_vaccinated": ("vaccinated", "hpv vaccine"), "smoker": ("smokes", "smoking"),
}  # fmt: skip
_BY_HEADER = {folded(spelling): name for name, others in _HEADERS.items() for spelling in (name, *others)}

# Headers that name a person. Such a column is warned of and never kept.
_IDENTIFYING = re.compile(
    r"\bnames?\b|surname|forename|birth|\bdob\b|address|street|postcode|\bzip\b|phone|mobile|e-?mail|passport|"
    r"social.?security|\bssn\b|national.?id|insurance",
    re.IGNORECASE,
)
_IDENTIFYING_VALUE = re.compile(r"\d{3}-\d{2}-\d{4}|[^@\s]+@[^@\s]+\.[a-z]{2,}", re.IGNORECASE)


def visit_column(header: str) -> str | None:
    """The column of the visit table that a header names; None where it names none."""
    return _BY_HEADER.get(folded(header))


def identifies(header: str) -> bool:
    """Whether a header looks like that of a name, birth date, address or number of a person."""
    return _IDENTIFYING.search(header.replace("_", " ")) is not None


def looks_identifying(value: str) -> bool:
    """Whether a whole cell looks like a social-security number or an e-mail address."""
    return _IDENTIFYING_VALUE.fullmatch(value.strip()) is not None
