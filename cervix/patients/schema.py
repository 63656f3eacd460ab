"""What a cell of each column may hold, as pandera schemas over a column's distinct texts.

A column of 200,000 rows has few distinct texts; each is judged once. Rules that hold between rows (one result a day, ages
that rise) are in ``visits`` and ``reading``.
"""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from cervix.patients.dates import ACCEPTED, EARLIEST_DATE
from cervix.patients.visit_vocabulary import AGE_HIGH, AGE_LOW, LONGEST_ID, CodeColumn
from cervix.patients.vocabulary import Column

Bools = NDArray[np.bool_]
LONGEST_NUMBER = 200
BEYOND_ALL_MEASURE = 1e9


def unfit(schema: pa.SeriesSchema, texts: pd.Series, told: Bools) -> Iterator[tuple[Bools, str]]:
    """For each rule of a schema that some text breaks: which texts ``(n,)``, and what would be accepted.

    Parameters
    ----------
    texts : Series of str
        Distinct, with index 0..n-1.
    told : (n,) bool
        The texts that say something; the others are not judged.
    """
    if not told.any():
        return
    try:
        schema.validate(texts[told], lazy=True)
    except pa.errors.SchemaErrors as error:
        for accepted, cases in error.failure_cases.groupby("check", sort=False):
            bad = np.zeros(len(texts), bool)
            bad[cases["index"].to_numpy(np.int64)] = True
            yield bad, str(accepted)


def id_schema() -> pa.SeriesSchema:
    """A pseudonym: something, and not a page of it."""
    return pa.SeriesSchema(
        "str",
        [
            pa.Check(lambda texts: texts != "", error="a pseudonym"),
            pa.Check(lambda texts: texts.str.len() <= LONGEST_ID, error=f"a pseudonym of at most {LONGEST_ID} characters"),
        ],
    )


def code_schema(column: CodeColumn) -> pa.SeriesSchema:
    """One of a column's codes in any spelling it is met in."""
    return pa.SeriesSchema("str", pa.Check(lambda texts: texts.map(column.code_of).notna(), error=column.accepted))


def date_schema(today: date) -> pa.SeriesSchema:
    """A day as 2024-05-31, into which ``dates`` has turned what it could read; neither before 1900 nor to come."""

    def days(texts: pd.Series) -> pd.Series:
        return pd.to_datetime(texts, format="%Y-%m-%d", errors="coerce")

    return pa.SeriesSchema(
        "str",
        [
            pa.Check(lambda texts: days(texts).notna(), error=ACCEPTED),
            pa.Check(
                lambda texts: days(texts).isna() | days(texts).between(EARLIEST_DATE, pd.Timestamp(today)),
                error=f"a day from {EARLIEST_DATE.year} to {today.isoformat()}",
            ),
        ],
    )


def age_schema() -> pa.SeriesSchema:
    """Years within a human life."""
    in_range = pa.Check(
        lambda texts: parsed_numbers(texts).between(AGE_LOW, AGE_HIGH), error=f"years from {AGE_LOW:g} to {AGE_HIGH:g}"
    )
    return pa.SeriesSchema("str", in_range)


def number_schema(column: Column) -> pa.SeriesSchema:
    """A number of the risk-factor table within its plausible range; 0 or 1 where it is an answer."""

    def accepted(texts: pd.Series) -> pd.Series:
        values = parsed_numbers(texts)
        return values.isin((0.0, 1.0)) if column.kind == "yes-no" else values.between(column.low, column.high)

    return pa.SeriesSchema("str", pa.Check(accepted, error=column.accepted))


def parsed_numbers(texts: pd.Series) -> pd.Series:
    """Numbers, NaN where a text is none or beyond all measure; a text longer than any number is not parsed."""
    values = pd.to_numeric(texts.where(texts.str.len() < LONGEST_NUMBER, ""), errors="coerce").astype(np.float64)
    return values.where(values.abs() < BEYOND_ALL_MEASURE)
