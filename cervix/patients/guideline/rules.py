"""Rules of the guideline that no risk overrides: which step is the least, and which women get none."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from cervix.patients import hpv
from cervix.patients.codes import CODES
from cervix.patients.guideline.course import ASC_US, LSIL, NILM, Course, Visit
from cervix.patients.guideline.ladder import COLPOSCOPY, EXPEDITED_AGE, ONE_YEAR, PERKINS, THREE_YEARS, Rung
from cervix.patients.sequences import DAYS_A_YEAR

# Of the questions that the step rests on: a later day is beyond the time of the risk.
HORIZON_YEARS = 3
# Results with which colposcopy is recommended at any risk.
COLPOSCOPY_CYTOLOGY = CODES["cytology"].named(lambda code: code.calls_for_colposcopy)
HPV_TYPES = tuple(name for name in hpv.CHANNELS if any(code.calls_for_colposcopy for code in CODES[name].codes))
SMEAR_ALONE: Final = {NILM: THREE_YEARS, ASC_US: ONE_YEAR, LSIL: COLPOSCOPY}
"""The least after a smear without an HPV test."""
SURVEILLANCE_ALONE = ONE_YEAR
"""The least after one in surveillance, where an HPV test is asked for."""
TREATED_AT_MOST = THREE_YEARS
"""The longest interval after treatment. The guideline asks for it for 25 years at least; here it has no end."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    number : int
        By which page and paper name it.
    says : str
    source : str
    """

    number: int
    says: str
    source: str


HIGH_GRADE_SMEAR: Final = Rule(
    1,
    "Cytology of ASC-H, AGC, HSIL or worse: colposcopy at least, until one was done, whatever later tests say.",
    f"{PERKINS}, section on thresholds and exceptions; sections on AGC and on HSIL",
)
TYPES: Final = Rule(
    2, "HPV 16 or 18 with any cytology: colposcopy at least.", f"{PERKINS}, section on primary HPV screening (F.2)"
)
NEAREST: Final = Rule(
    3,
    "Never a longer interval than the nearest published row says.",
    f"our own caution; tables of Egemen et al. 2020, J Low Genit Tract Dis 24:132-143, and of {PERKINS}",
)
AFTER_TREATMENT: Final = Rule(
    4,
    "After treatment: at most 3 years between tests, for 25 years and longer.",
    f"{PERKINS}, section on surveillance after treatment",
)
ALONE: Final = Rule(
    5,
    "A smear without an HPV test: at most 3 years after NILM, 1 year after ASC-US, colposcopy after LSIL; in surveillance at "
    "most 1 year.",
    f"NILM: US Preventive Services Task Force 2018, JAMA 320:674-686; else {PERKINS}, section on cytology alone",
)
SUSPECTED: Final = Rule(
    6,
    "A colposcopy that looked abnormal and has no biopsy: colposcopy at least.",
    "our own caution; biopsies are taken of what looks abnormal (Wentzensen et al. 2017, J Low Genit Tract Dis 21:216-222)",
)
FIRST_TEST: Final = Rule(
    7,
    "After treatment the next step is a test, HPV-based, at 6 months: no other step before it.",
    f"{PERKINS}, section on surveillance after treatment",
)
NO_RESULT: Final = Rule(
    8, "A last round without a result of its test is to be repeated: no step.", f"{PERKINS}, section on unsatisfactory cytology"
)
KNOWN: Final = Rule(
    9, "Untreated CIN2 or worse, cancer, hysterectomy: no step.", f"{PERKINS}, sections on histology and hysterectomy"
)
AIS: Final = Rule(10, "After treatment of AIS: no step; it has rules of its own.", f"{PERKINS}, section on AIS")
YOUNG: Final = Rule(11, "Under 25: no step; they have rules of their own.", f"{PERKINS}, section on patients younger than 25")
PREGNANT: Final = Rule(12, "Pregnant at the last visit: no step; it has rules of its own.", f"{PERKINS}, section on pregnancy")
IMMUNE: Final = Rule(
    13, "HIV or another immunosuppression: no step; they have rules of their own.", f"{PERKINS}, section on immunosuppression"
)
OVER: Final = Rule(14, "The last visit lies longer ago than the time of the risk, or is undated: no step.", "our own caution")
INCOMPLETE: Final = Rule(15, "A history that could not be read in full: no step.", "our own caution")
RULES: Final = (
    HIGH_GRADE_SMEAR, TYPES, NEAREST, AFTER_TREATMENT, ALONE, SUSPECTED, FIRST_TEST, NO_RESULT, KNOWN, AIS, YOUNG, PREGNANT,
    IMMUNE, OVER, INCOMPLETE,
)  # fmt: skip

Applies = tuple[Rung, Rule, str]


def least_steps(course: Course) -> list[Applies]:
    """The least steps that the rules allow, each with its rule and why; those of the nearest row are not among them."""
    current = course.current
    found: list[Applies] = []
    if smears := [one.smear for one in course.not_cleared if one.high_grade]:
        found.append((COLPOSCOPY, HIGH_GRADE_SMEAR, f"cytology of {smears[-1]} calls for colposcopy at any risk"))
    if current.type_found and not current.cleared:
        found.append((COLPOSCOPY, TYPES, f"HPV {current.type_found} calls for colposcopy at any risk"))
    if any(one.suspected for one in course.not_cleared):
        found.append((COLPOSCOPY, SUSPECTED, "a colposcopy that looked abnormal has no biopsy"))
    if course.standing == "after treatment":
        found.append((TREATED_AT_MOST, AFTER_TREATMENT, "after treatment no interval is longer"))
    if current.smear and not current.hpv and not current.cleared:
        if current.smear in SMEAR_ALONE:
            found.append((SMEAR_ALONE[current.smear], ALONE, f"{current.smear} without an HPV test allows no more"))
        if course.in_surveillance:
            found.append((SURVEILLANCE_ALONE, ALONE, "in surveillance a smear without an HPV test allows no more"))
    return found


def why_not_her(visits: list[Visit], course: Course | None, *, today: date) -> tuple[str, Rule] | None:
    """Why a woman gets no step, and by which rule; None where she may."""
    last, age = visits[-1], age_at_last_visit(visits)
    own = "the guideline has rules of its own."
    if last.day is None:
        return "the date of her last visit is not known, so the time that the risk refers to may be over.", OVER
    if (today - last.day).days > HORIZON_YEARS * DAYS_A_YEAR:
        ago = f"her last visit was on {last.day.isoformat()}, more than {HORIZON_YEARS} years ago."
        return f"{ago} This was her risk in {last.day.year}.", OVER
    if age is None:
        return f"her age is not known; below {EXPEDITED_AGE:g} {own}", YOUNG
    if age < EXPEDITED_AGE:
        return f"she was {int(age)} at her last visit; below {EXPEDITED_AGE:g} {own}", YOUNG
    if last.pregnant == "yes":
        return f"she was pregnant at her last visit; for pregnancy {own}", PREGNANT
    suppressed = [visit.immunosuppressed for visit in visits if visit.immunosuppressed]
    if any(visit.hiv == "yes" for visit in visits) or suppressed[-1:] == ["yes"]:
        return f"for women with HIV or another immunosuppression {own}", IMMUNE
    if course is None:
        return "no test result is known.", NO_RESULT
    if any(visit.histology == "AIS" for visit in visits):
        return f"for adenocarcinoma in situ {own}", AIS
    if course.standing == "treated now":
        return "no test has followed the treatment; the guideline asks for one with HPV 6 months after it.", FIRST_TEST
    current = course.current
    if current.without_result and not current.type_found:
        return "her last test gave no result and has to be repeated.", NO_RESULT
    if not (current.hpv or current.smear or current.colposcopy):
        return "no test result is known.", NO_RESULT
    return None


def age_at_last_visit(visits: list[Visit]) -> float | None:
    """In years: from the last visit that gives it and the time since; None where no visit does."""
    last = visits[-1]
    return next((visit.age + last.years - visit.years for visit in reversed(visits) if visit.age == visit.age), None)
