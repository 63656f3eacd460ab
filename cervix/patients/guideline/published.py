"""Published risks of real women, and the row that a woman's history is or comes nearest to.

NCI/ASCCP 2019 risk tables: women of Kaiser Permanente Northern California, 2003 to 2017, aged 25 to 65 (Egemen et al. 2020, J
Low Genit Tract Dis 24:132-143; Perkins et al. 2020, 24:102-131). The tables are numbered as there: 1 and 2 screening, 3 at
colposcopy, 4 after colposcopy, 5 after treatment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.published_risks import YEARS, read_published_risks
from cervix.errors import BundleError
from cervix.patients.guideline.course import (
    AGC,
    ASC_H,
    ASC_US,
    GROUPS,
    HSIL,
    LOW_GRADE,
    LSIL,
    NEGATIVE,
    NILM,
    POSITIVE,
    Course,
    Round,
)
from cervix.patients.guideline.ladder import LADDER, STEPS, Rung, rung_of

AGES = (25, 65)
"""Of the women of the tables, in completed years, both included."""
NO_HISTORY, HPV_NEGATIVE, COTEST_NEGATIVE, ALL = "NO HISTORY", "HPV-negative", "Cotest-negative", "ALL"
HPV_POSITIVE, HPV_16, HPV_18 = "HPV-positive", "HPV16+", "HPV16-, HPV18+"
STAYED_POSITIVE, NEGATIVE_ASC_US, NEGATIVE_LSIL = "HPV-positive/NILM", "HPV-negative/ASC-US", "HPV-negative/LSIL"
NEGATIVE_LOW_GRADE = f"HPV-negative/{LOW_GRADE}"
LOW_REFERRAL, HIGH_REFERRAL, TREATED = "Low Grade", "High Grade", "CIN 2 or 3"
_SAME: Final = {"HPV16-,18+": HPV_18}


@dataclass(frozen=True)
class Risk:
    """A published risk and its 95 % interval, 0..1; the limits are NaN where none is published."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    @property
    def words(self) -> str:
        interval = "" if np.isnan(self.low) else f" ({max(self.low, 0.0):.2%} to {self.high:.2%})"
        return f"{self.value:.2%}{interval}"


@dataclass(frozen=True)
class PublishedRow:
    """One history of the tables.

    Attributes
    ----------
    table : int
    history, hpv, cytology : str
        In the words of the tables; of table 3 ``history`` is the referral and ``cytology`` the biopsy.
    women : float
        How many its risks rest on.
    cin3 : mapping
        Horizon in years -> risk of CIN3+; without those that are not published.
    management : str
        In the words of the tables; empty where none is published.
    """

    table: int
    history: str
    hpv: str
    cytology: str
    women: float
    cin3: Mapping[int, Risk]
    management: str

    @property
    def rung(self) -> Rung:
        """What the tables say is done; where they say nothing, what the ladder says of their risks."""
        if self.management:
            return STEPS[self.management]
        return rung_of(self.cin3[0].value, self.cin3[5].value)

    @property
    def words(self) -> str:
        """The history for people."""
        first, *later = (part.strip() for part in self.history.split("|"))
        hpv, _, times = self.hpv.partition(" x")
        if times:
            return f"{_WORDS[first]}; {_NUMBERS[times]} {_WORDS[hpv].removeprefix('a ')}s in a row"
        before = " and then ".join(_part(part) for part in (first, *later))
        if self.table == 3:
            return f"referred for {self.history}; colposcopy with {_BIOPSY[self.cytology]}"
        return f"{before}; now {self.hpv}, {'smear not known' if self.cytology == ALL else self.cytology}"


_NUMBERS = {"2": "two", "3": "three"}
_BIOPSY = {"<CIN1": "less than CIN1", "CIN1": "CIN1"}
_WORDS = {
    NO_HISTORY: "no earlier HPV test known",
    HPV_NEGATIVE: "a negative HPV test",
    COTEST_NEGATIVE: "a negative cotest",
    LOW_REFERRAL: "less than CIN2 at colposcopy after a low-grade referral",
    HIGH_REFERRAL: "less than CIN2 at colposcopy after a high-grade referral",
    TREATED: "treated for CIN2 or CIN3",
}


def _part(part: str) -> str:
    name, _, times = part.partition(" x")
    words = _WORDS.get(name, name.replace("/", " ", 1))
    return f"{_NUMBERS[times]} {words.removeprefix('a ')}s" if times else words


def _colposcopy(referral: str, biopsy: str, women: int, one_year: float, five_years: float) -> PublishedRow:
    return PublishedRow(3, referral, "", biopsy, women, {1: Risk(one_year), 5: Risk(five_years)}, "1-year follow-up")


