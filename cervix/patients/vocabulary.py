"""The columns of the UCI "Cervical cancer (Risk Factors)" table (UCI 383; Fernandes, Cardoso & Fernandes 2017)."""

import re
from dataclasses import dataclass
from typing import Literal

from cervix.patients.visit_vocabulary import folded
from cervix.patients.words import PATIENT_HEADERS

Kind = Literal["years", "count", "yes-no"]
Group = Literal["history", "infection", "prior diagnosis", "other test", "outcome"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
        The header as published; the column's name everywhere in the project.
    label : str
        For charts.
    low, high : float
        Plausible range, inclusive, in the column's unit.
    aliases : tuple of str
        Other spellings of the header seen in copies of the table.
    """

    name: str
    label: str
    kind: Kind
    group: Group
    low: float
    high: float
    aliases: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """What a cell may hold, in words."""
        if self.kind == "yes-no":
            return "0 (no), 1 (yes), or empty or ? for not known"
        return f"a number from {self.low:g} to {self.high:g}, or empty or ? for not known"


def _number(name: str, label: str, kind: Kind, high: float, *, low: float = 0.0, group: Group = "history") -> Column:
    return Column(name, label, kind, group, low, high)


def _yes_no(name: str, label: str, group: Group, *aliases: str) -> Column:
    return Column(name, label, "yes-no", group, 0.0, 1.0, aliases)


RISK_FACTORS: tuple[Column, ...] = (
    _number("Age", "Age (years)", "years", 110.0, low=10.0),
    _number("Number of sexual partners", "Sexual partners", "count", 100.0),
    _number("First sexual intercourse", "Age at first intercourse", "years", 80.0, low=5.0),
    _number("Num of pregnancies", "Pregnancies", "count", 30.0),
    _yes_no("Smokes", "Smokes", "history"),
    _number("Smokes (years)", "Years of smoking", "years", 90.0),
    _number("Smokes (packs/year)", "Pack-years of smoking", "count", 200.0),
    _yes_no("Hormonal Contraceptives", "Hormonal contraceptives", "history"),
    _number("Hormonal Contraceptives (years)", "Years of hormonal contraceptives", "years", 60.0),
    _yes_no("IUD", "Intrauterine device", "history"),
    _number("IUD (years)", "Years of intrauterine device", "years", 60.0),
    _yes_no("STDs", "Any sexually transmitted disease", "infection"),
    _number("STDs (number)", "Sexually transmitted diseases", "count", 20.0, group="infection"),
    _yes_no("STDs:condylomatosis", "Condylomatosis", "infection"),
    _yes_no("STDs:cervical condylomatosis", "Cervical condylomatosis", "infection"),
    _yes_no("STDs:vaginal condylomatosis", "Vaginal condylomatosis", "infection"),
    _yes_no("STDs:vulvo-perineal condylomatosis", "Vulvo-perineal condylomatosis", "infection"),
    _yes_no("STDs:syphilis", "Syphilis", "infection"),
    _yes_no("STDs:pelvic inflammatory disease", "Pelvic inflammatory disease", "infection"),
    _yes_no("STDs:genital herpes", "Genital herpes", "infection"),
    _yes_no("STDs:molluscum contagiosum", "Molluscum contagiosum", "infection"),
    _yes_no("STDs:AIDS", "AIDS", "infection"),
    _yes_no("STDs:HIV", "HIV", "infection"),
    _yes_no("STDs:Hepatitis B", "Hepatitis B", "infection"),
    _yes_no("STDs:HPV", "HPV among the diseases reported", "infection"),
    _number("STDs: Number of diagnosis", "Diagnoses of such diseases", "count", 20.0, group="infection"),
    _number("STDs: Time since first diagnosis", "Years since their first diagnosis", "years", 90.0, group="infection"),
    _number("STDs: Time since last diagnosis", "Years since their last diagnosis", "years", 90.0, group="infection"),
    # Diagnoses made before the biopsy: a model that reads them is told part of the answer.
    _yes_no("Dx:Cancer", "Prior diagnosis of cancer", "prior diagnosis"),
    _yes_no("Dx:CIN", "Prior diagnosis of CIN", "prior diagnosis"),
    _yes_no("Dx:HPV", "Prior diagnosis of HPV", "prior diagnosis"),
    _yes_no("Dx", "Any prior diagnosis", "prior diagnosis"),
)
OTHER_TESTS: tuple[Column, ...] = (
    _yes_no("Hinselmann", "Colposcopy (Hinselmann) positive", "other test"),
    _yes_no("Schiller", "Iodine test (Schiller) positive", "other test"),
    _yes_no("Citology", "Cytology positive", "other test", "Cytology"),
)
OUTCOME = _yes_no("Biopsy", "Biopsy positive", "outcome")
COLUMNS: dict[str, Column] = {column.name: column for column in (*RISK_FACTORS, *OTHER_TESTS, OUTCOME)}
PATIENT_ID = "patient_id"


_PATIENT_HEADERS = {folded(header) for header in PATIENT_HEADERS}


def _folded(header: str) -> str:
    return re.sub(r"[\s_]+", " ", header.strip().casefold()).replace(": ", ":")


_BY_HEADER = {_folded(spelling): column for column in COLUMNS.values() for spelling in (column.name, *column.aliases)}


def recognise(header: str) -> Column | None:
    """The column a header names, whatever its case, spacing or known alias; None where it names none."""
    return _BY_HEADER.get(_folded(header))


def is_patient_id(header: str) -> bool:
    """Whether a header names the pseudonymous patient identifier."""
    return folded(header) in _PATIENT_HEADERS
