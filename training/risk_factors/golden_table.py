"""Made-up patients for the golden table of the risk-factor models."""

import csv
import io

from cervix.patients.sample import sample_table_csv
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID

DRAWN = 20


def golden_patients_csv() -> str:
    """A made-up risk-factor table without outcome: a row of lowest values, one of highest values, and random ones."""
    buffer = io.StringIO()
    columns = [column for column in COLUMNS.values() if column.group != "outcome"]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([PATIENT_ID, *(column.name for column in columns)])
    writer.writerow(["G-LOW", *(f"{column.low:g}" for column in columns)])
    writer.writerow(["G-HIGH", *(f"{column.high:g}" for column in columns)])
    drawn = list(csv.reader(io.StringIO(sample_table_csv(DRAWN))))
    at = [drawn[0].index(column.name) for column in columns]
    writer.writerows([row[0], *(row[place] for place in at)] for row in drawn[1:])
    return buffer.getvalue()
