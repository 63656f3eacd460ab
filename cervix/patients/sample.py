"""A generated table in the UCI format: nobody's data, only its shape."""

import csv
import io

import numpy as np

from cervix.patients.vocabulary import COLUMNS, PATIENT_ID, RISK_FACTORS, Column

SAMPLE_ROWS = 60
SAMPLE_SEED = 20
NOT_KNOWN_SHARE = 0.08


def sample_table_csv(rows: int = SAMPLE_ROWS, *, seed: int = SAMPLE_SEED) -> str:
    """Generate a CSV of risk factors and other tests, without outcome.

    Drawn from plain distributions (years cannot exceed age, packs and years are 0 in those who do not smoke), so
    that the app has something to read. Nothing about any population can be learned from it.
    """
    rng = np.random.default_rng(seed)
    columns = [column for column in COLUMNS.values() if column.group != "outcome"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([PATIENT_ID, *(column.name for column in columns)])
    for number in range(1, rows + 1):
        values = _patient(rng)
        writer.writerow([f"SAMPLE-{number:04d}", *(_cell(values, column, rng) for column in columns)])
    return buffer.getvalue()


def blank_table_csv() -> str:
    """The header alone, to fill in."""
    return ",".join([PATIENT_ID, *(f'"{name}"' for name in COLUMNS)]) + "\n"


def _patient(rng: np.random.Generator) -> dict[str, float]:
    age = int(np.clip(rng.gamma(12, 2.4), 15, 80))
    first = int(np.clip(rng.normal(17, 2.5), 11, age))
    values: dict[str, float] = {column.name: 0.0 for column in RISK_FACTORS}
    values |= {
        "Age": age,
        "First sexual intercourse": first,
        "Number of sexual partners": 1 + rng.poisson(1.4),
        "Num of pregnancies": rng.poisson(min(2.2, 0.15 * max(0, age - 15))),
    }
    if rng.random() < 0.15:
        years = round(rng.uniform(0.5, max(1.0, age - first)), 1)
        values |= {"Smokes": 1, "Smokes (years)": years, "Smokes (packs/year)": round(years * rng.uniform(0.1, 1.0), 2)}
    if rng.random() < 0.6:
        years = round(min(rng.exponential(3.0), age - first), 1)
        values |= {"Hormonal Contraceptives": 1, "Hormonal Contraceptives (years)": years}
    if rng.random() < 0.1:
        values |= {"IUD": 1, "IUD (years)": round(min(rng.exponential(4.0), age - first), 1)}
    if rng.random() < 0.1:
        since = round(rng.uniform(0, max(1, age - first)), 0)
        values |= {
            "STDs": 1,
            "STDs (number)": 1,
            str(rng.choice(["STDs:condylomatosis", "STDs:HIV", "STDs:syphilis"])): 1,
            "STDs: Number of diagnosis": 1,
            "STDs: Time since first diagnosis": since,
            "STDs: Time since last diagnosis": since,
        }
    if rng.random() < 0.04:
        values |= {"Dx:HPV": 1, "Dx": 1}
    schiller = rng.random() < 0.09
    values |= {
        "Schiller": schiller,
        "Hinselmann": schiller and rng.random() < 0.5,
        "Citology": rng.random() < 0.05,
    }
    return values


def _cell(values: dict[str, float], column: Column, rng: np.random.Generator) -> str:
    never_diagnosed = column.name.startswith("STDs: Time since") and not values["STDs"]
    skipped = column.name != "Age" and rng.random() < NOT_KNOWN_SHARE
    return "?" if never_diagnosed or skipped else f"{float(values[column.name]):g}"
