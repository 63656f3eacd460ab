"""The codes of the visit table: each on one line with all that anything makes of it.

Words that laboratories use for a code are in ``words``. Everything else follows from here: what a history model is fed
(``encoding``), what is drawn (``figures``), what is proven (``diagnosis``), what the guideline's and the simulated programme's
referral rules ask for, and the cohort's data sheet.

Cytology: Bethesda 2014 (Nayar & Wilbur 2015). Histology: CIN, with the two-tier LAST terms (Darragh et al. 2012). Dual stain:
p16 and Ki-67 in one cell of a smear (Clarke et al. 2024, J Low Genit Tract Dis 28:124-130).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final


class Severity(IntEnum):
    """How a result is drawn."""

    NORMAL, LOW, HIGH = range(3)


class Referral(IntEnum):
    """What a smear or type of HPV calls for.

    Colposcopy at any risk: Perkins et al. 2020, section on thresholds and exceptions. The two steps below it are those of the
    simulated programme, set by judgement: with a positive HPV test or when it is found again, and at once.
    """

    NONE, IF_IT_STAYS, AT_ONCE, AT_ANY_RISK = range(4)


@dataclass(frozen=True)
class Code:
    """One code of a column.

    Attributes
    ----------
    grades : tuple of float, optional
        Grade in each of the column's features, in their order. None: it measures nothing (an unsatisfactory smear, an
        invalid test), so the model is told that there was no result.
    severity : Severity
        Of a code that measures nothing, as it was always drawn: normal.
    cin : (int, int), optional
        Lowest and highest grade that a histology leaves open: 1 stands for CIN1 and less, 3 for CIN3, AIS and cancer, which
        the question CIN3+ counts together (Perkins et al. 2020, J Low Genit Tract Dis 24:102-131).
    cancer : bool
        Whether a histology proves cancer (WHO 2020).
    treats : bool
        Whether a treatment removes or destroys a lesion and leaves the cervix.
    """

    name: str
    grades: tuple[float, ...] | None = ()
    severity: Severity = Severity.NORMAL
    referral: Referral = Referral.NONE
    cin: tuple[int, int] | None = None
    cancer: bool = False
    treats: bool = False

    @property
    def measures_nothing(self) -> bool:
        return self.grades is None

    @property
    def calls_for_colposcopy(self) -> bool:
        """Whatever the risk."""
        return self.referral is Referral.AT_ANY_RISK

    @property
    def is_abnormal(self) -> bool:
        """Whether it has a grade above the lowest in any feature."""
        return any(grade > 0 for grade in self.grades or ())


@dataclass(frozen=True)
class Coded:
    """A column of codes.

    Attributes
    ----------
    features : mapping
        Name -> label of the numbers that a history model can be fed from it, one grade of each code for each; empty where no
        model reads the column.
    codes : tuple of Code
        In the order in which they are shown.
    """

    label: str
    codes: tuple[Code, ...]
    features: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for code in self.codes:
            if code.grades is not None and len(code.grades) != len(self.features):
                raise ValueError(f"{code.name}: {len(code.grades)} grades for the features {list(self.features)}")

    def named(self, chosen: Callable[[Code], bool]) -> tuple[str, ...]:
        """Names of the codes that are chosen, in order."""
        return tuple(code.name for code in self.codes if chosen(code))


_LOW, _HIGH = Severity.LOW, Severity.HIGH
_IF_IT_STAYS, _AT_ONCE, _AT_ANY_RISK = Referral.IF_IT_STAYS, Referral.AT_ONCE, Referral.AT_ANY_RISK
_POSITIVE, _NEGATIVE = Code("positive", (1,), _HIGH), Code("negative", (0,))
_POSITIVE_TYPE = Code("positive", (1,), _HIGH, _AT_ANY_RISK)
_ANSWERS = (Code("yes", (1,), _HIGH), Code("no", (0,)))
_ANSWERS_NOT_FED = (Code("yes", (), _HIGH), Code("no"))

CODES: Final[dict[str, Coded]] = {
    "cytology": Coded(
        "Cytology",
        (
            Code("UNSAT", None),
            Code("NILM", (0, 0)),
            Code("ASC-US", (1, 0), _LOW, _IF_IT_STAYS),
            Code("ASC-H", (3, 0), _HIGH, _AT_ANY_RISK),
            Code("LSIL", (2, 0), _LOW, _AT_ONCE),
            Code("HSIL", (4, 0), _HIGH, _AT_ANY_RISK),
            Code("SCC", (5, 0), _HIGH, _AT_ANY_RISK),
            Code("AGC", (0, 1), _LOW, _AT_ANY_RISK),
            Code("AGC-FN", (0, 2), _HIGH, _AT_ANY_RISK),
            Code("AIS", (0, 3), _HIGH, _AT_ANY_RISK),
            Code("ADC", (0, 4), _HIGH, _AT_ANY_RISK),
        ),
        {"cytology_squamous": "Cytology, squamous grade", "cytology_glandular": "Cytology, glandular grade"},
    ),
    "hpv_result": Coded("HPV test", (_POSITIVE, _NEGATIVE, Code("invalid", None)), {"hpv": "HPV test"}),
    "hpv_16": Coded("HPV 16", (_POSITIVE_TYPE, _NEGATIVE), {"hpv_16": "HPV 16"}),
    "hpv_18": Coded("HPV 18", (_POSITIVE_TYPE, _NEGATIVE), {"hpv_18": "HPV 18"}),
    "hpv_other_hr": Coded("Other high-risk HPV", (_POSITIVE, _NEGATIVE), {"hpv_other": "Other high-risk HPV"}),
    "dual_stain": Coded(
        "p16/Ki-67 dual stain",
        (Code("positive", (1,), _HIGH), Code("negative", (0,)), Code("inconclusive", None)),
        {"dual_stain": "p16/Ki-67 dual stain"},
    ),
    "colposcopy": Coded(
        "Colposcopy",
        (
            Code("normal", (0,)),
            Code("low-grade", (1,), _LOW),
            Code("high-grade", (2,), _HIGH),
            Code("suspicious", (3,), _HIGH),
            Code("inadequate", None),
        ),
        {"colposcopy": "Colposcopic impression"},
    ),
    "via": Coded("VIA", (Code("positive", (), _HIGH), Code("negative"))),
    "histology": Coded(
        "Histology",
        (
            Code("benign", (0,), cin=(0, 1)),
            Code("CIN1", (1,), _LOW, cin=(0, 1)),
            Code("CIN2", (2,), _HIGH, cin=(2, 2)),
            Code("CIN3", (3,), _HIGH, cin=(3, 3)),
            Code("HSIL", (3,), _HIGH, cin=(2, 3)),
            Code("AIS", (3,), _HIGH, cin=(3, 3)),
            Code("SCC", (4,), _HIGH, cin=(3, 3), cancer=True),
            Code("ADC", (4,), _HIGH, cin=(3, 3), cancer=True),
            Code("adenosquamous", (4,), _HIGH, cin=(3, 3), cancer=True),
        ),
        {"histology": "Histology grade"},
    ),
    "treatment": Coded(
        "Treatment",
        (
            Code("none", (0,)),
            Code("ablation", (1,), _LOW, treats=True),
            Code("LEEP", (2,), _HIGH, treats=True),
            Code("cone", (3,), _HIGH, treats=True),
            Code("hysterectomy", (4,), _HIGH),
        ),
        {"treatment": "Treatment"},
    ),
    "hiv": Coded("HIV", _ANSWERS_NOT_FED),
    "immunosuppressed": Coded("Immunosuppressed", _ANSWERS, {"immunosuppressed": "Immunosuppressed"}),
    "pregnant": Coded("Pregnant", _ANSWERS_NOT_FED),
    "hpv_vaccinated": Coded("Vaccinated against HPV", _ANSWERS, {"hpv_vaccinated": "Vaccinated against HPV"}),
    "smoker": Coded("Smokes", _ANSWERS, {"smoker": "Smokes"}),
}
"""VIA, HIV and pregnancy can be fed to no model: the cohort that the history model learns from does not have them. Of the other
columns a model reads those that its manifest names; none that ships reads the dual stain yet."""
