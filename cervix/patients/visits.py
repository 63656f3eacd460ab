"""Read a visit table: every visit in order of time, and for every cell that was lost what is wrong and whose it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import ModelKind
from cervix.errors import PatientFileError
from cervix.patients import hpv
from cervix.patients.cells import Cells
from cervix.patients.completeness import no_losses
from cervix.patients.csv_text import (
    OnProgress,
    RowProblem,
    TextTable,
    not_used,
    read_text_table,
    refuse_if_unusable,
    refuse_twice,
    shown,
)
from cervix.patients.dates import EARLIEST_DATE
from cervix.patients.mapping import with_columns
from cervix.patients.questions import Answers, FileQuestion
from cervix.patients.reading import PatientTable, patients_of
from cervix.patients.sequences import DAYS_A_YEAR, MOST_VISITS, TIME_YEARS
from cervix.patients.visit_cells import listed_name, parsed_cells
from cervix.patients.visit_losses import AT, READ_BY_MODELS, Ints, VisitReading
from cervix.patients.visit_vocabulary import (
    AGE,
    GENOTYPES,
    SLIDE,
    VISIT_COLUMNS,
    VISIT_DATE,
    identifies,
    visit_column,
)
from cervix.patients.vocabulary import PATIENT_ID, is_patient_id, recognise

EXPECTED = "the visit table: patient_id, visit_date or age, and results such as cytology and hpv_result; one row a visit"
# Ages are whole years and dates are days: so far may they lie apart.
AGE_TOLERANCE_YEARS = 2.0


@dataclass(frozen=True)
class VisitTable:
    """The readable visits of a file.

    Attributes
    ----------
    frame : DataFrame
        Index ``row``: first line of the record in the file. A woman's visits are together and in order of time;
        ``patient_id`` str, ``visit_date`` (NaT where not given), ``age`` float32 years, ``time_years`` since her first
        visit, one categorical column a code (NaN: not done or not known), ``slide`` str or None.
    problems : list of RowProblem
        What was lost, whose it was and what would be accepted; of very many, the first thousand a column.
    rows_left_out : int
        Rows that are not a visit, or whose time or woman cannot be known.
    notices : list of str
        What had to be assumed to read the file.
    losses : DataFrame
        Index ``patient_id``: the women of ``frame`` who lost something; how many ``visits_set_aside``, ``cells_not_read``
        of columns that a model reads, and ``contradictions``.
    questions : list of FileQuestion
        What a person can still say of the file; until then the cells concerned are not known.
    model_kind : ModelKind
        Of the models that read such a table.
    """

    model_kind: ClassVar[ModelKind] = "sequence"

    frame: pd.DataFrame
    problems: list[RowProblem]
    rows_left_out: int
    notices: list[str]
    losses: pd.DataFrame = field(default_factory=no_losses)
    questions: list[FileQuestion] = field(default_factory=list)


def read_table(
    source: Path | bytes,
    *,
    strict: bool = False,
    columns: Mapping[str, str] | None = None,
    answers: Answers | None = None,
    on_progress: OnProgress | None = None,
) -> PatientTable | VisitTable:
    """Read a patient file of either format, told apart by its header.

    Parameters
    ----------
    strict : bool
        Refuse the whole file if anything in it is lost.
    columns : mapping, optional
        Column of ours -> column of the file, where a person said which is which; it is a visit table then.
    answers : Answers, optional
        What a person said of the file.
    on_progress : callable, optional
        As that of ``read_text_table``, which takes most of the time.

    Raises
    ------
    PatientFileUnclear
        If its dates can be read two ways and nobody said which.
    PatientFileError
        If it is neither, or cannot be read as a whole.
    """
    table = read_text_table(source, on_progress=on_progress)
    if columns:
        table = with_columns(table, columns)
    if is_visit_header(table.header):
        return visits_of(table, strict=strict, answers=answers)
    return patients_of(table, strict=strict)


def read_visits(
    source: Path | bytes, *, strict: bool = False, today: date | None = None, answers: Answers | None = None
) -> VisitTable:
    """Read a visit table.

    Parameters
    ----------
    strict, answers
        As those of ``read_table``.
    today : date, optional
        Later visits are problems; the day of the call by default.

    Raises
    ------
    PatientFileUnclear
        If its dates can be read two ways and nobody said which.
    PatientFileError
        If the file is not a visit table or no visit can be used. Its message holds no cell.
    """
    return visits_of(read_text_table(source), strict=strict, today=today, answers=answers)


def is_visit_header(header: list[str]) -> bool:
    """Whether a header has more columns of the visit table than of the risk-factor table."""
    return sum(visit_column(cell) is not None for cell in header) > sum(recognise(cell) is not None for cell in header)


def visits_of(
    table: TextTable, *, strict: bool = False, today: date | None = None, answers: Answers | None = None
) -> VisitTable:
    """The same from rows of text."""
    notices = list(table.notices)
    columns = visit_columns_of(table.header, notices)
    cells = {name: Cells.of(table.columns[at]) for name, at in columns.items()}
    reading = VisitReading(np.array(table.lines, np.int64), cells[PATIENT_ID].stripped, notices)
    reading.warn_of_identifiers()
    frame = histories_in_order(parsed_cells(cells, reading, today or date.today(), answers or Answers()), reading)
    reading.own_torn_rows(table, columns[PATIENT_ID])
    losses = reading.losses(frame)
    found = sorted(reading.found + reading.torn(table, columns[PATIENT_ID]), key=lambda problem: problem.row)
    left_out = table.ragged + int(reading.bad.sum())
    refuse_if_unusable(found, left_out, len(frame), strict=strict)
    reading.say_who_is_gone(frame)
    return VisitTable(frame.drop(columns=AT), found, left_out, notices, losses, reading.questions)


def histories_in_order(frame: pd.DataFrame, reading: VisitReading) -> pd.DataFrame:
    """Every woman's visits as ``VisitTable.frame`` has them, from the cells of all her rows (``parsed_cells``).

    What it does with a woman's rows depends on no other's. ``AT``, each visit's place among the rows, is left in.
    """
    frame = frame[~reading.bad]
    frame = _without_odd_ages(frame, reading)
    frame = _in_order(frame, reading)
    frame = _merged_days(frame, reading)
    frame = _with_hpv_joined(frame, reading)
    return _recent(frame, reading)


def visit_columns_of(header: list[str], notices: list[str]) -> dict[str, int]:
    """Column of ours -> position; ``PatientFileError`` where it is no header of a visit table."""
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
        notices.append(f"Not read, because they look like personal data: {', '.join(personal)}. Remove them from the file.")
    if AGE not in columns:
        notices.append("No column of ages: the model assumes the most common age, and answers are less certain.")
    if unused:
        notices.append(not_used(unused))
    return columns


def _without_odd_ages(frame: pd.DataFrame, reading: VisitReading) -> pd.DataFrame:
    """Ages that do not fit the dates of a woman's visits are blanked: the odd one out, or all where it cannot be told."""
    age = frame[AGE].to_numpy(np.float64)
    days = (frame[VISIT_DATE] - EARLIEST_DATE).dt.days.to_numpy(np.float64) / DAYS_A_YEAR
    born = days - age
    both = ~np.isnan(born)
    if not both.any():
        return frame
    woman = reading.woman[frame[AT].to_numpy(np.int64)]
    order = np.lexsort((born[both], woman[both]))
    at = np.flatnonzero(both)[order]
    starts = np.flatnonzero(np.append(True, np.diff(woman[at]) != 0))
    sizes = np.diff(np.append(starts, len(at)))
    sorted_born = born[at]
    middle = np.repeat(sorted_born[starts + (sizes - 1) // 2], sizes)
    near = np.abs(sorted_born - middle) <= AGE_TOLERANCE_YEARS
    spread = np.repeat(sorted_born[starts + sizes - 1] - sorted_born[starts], sizes) > AGE_TOLERANCE_YEARS
    agreeing = np.repeat(np.add.reduceat(near.astype(np.int64), starts), sizes)
    odd = spread & (~near | (2 * agreeing <= np.repeat(sizes, sizes)))
    if not odd.any():
        return frame
    rows = np.sort(at[odd])
    places = frame[AT].to_numpy(np.int64)[rows]
    values = np.array([f"{years:g}" for years in age[rows]], object)
    accepted = f"an age that fits the dates of her visits within {AGE_TOLERANCE_YEARS:g} years"
    reading.contradict(places, AGE, values, accepted, counted=places)
    blanked = frame[AGE].to_numpy(np.float32).copy()
    blanked[rows] = np.nan
    return frame.assign(**{AGE: blanked})


def _in_order(frame: pd.DataFrame, reading: VisitReading) -> pd.DataFrame:
    """Women in the order of the file, each woman's visits in order of time; ``time_years`` filled in."""
    woman, _ = pd.factorize(frame[PATIENT_ID])
    groups = frame.groupby(woman)
    dated = groups[VISIT_DATE].transform("count").to_numpy() == groups[VISIT_DATE].transform("size").to_numpy()
    days = (frame[VISIT_DATE] - EARLIEST_DATE).dt.days.to_numpy(np.float64) / DAYS_A_YEAR
    moment = np.where(dated, days, _ages_or_from_dates(frame, woman, days))
    # Without one visit that has both, dates and ages of a woman cannot be put in one order: her dates stand.
    lost = np.isnan(moment)
    if lost.any():
        unplaced = pd.Series(lost).groupby(woman).transform("any").to_numpy(bool)
        moment = np.where(unplaced, days, moment)
        nowhere = np.zeros(len(reading.lines), bool)
        nowhere[frame[AT].to_numpy(np.int64)[np.isnan(moment)]] = True
        reading.leave_out(nowhere, VISIT_DATE, np.full(len(nowhere), "", object), "a date, like her other visits")
    # A woman one of whose visits has no date is ordered by age.
    if (mixed := int((~dated & frame[VISIT_DATE].notna().to_numpy()).sum())) > 0:
        reading.notices.append(f"{mixed:,} visits belong to women with some undated visits: they were ordered by age.")
    placed = ~np.isnan(moment)
    frame, moment, woman = frame[placed], moment[placed], woman[placed]
    order = np.lexsort((np.arange(len(frame)), moment, woman))
    if (moved := _visits_out_of_order(woman, moment)) > 0:
        reading.notices.append(f"{moved:,} visits were out of order and were sorted.")
    frame, moment, woman = frame.iloc[order], moment[order], woman[order]
    first = np.append(True, woman[1:] != woman[:-1])[: len(woman)]
    start = moment[np.maximum.accumulate(np.where(first, np.arange(len(woman)), 0))] if len(woman) else moment
    return frame.assign(**{TIME_YEARS: moment - start})


def _visits_out_of_order(woman: Ints, moment: NDArray[np.float64]) -> int:
    """Visits that come after a later one of the same woman in the file."""
    by_woman = np.argsort(woman, kind="stable")
    latest = pd.Series(moment[by_woman]).groupby(woman[by_woman]).cummax().to_numpy()
    return int((moment[by_woman] < latest).sum())


def _ages_or_from_dates(frame: pd.DataFrame, woman: Ints, days: NDArray[np.float64]) -> NDArray[np.float64]:
    """The age at each visit from its own cell, or from its date and her age at a visit that has both."""
    age = frame[AGE].to_numpy(np.float64)
    born = pd.Series(days - age).groupby(woman).transform("median").to_numpy()
    return np.where(np.isnan(age), days - born, age)


def _merged_days(frame: pd.DataFrame, reading: VisitReading) -> pd.DataFrame:
    """One visit a day: what its rows say is joined; what contradicts is listed and not known, the rest is kept."""
    dated = frame[VISIT_DATE].notna().to_numpy()
    same = frame.duplicated([PATIENT_ID, VISIT_DATE], keep=False).to_numpy() & dated
    if not same.any():
        return frame
    twins = frame[same].copy()
    days = twins.groupby([PATIENT_ID, VISIT_DATE], sort=False, observed=True)
    columns = [name for name in twins.columns if name in VISIT_COLUMNS or name.startswith(listed_name(""))]
    differs = days[columns].transform("nunique") > 1
    places = twins[AT].to_numpy(np.int64)
    first_of_day = days[AT].transform("first").to_numpy(np.int64)
    for name in columns:
        against = differs[name].to_numpy(bool)
        if not against.any():
            continue
        if name in READ_BY_MODELS or name not in VISIT_COLUMNS:
            column = name if name in VISIT_COLUMNS else GENOTYPES
            told = against & twins[name].notna().to_numpy()
            values = twins[name].astype(object).to_numpy()[told]
            counted = np.unique(first_of_day[against])
            reading.contradict(places[told], column, values, "one result a day, or two dates", counted=counted)
        else:
            reading.notices.append(f"{name}: days with two results count as not known; no model reads them.")
    for name in [*columns, AGE, SLIDE]:
        joined = days[name].transform("first").astype(twins[name].dtype)
        twins[name] = joined.where(~differs[name]) if name in columns else joined
    twins = twins[~twins.duplicated([PATIENT_ID, VISIT_DATE])]
    reading.notices.append(f"{int(same.sum()) - len(twins):,} rows had the same day as another row and were joined with it.")
    whole = pd.concat([frame[~same], twins])
    return whole.loc[frame.index[frame.index.isin(whole.index)]]


def _with_hpv_joined(frame: pd.DataFrame, reading: VisitReading) -> pd.DataFrame:
    """Overall HPV result, channels and lists of types made one; contradictions listed and not known."""
    own = {name: np.asarray(frame[name].cat.codes, np.int64) for name in hpv.RESULTS}
    extra = [listed_name(name) for name in hpv.RESULTS if listed_name(name) in frame]
    unsaid = np.full(len(frame), hpv.UNKNOWN, np.int64)
    listed = {name: np.asarray(frame[listed_name(name)].cat.codes, np.int64) if extra else unsaid for name in hpv.RESULTS}
    made = hpv.joined(own, listed)
    places = frame[AT].to_numpy(np.int64)
    broken = np.any([made.against[name] for name in hpv.RESULTS], axis=0)
    counted = places[broken]
    for name in hpv.RESULTS:
        rows = made.against[name]
        if rows.any():
            values = frame[name].astype(object).to_numpy()[rows]
            accepted = "HPV results of one visit that agree with each other"
            reading.contradict(places[rows], name, values, accepted, counted=counted)
            counted = counted[:0]
    if made.joined:
        reading.notices.append(f"At {made.joined:,} visits the overall HPV result was derived from its types.")
    replaced = {}
    for name in hpv.RESULTS:
        kind = pd.CategoricalDtype(list(VISIT_COLUMNS[name].codes))
        replaced[name] = pd.Categorical.from_codes(made.codes[name], dtype=kind)
    return frame.drop(columns=extra).assign(**replaced)


def _recent(frame: pd.DataFrame, reading: VisitReading) -> pd.DataFrame:
    from_last = frame.groupby(PATIENT_ID, sort=False).cumcount(ascending=False).to_numpy()
    older = from_last >= MOST_VISITS
    if older.any():
        reading.notices.append(f"{int(older.sum()):,} visits before a woman's last {MOST_VISITS} are not read.")
        reading.older = frame[AT].to_numpy(np.int64)[older]
        np.add.at(reading.set_aside, reading.woman[reading.older], 1)
        frame = frame[~older]
        first = frame.groupby(PATIENT_ID, sort=False)[TIME_YEARS].transform("first")
        return frame.assign(**{TIME_YEARS: frame[TIME_YEARS] - first})
    return frame
