"""Read a visit table: every good visit in order of time, and for every bad one what is wrong and what is accepted."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from cervix.errors import PatientFileError
from cervix.patients.csv_text import (
    NOT_KNOWN,
    PROBLEMS_KEPT_PER_COLUMN,
    OnProgress,
    RowProblem,
    TextTable,
    not_used,
    read_text_table,
    refuse_if_unusable,
    refuse_twice,
    shown,
)
from cervix.patients.reading import PatientTable, patients_of
from cervix.patients.schema import (
    EARLIEST_DATE,
    NONE_FOUND,
    age_schema,
    code_schema,
    date_schema,
    genotype_schema,
    id_schema,
    listed_types,
    parsed_dates,
    parsed_numbers,
    unfit,
)
from cervix.patients.sequences import MOST_VISITS, TIME_YEARS
from cervix.patients.spelling import meant_code
from cervix.patients.visit_vocabulary import (
    AGE,
    CODE_COLUMNS,
    GENOTYPES,
    HIGH_RISK_GENOTYPES,
    SLIDE,
    VISIT_COLUMNS,
    VISIT_DATE,
    CodeColumn,
    folded,
    identifies,
    looks_identifying,
    visit_column,
)
from cervix.patients.vocabulary import PATIENT_ID, is_patient_id, recognise

EXPECTED = "the visit table: patient_id, visit_date or age, and results such as cytology and hpv_result; one row a visit"
DAYS_A_YEAR = 365.25
# Ages are whole years and dates are days: so far may they lie apart.
AGE_TOLERANCE_YEARS = 2.0
LONGEST_CELL = 200
HPV_16, HPV_18, HPV_OTHER, HPV_ANY = "hpv_16", "hpv_18", "hpv_other_hr", "hpv_result"
POSITIVE, NEGATIVE = "positive", "negative"
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class VisitTable:
    """The readable visits of a file.

    Attributes
    ----------
    frame : DataFrame
        Index ``row``: first line of the record in the file. A woman's visits stand together and in order of time;
        ``patient_id`` str, ``visit_date`` (NaT where not given), ``age`` float32 years, ``time_years`` since her first
        visit, one categorical column a code (NaN: not done or not known), ``slide`` str or None.
    problems, rows_left_out, notices
        As those of ``PatientTable``.
    """

    frame: pd.DataFrame
    problems: list[RowProblem]
    rows_left_out: int
    notices: list[str]


def read_table(
    source: Path | bytes, *, strict: bool = False, on_progress: OnProgress | None = None
) -> PatientTable | VisitTable:
    """Read a patient file of either format, told apart by its header.

    Parameters
    ----------
    on_progress : callable, optional
        As that of ``read_text_table``, which takes most of the time.

    Raises
    ------
    PatientFileError
        If it is neither, or cannot be read as a whole.
    """
    table = read_text_table(source, on_progress=on_progress)
    return visits_of(table, strict=strict) if is_visit_header(table.header) else patients_of(table, strict=strict)


def read_visits(source: Path | bytes, *, strict: bool = False, today: date | None = None) -> VisitTable:
    """Read a visit table.

    Parameters
    ----------
    strict : bool
        Refuse the whole file if any row has a problem.
    today : date, optional
        Later visits are problems; the day of the call by default.

    Raises
    ------
    PatientFileError
        If the file is no visit table or no visit can be used. Its message holds no cell.
    """
    return visits_of(read_text_table(source), strict=strict, today=today)


def is_visit_header(header: list[str]) -> bool:
    """Whether a header has more columns of the visit table than of the risk-factor table."""
    return sum(visit_column(cell) is not None for cell in header) > sum(recognise(cell) is not None for cell in header)


def visits_of(table: TextTable, *, strict: bool = False, today: date | None = None) -> VisitTable:
    """The same from rows of text."""
    notices = list(table.notices)
    columns = _match_header(table.header, notices)
    cells = {name: np.array(table.columns[at], dtype=object) for name, at in columns.items()}
    _warn_of_identifiers(cells, notices)
    problems = _Problems(np.array(table.lines, np.int64))
    frame = _parsed(cells, problems, today or date.today())
    frame = frame[~problems.bad]
    frame = _in_order(frame, notices)
    frame = _merged_days(frame, problems, notices)
    frame = _consistent_ages(frame, problems)
    frame = _recent(frame, notices)
    found = sorted(table.problems + problems.found, key=lambda problem: problem.row)
    left_out = table.ragged + len(problems.rows)
    refuse_if_unusable(found, left_out, len(frame), strict=strict)
    return VisitTable(frame, found, left_out, notices)


class _Problems:
    """What is wrong, by row; of very many in a column the first thousand."""

    def __init__(self, lines: NDArray[np.int64]) -> None:
        self.lines = lines
        self.bad = np.zeros(len(lines), bool)
        self.found: list[RowProblem] = []
        self.rows: set[int] = set()

    def add(
        self, rows: Bools, column: str, values: NDArray[np.object_], accepted: str, code_column: CodeColumn | None = None
    ) -> None:
        """Rows by their place in the file."""
        self.bad |= rows
        self.add_lines(self.lines[rows], column, values[rows], accepted, code_column)

    def add_lines(
        self,
        lines: NDArray[np.int64],
        column: str,
        values: NDArray[np.object_],
        accepted: str,
        code_column: CodeColumn | None = None,
    ) -> None:
        """Rows by their line; with the column of codes, what a misspelt one means."""
        self.rows.update(int(line) for line in lines)
        kept = [str(value) for value in values[:PROBLEMS_KEPT_PER_COLUMN]]
        meant = {text: meant_code(text[:LONGEST_CELL], code_column) for text in set(kept)} if code_column else {}
        self.found += [
            RowProblem(int(line), column, shown(text), accepted, meant.get(text, ""))
            for line, text in zip(lines[:PROBLEMS_KEPT_PER_COLUMN], kept, strict=True)
        ]

    def judge(
        self,
        schema: pa.SeriesSchema,
        column: str,
        cells: NDArray[np.object_],
        distinct: "_Distinct",
        code_column: CodeColumn | None = None,
    ) -> None:
        """Add the rows whose cells a schema does not accept."""
        for bad, accepted in unfit(schema, distinct.texts, distinct.told):
            self.add(bad[distinct.member_of], column, cells, accepted, code_column)


def _match_header(header: list[str], notices: list[str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    unused: list[str] = []
    personal: list[str] = []
    for position, cell in enumerate(header):
        name = PATIENT_ID if is_patient_id(cell) else visit_column(cell)
        if name is None:
            (personal if identifies(cell) else unused).append(shown(cell))
        elif name in columns:
            refuse_twice(name, position)
        else:
            columns[name] = position
    if (
        PATIENT_ID not in columns
        or not ({VISIT_DATE, AGE} & columns.keys())
        or not ({GENOTYPES, *VISIT_COLUMNS} & columns.keys())
    ):
        raise PatientFileError(
            "The header is not that of a visit table",
            expected=EXPECTED,
            found=f"{', '.join(sorted(columns)) or 'none of its columns'} among {len(header)}",
            action="Check the delimiter and the header, or start from the sample file.",
        )
    if personal:
        notices.append(f"Not read, as they look like personal data: {', '.join(personal)}. Remove them from the file.")
    if unused:
        notices.append(not_used(unused))
    return columns


def _warn_of_identifiers(cells: dict[str, NDArray[np.object_]], notices: list[str]) -> None:
    if any(looks_identifying(str(value)) for value in pd.unique(cells[PATIENT_ID])[:1000]):
        notices.append("Patient ids look like personal numbers or addresses. Use pseudonyms.")


def _parsed(cells: dict[str, NDArray[np.object_]], problems: _Problems, today: date) -> pd.DataFrame:
    """Every cell as its type, each distinct one looked at once."""
    rows = len(problems.lines)
    empty = np.full(rows, "", object)
    ids = pd.Series(cells[PATIENT_ID], dtype="str").str.strip()
    member_of, unique = pd.factorize(ids)
    distinct = _Distinct(member_of.astype(np.int64), pd.Series(unique, dtype="str"), np.ones(len(unique), bool))
    problems.judge(id_schema(), PATIENT_ID, cells[PATIENT_ID], distinct)
    dates = _dates(cells.get(VISIT_DATE, empty), problems, today)
    ages = _ages(cells.get(AGE, empty), problems)
    neither = dates.isna().to_numpy() & np.isnan(ages) & ~problems.bad
    problems.add(neither, VISIT_DATE, empty, "a date as 2024-05-31, or the age in years")
    data: dict[str, object] = {PATIENT_ID: ids.to_numpy(object), VISIT_DATE: dates.to_numpy(), AGE: ages}
    codes = {
        column.name: _codes(cells[column.name], column, problems) if column.name in cells else np.full(rows, -1, np.int64)
        for column in CODE_COLUMNS
    }
    if GENOTYPES in cells:
        _fold_genotypes(cells[GENOTYPES], codes, problems)
    for column in CODE_COLUMNS:
        data[column.name] = pd.Categorical.from_codes(codes[column.name], dtype=pd.CategoricalDtype(list(column.codes)))
    data[SLIDE] = [str(cell).strip()[:LONGEST_CELL] or None for cell in cells[SLIDE]] if SLIDE in cells else None
    return pd.DataFrame(data, index=pd.Index(problems.lines, name="row"))


@dataclass(frozen=True)
class _Distinct:
    """A column's distinct texts ``(m,)``, which one each cell holds ``(n,)``, and which of them say something ``(m,)``."""

    member_of: NDArray[np.int64]
    texts: pd.Series
    told: Bools