AT_COLPOSCOPY: Final = (
    _colposcopy("HPV-positive NILM x2", "<CIN1", 7082, 0.0056, 0.0265),
    _colposcopy("HPV-positive ASC-US", "<CIN1", 15601, 0.0049, 0.0318),
    _colposcopy("HPV-positive LSIL", "<CIN1", 7129, 0.0059, 0.0209),
    _colposcopy("ASC-H", "<CIN1", 1644, 0.0241, 0.0444),
    _colposcopy("AGC", "<CIN1", 3213, 0.0117, 0.0164),
    _colposcopy("HSIL+", "<CIN1", 338, 0.0289, 0.0476),
    _colposcopy("HPV-positive NILM x2", "CIN1", 5732, 0.0074, 0.0284),
    _colposcopy("HPV-positive ASC-US", "CIN1", 20131, 0.0053, 0.0260),
    _colposcopy("HPV-positive LSIL", "CIN1", 18254, 0.0074, 0.0227),
    _colposcopy("ASC-H", "CIN1", 2131, 0.0136, 0.0557),
    _colposcopy("AGC", "CIN1", 947, 0.0132, 0.0382),
    _colposcopy("HSIL+", "CIN1", 809, 0.0392, 0.0645),
)
"""Table 3 without its rows of CIN2 and worse, which are a known diagnosis. It states no risk at once, and is in no bundle."""
_AT_COLPOSCOPY = {(row.history, row.cytology): row for row in AT_COLPOSCOPY}

Key = tuple[int, str, str, str]


def published_tables(bundle: Bundle, model: Model) -> "PublishedTables | None":
    """The tables that a bundle carries with a model, else with another of its kind, read once a process; None without any.

    They are of real women, whichever model is asked. A model that nobody measured gets none: it leads to no step.
    """
    if not model.is_evaluated:
        return None
    kin = (model, *bundle.manifest.of_kind(model.kind))
    name = next((one.evaluation.published_risks for one in kin if one.evaluation and one.evaluation.published_risks), None)
    return None if name is None else _tables(bundle.root, bundle.sha256, name)


@lru_cache(maxsize=4)
def _tables(root: Path, _sha256: str, name: str) -> "PublishedTables":
    return PublishedTables.of(read_published_risks(root, name))


@dataclass(frozen=True)
class Found:
    """The row of a woman.

    Attributes
    ----------
    exact : bool
        Whether her history is that row; else it is the nearest.
    """

    row: PublishedRow
    exact: bool


class PublishedTables:
    """Tables 1, 2, 4 and 5, as a bundle carries them, and table 3."""

    def __init__(self, rows: Iterable[PublishedRow]) -> None:
        self.rows = tuple(rows)
        self._by_key = {_key(row.table, row.history, row.hpv, row.cytology): row for row in self.rows}

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "PublishedTables":
        """From the table of a bundle: ``table, history, hpv, cytology, women, management`` and ``published_cin3_0`` with
        ``_low`` and ``_high`` and so on, shares in 0..1. A row with neither risk nor management is passed over.

        Raises
        ------
        BundleError
            Where a management is no step of the ladder.
        """
        if unknown := sorted(set(frame["management"]) - {*STEPS, ""}):
            raise BundleError(
                "The published risks have managements that are no step of the ladder",
                expected=", ".join(STEPS),
                found=", ".join(map(str, unknown)),
            )
        rows = []
        for line in frame.to_dict("records"):
            cin3 = {
                years: Risk(*(float(line[f"published_cin3_{years}{limit}"]) for limit in ("", "_low", "_high")))
                for years in YEARS
                if pd.notna(line[f"published_cin3_{years}"])
            }
            words = (line[name] for name in ("history", "hpv", "cytology", "management"))
            history, hpv, cytology, management = (word if isinstance(word, str) else "" for word in words)
            if cin3 or management:
                rows.append(PublishedRow(int(line["table"]), history, hpv, cytology, float(line["women"]), cin3, management))
        return cls(rows)

    def find(self, course: Course, age: float | None) -> Found | None:
        """Her row, or the nearest; None where she was not tested for HPV now, or no test has followed treatment.

        A history of more negative rounds than the tables know is the row of those that they know. Beyond the ages of the tables
        no history is a row.
        """
        of_that_age = age is not None and AGES[0] <= int(age) <= AGES[1]
        for exact, histories, tests in _candidates(course):
            rows = [row for history in histories if (row := self._narrowest(*history, tests))]
            if rows and exact:
                return Found(rows[0], of_that_age)
            if rows:
                return Found(min(rows, key=_waits), False)
        row, exact = _at_colposcopy(course) if course.current.cleared else (None, False)
        return Found(row, exact and of_that_age) if row else None

    def _narrowest(self, table: int, history: str, tests: "Tests") -> PublishedRow | None:
        keys = (_key(table, *words) for words in _keys_of(table, history, tests))
        return next((self._by_key[key] for key in keys if key in self._by_key), None)


