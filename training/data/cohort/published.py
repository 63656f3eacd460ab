"""Published risks of real women as histories that a model can read: the yardstick of the history model.

NCI/ASCCP 2019 risk tables: women of Kaiser Permanente Northern California, 2003 to 2017, aged 25 to 65 (Egemen et al. 2020,
J Low Genit Tract Dis 24:132-143; Perkins et al. 2020, 24:102-131). A row says what was found at earlier rounds and at the
present one. It does not say when, at what age, or with which of several smears: such a row is a mixture of histories.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.bundle.published_risks import COLPOSCOPY, CURRENT, GRADES, NEGATIVE_ROUND, SURVEILLANCE, TREATMENT, YEARS
from cervix.patients.guideline.published import NO_HISTORY
from cervix.patients.sequences import DAYS_A_YEAR
from cervix.patients.visit_vocabulary import AGE, VISIT_DATE
from cervix.patients.vocabulary import PATIENT_ID

KINDS = {1: NEGATIVE_ROUND, 2: SURVEILLANCE, 4: COLPOSCOPY, 5: TREATMENT}
AGES = {30: 0.35, 40: 0.30, 50: 0.22, 60: 0.13}
"""Ages at the present round and their weights: about those of women of 25 to 65 who are screened; the tables give none."""
ROUTINE_YEARS, RECALL_YEARS, AFTER_TREATMENT_YEARS = 3.0, 1.0, 0.6
LAST_ROUND = pd.Timestamp("2015-06-15")

_HPV: Mapping[str, Mapping[str, str]] = {
    "HPV-negative": {"hpv_result": "negative"},
    "HPV-positive": {"hpv_result": "positive"},
    "HPV16+": {"hpv_result": "positive", "hpv_16": "positive", "hpv_18": "negative"},
    "HPV16-, HPV18+": {"hpv_result": "positive", "hpv_16": "negative", "hpv_18": "positive"},
}
_SAME_HPV = {"HPV16-,18+": "HPV16-, HPV18+"}
_GROUPS = {
    "HSIL+": ("HSIL",), "ASC-US/LSIL": ("ASC-US", "LSIL"), "High Grade": ("ASC-H", "AGC", "HSIL"),
    "ALL": ("NILM", "ASC-US", "LSIL", "ASC-H", "AGC", "HSIL"),
}  # fmt: skip
_SHARES = {
    "HPV-negative": {"NILM": 1388153, "ASC-US": 25331, "LSIL": 3300, "ASC-H": 791, "AGC": 2275, "HSIL": 183},
    "HPV-positive": {"NILM": 63541, "ASC-US": 30506, "LSIL": 23659, "ASC-H": 3766, "AGC": 977, "HSIL": 3980},
}
"""Women by smear without a known history: how the mixed rows are made up."""


@dataclass(frozen=True)
class Round:
    """What was found at one round, so many years before the present one."""

    years_before: float
    results: Mapping[str, str]


@dataclass(frozen=True)
class Variant:
    """One history of the mixture that a row stands for."""

    weight: float
    rounds: Sequence[Round]


def read_published(path: Path) -> pd.DataFrame:
    """The tables in the columns of ``published-risks.csv``: shares in 0..1, whether a row may guide the simulator."""
    raw = pd.read_csv(path)
    table = raw[["table", "history", "hpv", "cytology", "management"]].copy()
    table["women"] = raw["N"]
    current = (table["table"] == 1) & (table["history"] == NO_HISTORY)
    table["kind"] = np.where(current, CURRENT, table["table"].map(KINDS))
    of_block = [guides(number, history) for number, history in zip(table["table"], table["history"], strict=True)]
    table["guides"] = np.where(current | np.array(of_block, bool), "yes", "no")
    for grade, years in product(GRADES, YEARS):
        for ours, theirs in (("", ""), ("_low", "_lo"), ("_high", "_hi")):
            source = raw[f"{grade}_{'im' if years == 0 else years}{theirs}"] / 100
            table[f"published_{grade}_{years}{ours}"] = source.clip(0, 1)
    return table


def guides(table: int, history: str) -> bool:
    """Whether a whole block of histories may guide the simulator: half of surveillance and of after colposcopy, by hash.

    A negative cotest is read as the negative HPV test that it contains, so that no block is guided by one that holds its women.
    """
    if KINDS[table] not in (SURVEILLANCE, COLPOSCOPY):
        return False
    block = " ".join(history.replace("Cotest-negative", "HPV-negative").split())
    return int(sha256(block.encode()).hexdigest(), 16) % 2 == 0


def variants(row: pd.Series) -> list[Variant]:
    """The histories that a row of ``read_published`` stands for, each with its weight; the weights add up to one."""
    gaps, mixtures = zip(*_steps(row), strict=True)
    since_first = np.cumsum(gaps)
    found = []
    for choice in product(*mixtures):
        weight = float(np.prod([share for share, _ in choice]))
        rounds = [Round(float(since_first[-1] - at), results) for at, (_, results) in zip(since_first, choice, strict=True)]
        found.append(Variant(weight, rounds))
    return found


def synthetic_visits(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Made-up women with the histories of the rows, as a visit CSV, and the mixture.

    Returns
    -------
    The cells of a visit CSV, one row a round; and one row a woman: ``patient_id, row`` (position in ``table``), ``weight``.
    """
    visits, mixture = [], []
    for at, (_, row) in enumerate(table.iterrows()):
        for number, variant in enumerate(variants(row)):
            for age, share in AGES.items():
                name = f"P{at:03d}-{number:02d}-{age}"
                mixture.append({PATIENT_ID: name, "row": at, "weight": share * variant.weight})
                for one in variant.rounds:
                    day = LAST_ROUND - pd.Timedelta(days=round(one.years_before * DAYS_A_YEAR))
                    own = {PATIENT_ID: name, VISIT_DATE: day.strftime("%Y-%m-%d"), AGE: str(int(age - one.years_before))}
                    visits.append(own | dict(one.results))
    return pd.DataFrame(visits).fillna(""), pd.DataFrame(mixture)