def _distinct(cells: NDArray[np.object_]) -> _Distinct:
    member_of, unique = pd.factorize(cells)
    texts = pd.Series(unique, dtype="str").str.slice(0, LONGEST_CELL).str.strip()
    return _Distinct(member_of.astype(np.int64), texts, ~texts.str.lower().isin(NOT_KNOWN).to_numpy(bool))


def _codes(cells: NDArray[np.object_], column: CodeColumn, problems: _Problems) -> NDArray[np.int64]:
    """Position of each cell's code in ``column.codes``, -1 where not known."""
    distinct = _distinct(cells)
    problems.judge(code_schema(column), column.name, cells, distinct, column)
    # "None" is a treatment, though elsewhere it says nothing.
    places = [
        column.codes.index(column.spellings[key]) if (key := folded(text)) in column.spellings else -1
        for text in distinct.texts
    ]
    return np.array(places, np.int64)[distinct.member_of]


def _dates(cells: NDArray[np.object_], problems: _Problems, today: date) -> pd.Series:
    distinct = _distinct(cells)
    problems.judge(date_schema(today), VISIT_DATE, cells, distinct)
    return parsed_dates(distinct.texts).iloc[distinct.member_of].reset_index(drop=True)


def _ages(cells: NDArray[np.object_], problems: _Problems) -> NDArray[np.float32]:
    distinct = _distinct(cells)
    problems.judge(age_schema(), AGE, cells, distinct)
    return parsed_numbers(distinct.texts).to_numpy(np.float32)[distinct.member_of]