def _waits(row: PublishedRow) -> tuple[int, float]:
    """To find the row that waits least, and of those the one of the highest risk."""
    return LADDER.index(row.rung), -row.cin3[5].value if 5 in row.cin3 else 0.0


def _key(table: int, history: str, hpv: str, cytology: str) -> Key:
    # The tables are not of one mind about blanks, nor about the name of HPV 18.
    return (table, " ".join(history.split()), _SAME.get(hpv, hpv), cytology)


Histories = Sequence[tuple[int, str]]
Tests = Sequence[tuple[str, str]]


def _keys_of(table: int, history: str, tests: Tests) -> Iterator[tuple[str, str, str]]:
    # In table 5 two and three negative tests are written where other rows have the present one.
    hpv = history.removeprefix(f"{TREATED} | ")
    if table == 5 and hpv != history:
        yield TREATED, hpv, ""
        return
    for test in tests:
        yield history, *test


def _candidates(course: Course) -> Iterator[tuple[bool, Histories, Tests]]:
    """Histories in the words of the tables, with the present test: those that she has, then ever wider ones.

    Of those that she has the first row that there is counts, of the wider ones the one that waits least.
    """
    current = course.current
    if current.cleared or course.standing in ("at colposcopy", "treated now") or not current.hpv:
        return
    tests, wider = _tests(current, wide=False), _tests(current, wide=True)
    past = [one for one in course.since if not one.says_nothing_of_hpv]
    negatives = _trailing_negatives(past)
    before = past[: len(past) - len(negatives)]
    abnormal = before[-1] if before else None
    clean = all(one.negative for one in before[:-1])
    if course.standing == "after treatment":
        histories = _after_treatment(current, negatives)
        proven = course.event is not None and course.event.lesion
        undisturbed = abnormal is None and not any(one.colposcopy for one in course.since)
        # Of a positive test the table knows the first since treatment only.
        if proven and undisturbed and (current.negative or not negatives):
            yield True, histories, tests
        yield False, [*histories, *([(5, TREATED)] if abnormal else [])], wider
        yield False, [(5, TREATED)], wider
    elif course.standing == "after colposcopy" and course.event is not None:
        bases = _referrals(course.event)
        each = [_after_colposcopy(base, abnormal, negatives, current) for base in bases]
        histories = [history for listed, _ in each for history in listed]
        if len(bases) == 1 and clean and all(known for _, known in each):
            yield True, histories, tests
        whole = [(4, base) for base in bases]
        yield False, [*histories, *(whole if before else []), *_unsettled(before, negatives)], wider
        yield False, whole, wider
    else:
        histories, known = _screening(abnormal, negatives)
        if clean and known:
            yield True, histories, tests
        yield False, [*histories, *_unsettled(before, negatives)], wider
        yield False, _unsettled(before, []), wider


def _trailing_negatives(past: Sequence[Round]) -> list[Round]:
    first = next((at + 1 for at in reversed(range(len(past))) if not past[at].negative), 0)
    return list(past[first:])


def _screening(abnormal: Round | None, negatives: Sequence[Round]) -> tuple[Histories, bool]:
    """Histories of tables 1 and 2, the longest first, and whether they are hers."""
    if abnormal is None:
        return [(1, word) for word in _last_negatives(negatives)] or [(1, NO_HISTORY)], True
    kind = _kind(abnormal)
    if kind == NEGATIVE_ASC_US and negatives:
        # By table 2 she went back to routine after the first.
        return [(1, word) for word in _last_negatives(negatives)], True
    base = kind or (NEGATIVE_LSIL if abnormal.hpv == NEGATIVE else STAYED_POSITIVE)
    return _followed(2, base, negatives), bool(kind)


def _unsettled(before: Sequence[Round], negatives: Sequence[Round]) -> Histories:
    """What abnormal rounds that are no published history come nearest to, with the negative ones after them."""
    abnormal = [one for one in before if not one.negative]
    positive = any(one.hpv != NEGATIVE for one in abnormal)
    return [
        *(_followed(2, STAYED_POSITIVE, negatives) if positive else []),
        *(_followed(2, NEGATIVE_LSIL, negatives) if abnormal and not positive else []),
        *([(4, HIGH_REFERRAL)] if any(one.high_grade for one in abnormal) else []),
    ]