def _steps(row: pd.Series) -> list[tuple[float, "_Mixture"]]:
    """Rounds, oldest first: years since the round before, and what may have been found."""
    table, hpv, cytology = int(row["table"]), str(row["hpv"]), row["cytology"]
    parts = [part.strip() for part in str(row["history"]).split("|")]
    if table == 1:
        past = [] if parts == [NO_HISTORY] else [(0.0, _part(parts[0]))]
        return [*past, (ROUTINE_YEARS if past else 0.0, _tests(hpv, str(cytology)))]
    first = _TREATED if table == 5 else _after_colposcopy(parts[0]) if table == 4 else _part(parts[0])
    later = [mixture for part in parts[1:] for mixture in _repeated(part)]
    later += [_tests(hpv, cytology)] if isinstance(cytology, str) else _repeated(hpv)
    soon = AFTER_TREATMENT_YEARS if table == 5 else RECALL_YEARS
    return [(0.0, first), (soon, later[0]), *((RECALL_YEARS, mixture) for mixture in later[1:])]


_Mixture = Sequence[tuple[float, Mapping[str, str]]]


def _repeated(part: str) -> list[_Mixture]:
    name, _, times = part.partition(" x")
    return [_part(name)] * int(times or 1)


def _part(part: str) -> _Mixture:
    """A round of the column ``history``."""
    if part == "Cotest-negative":
        return _tests("HPV-negative", "NILM")
    hpv, _, cytology = part.partition("/")
    return _tests(hpv, cytology or "ALL")


def _tests(hpv: str, cytology: str) -> _Mixture:
    """HPV test and smear; a group of smears as its members, weighted by women."""
    hpv = _SAME_HPV.get(hpv, hpv)
    shares = _SHARES["HPV-negative" if hpv == "HPV-negative" else "HPV-positive"]
    members = _GROUPS.get(cytology, (cytology,))
    total = sum(shares[name] for name in members)
    return [(shares[name] / total, {**_HPV[hpv], "cytology": name}) for name in members]


def _after_colposcopy(referral: str) -> _Mixture:
    """A referral and a biopsy of less than CIN2 in one episode, half of them benign, half CIN1 (Perkins et al., table 3)."""
    impression = "normal" if referral == "Low Grade" else "low-grade"
    return [
        (share * half, {"hpv_result": "positive", "cytology": cytology, "colposcopy": impression, "histology": histology})
        for cytology, share in _REFERRALS[referral].items()
        for histology, half in (("benign", 0.5), ("CIN1", 0.5))
    ]


_REFERRALS = {
    "Low Grade": {"NILM": 0.16, "ASC-US": 0.49, "LSIL": 0.35},
    "High Grade": {"ASC-H": 0.76, "HSIL": 0.24},
}
"""Shares of biopsied women of table 3; AGC is left out, for most of them were HPV-negative."""
_TREATED: _Mixture = [
    (half, {"hpv_result": "positive", "cytology": "HSIL", "colposcopy": "high-grade", "histology": grade, "treatment": "LEEP"})
    for grade, half in (("CIN2", 0.6), ("CIN3", 0.4))
]
"""Treated women: CIN2 and CIN3 as often as table 3 counts them (12,094 and 6,836)."""