def _fold_genotypes(cells: NDArray[np.object_], codes: dict[str, NDArray[np.int64]], problems: _Problems) -> None:
    """Spread a list such as ``16 31`` over HPV 16, HPV 18, other types and the overall result."""
    distinct = _distinct(cells)
    problems.judge(genotype_schema(), GENOTYPES, cells, distinct)
    listed = [listed_types(text) for text in distinct.texts]
    none = np.array([types <= NONE_FOUND and bool(types) for types in listed], bool)
    right = np.array([bool(types) and types <= set(HIGH_RISK_GENOTYPES) for types in listed], bool)
    told = (right | none)[distinct.member_of]
    positive, negative = (VISIT_COLUMNS[HPV_ANY].codes.index(code) for code in (POSITIVE, NEGATIVE))
    for name, types in (
        (HPV_16, {"16"}), (HPV_18, {"18"}), (HPV_OTHER, set(HIGH_RISK_GENOTYPES) - {"16", "18"}),
        (HPV_ANY, set(HIGH_RISK_GENOTYPES)),
    ):  # fmt: skip
        found = np.array([bool(types & has) for has in listed], bool)[distinct.member_of]
        place = np.where(found, positive, negative)
        against = told & (codes[name] >= 0) & (codes[name] != place)
        problems.add(against, GENOTYPES, cells, f"types that agree with {name}")
        codes[name] = np.where(told & (codes[name] < 0), place, codes[name])


def _in_order(frame: pd.DataFrame, notices: list[str]) -> pd.DataFrame:
    """Women in the order of the file, each woman's visits in order of time; ``time_years`` filled in."""
    woman, _ = pd.factorize(frame[PATIENT_ID])
    groups = frame.groupby(woman)
    dated = groups[VISIT_DATE].transform("count").to_numpy() == groups[VISIT_DATE].transform("size").to_numpy()
    days = (frame[VISIT_DATE] - EARLIEST_DATE).dt.days.to_numpy(np.float64) / DAYS_A_YEAR
    # A woman one of whose visits has no date is ordered by age.
    moment = np.where(dated, days, _ages_or_from_dates(frame, woman, days))
    if (mixed := int((~dated & frame[VISIT_DATE].notna().to_numpy()).sum())) > 0:
        notices.append(f"{mixed:,} visits of women some of whose visits have no date: ordered by age.")
    order = np.lexsort((np.arange(len(frame)), moment, woman))
    if (moved := int((order != np.lexsort((np.arange(len(frame)), woman))).sum())) > 0:
        notices.append(f"{moved:,} visits were not in order of time; sorted.")
    frame, moment, woman = frame.iloc[order], moment[order], woman[order]
    first = np.append(True, woman[1:] != woman[:-1])[: len(woman)]
    start = moment[np.maximum.accumulate(np.where(first, np.arange(len(woman)), 0))] if len(woman) else moment
    return frame.assign(**{TIME_YEARS: moment - start})