def _after_colposcopy(base: str, abnormal: Round | None, negatives: Sequence[Round], current: Round) -> tuple[Histories, bool]:
    """Histories of table 4, the longest first, and whether they are hers."""
    if abnormal is None:
        words = _last_negatives(negatives)
        both = all(one.cotest_negative for one in negatives[-2:])
        of_two = COTEST_NEGATIVE if both and current.smear else HPV_NEGATIVE
        two = [(4, f"{base} | {of_two} x2")] if len(negatives) > 1 else []
        return [*two, *((4, f"{base} | {word}") for word in words)] or [(4, base)], True
    low = abnormal.hpv == NEGATIVE and abnormal.smear in (ASC_US, LSIL)
    if low and not negatives:
        return [(4, f"{base} | {NEGATIVE_LOW_GRADE}")], True
    return [(4, f"{base} | {word}") for word in _last_negatives(negatives)], False


def _after_treatment(current: Round, negatives: Sequence[Round]) -> Histories:
    in_a_row = [*negatives, current][-3:] if current.negative else []
    if len(in_a_row) < 2:
        return [(5, TREATED)]
    word = COTEST_NEGATIVE if all(one.cotest_negative for one in in_a_row) else HPV_NEGATIVE
    return [(5, f"{TREATED} | {word} x{len(in_a_row)}")]


def _followed(table: int, base: str, negatives: Sequence[Round]) -> Histories:
    """A history followed by negative rounds."""
    if not negatives:
        return [(table, base)]
    both = len(negatives) > 1 and all(one.cotest_negative for one in negatives[-2:])
    two = [(table, f"{base} | {COTEST_NEGATIVE} x2")] if both else []
    return [*two, *((table, f"{base} | {word}") for word in _last_negatives(negatives))]


def _last_negatives(negatives: Sequence[Round]) -> list[str]:
    """What the last of negative rounds was; a negative cotest is a negative HPV test too."""
    if not negatives:
        return []
    return [COTEST_NEGATIVE, HPV_NEGATIVE] if negatives[-1].cotest_negative else [HPV_NEGATIVE]


def _kind(abnormal: Round) -> str:
    """The history of table 2 that a round is; empty where it is none."""
    if abnormal.hpv == POSITIVE:
        return STAYED_POSITIVE if abnormal.smear == NILM else ""
    return {ASC_US: NEGATIVE_ASC_US, LSIL: NEGATIVE_LSIL}.get(abnormal.smear, "") if abnormal.hpv == NEGATIVE else ""


def _tests(current: Round, *, wide: bool) -> Tests:
    """The present test in the words of the tables, the narrowest first."""
    if current.hpv == NEGATIVE:
        hpv = [HPV_NEGATIVE]
    else:
        type_18 = current.hpv_16 == NEGATIVE and current.hpv_18 == POSITIVE
        hpv = [*([HPV_16] if current.hpv_16 == POSITIVE else [HPV_18] if type_18 else []), HPV_POSITIVE]
    smears = [current.smear, *([GROUPS[current.smear]] if current.smear in GROUPS else [])] if current.smear else [ALL]
    if wide:
        # A row of all smears holds hers; without a smear a positive test is at least that with a negative one.
        smears += [ALL] if current.smear else [NILM]
    return list(product(hpv, smears))


def _referrals(seen: Round) -> list[str]:
    """By what a colposcopy was asked for: high or low grade, or both where it is not known."""
    if seen.high_grade:
        return [HIGH_REFERRAL]
    low = seen.smear in (ASC_US, LSIL) or (seen.hpv == POSITIVE and seen.smear == NILM)
    return [LOW_REFERRAL] if low else [LOW_REFERRAL, HIGH_REFERRAL]


def _at_colposcopy(course: Course) -> tuple[PublishedRow, bool]:
    current = course.current
    positive = current.hpv == POSITIVE
    stayed = positive and current.smear == NILM and any(_kind(one) == STAYED_POSITIVE for one in course.since[-1:])
    if current.smear in (AGC, ASC_H, HSIL):
        referral, sure = current.smear, True
    elif current.smear in (ASC_US, LSIL):
        referral, sure = f"{HPV_POSITIVE} {current.smear}", positive
    else:
        referral, sure = f"{HPV_POSITIVE} {NILM} x2", stayed
    biopsy = "CIN1" if current.histology == "CIN1" else "<CIN1"
    return _AT_COLPOSCOPY[referral, biopsy], sure and bool(current.histology) and course.standing == "at colposcopy"