def _ages_or_from_dates(frame: pd.DataFrame, woman: NDArray[np.int64], days: NDArray[np.float64]) -> NDArray[np.float64]:
    """The age at each visit from its own cell, or from its date and her age at a visit that has both."""
    age = frame[AGE].to_numpy(np.float64)
    born = pd.Series(days - age).groupby(woman).transform("median").to_numpy()
    return np.where(np.isnan(age), days - born, age)


def _merged_days(frame: pd.DataFrame, problems: _Problems, notices: list[str]) -> pd.DataFrame:
    """One visit a day: what two rows of one day say is joined; where they contradict each other, both are left out."""
    day = frame[VISIT_DATE]
    dated = day.notna().to_numpy()
    same = frame.duplicated([PATIENT_ID, VISIT_DATE], keep=False).to_numpy() & dated
    if not same.any():
        return frame
    twins = frame[same]
    told = twins.groupby([PATIENT_ID, VISIT_DATE], sort=False, observed=True)
    columns = [column.name for column in CODE_COLUMNS]
    differs = told[columns].transform("nunique") > 1
    against = differs.any(axis=1).to_numpy()
    if against.any():
        column = differs[against].idxmax(axis=1)
        for name in column.unique():
            rows = column.index[column == name]
            problems.add_lines(
                rows.to_numpy(np.int64), name, twins.loc[rows, name].astype(object).to_numpy(), "one result a day, or two dates"
            )
    joined = twins[~against].copy()
    if len(joined):
        kept = joined.groupby([PATIENT_ID, VISIT_DATE], sort=False, observed=True)
        for name in [*columns, AGE, SLIDE]:
            joined[name] = kept[name].transform("first").astype(joined[name].dtype)
        joined = joined[~joined.duplicated([PATIENT_ID, VISIT_DATE])]
        notices.append(
            f"{int(same.sum() - against.sum() - len(joined)):,} rows repeated a visit's day and were joined with it."
        )
    whole = pd.concat([frame[~same], joined])
    return whole.loc[frame.index[frame.index.isin(whole.index)]]


def _consistent_ages(frame: pd.DataFrame, problems: _Problems) -> pd.DataFrame:
    """Leave out visits at which the age falls, or rises by more than two years beside what the dates say."""
    age = frame[AGE].to_numpy(np.float64)
    known = ~np.isnan(age)
    rows = frame[known]
    woman = rows[PATIENT_ID].to_numpy(object)
    aged = np.diff(age[known], prepend=np.nan)
    passed = np.diff(rows[TIME_YEARS].to_numpy(np.float64), prepend=np.nan)
    same = np.append(False, woman[1:] == woman[:-1])[: len(woman)]
    falls = same & (aged < -0.01) & (passed >= 0)
    jumps = same & (np.abs(aged - passed) > AGE_TOLERANCE_YEARS) & ~falls
    lines = rows.index.to_numpy(np.int64)
    values = rows[AGE].astype(object).to_numpy()
    problems.add_lines(lines[falls], AGE, values[falls], "an age not below that of the visit before")
    problems.add_lines(lines[jumps], AGE, values[jumps], "an age that fits the dates within two years")
    return frame.loc[~frame.index.isin(rows.index[falls | jumps])]


def _recent(frame: pd.DataFrame, notices: list[str]) -> pd.DataFrame:
    from_last = frame.groupby(PATIENT_ID, sort=False).cumcount(ascending=False).to_numpy()
    if (older := int((from_last >= MOST_VISITS).sum())) > 0:
        notices.append(f"{older:,} visits before a woman's last {MOST_VISITS} are not read.")
        frame = frame[from_last < MOST_VISITS]
        first = frame.groupby(PATIENT_ID, sort=False)[TIME_YEARS].transform("first")
        return frame.assign(**{TIME_YEARS: frame[TIME_YEARS] - first})
    return frame
