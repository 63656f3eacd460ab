"""The cells of a visit table as dates, ages and codes: each distinct text looked at once, nothing guessed."""

from collections.abc import Iterable, Mapping
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import PatientFileUnclear
from cervix.patients import dates, hpv
from cervix.patients.cells import Cells
from cervix.patients.numerals import plain_numbers
from cervix.patients.questions import DATES, MINUS, Answers
from cervix.patients.schema import age_schema, code_schema, date_schema, id_schema, parsed_numbers, unfit
from cervix.patients.visit_losses import AT, Distinct, Ints, VisitReading, distinct_texts
from cervix.patients.visit_vocabulary import (
    AGE,
    AGE_HIGH,
    AGE_LOW,
    CODE_COLUMNS,
    GENOTYPES,
    LONGEST_CELL,
    SLIDE,
    VISIT_DATE,
    CodeColumn,
    note_of,
    sums_up,
)
from cervix.patients.vocabulary import PATIENT_ID


def parsed_cells(cells: Mapping[str, Cells], reading: VisitReading, today: date, answers: Answers) -> pd.DataFrame:
    """Every cell as its type, each distinct one looked at once."""
    rows = len(reading.lines)
    empty = Cells.empty(rows)
    distinct_ids = Distinct(reading.woman, pd.Series(reading.women, dtype="str"), np.ones(len(reading.women), bool))
    for bad, accepted in unfit(id_schema(), distinct_ids.texts, distinct_ids.told):
        reading.leave_out(bad[reading.woman], PATIENT_ID, cells[PATIENT_ID], accepted)
    summing = np.array([sums_up(str(name)) for name in reading.women], bool)
    reading.leave_out(summing[reading.woman] & ~reading.bad, PATIENT_ID, reading.ids, "a pseudonym; this row sums up others")
    days = _dates(cells.get(VISIT_DATE, empty), reading, today, answers)
    ages = _ages(cells.get(AGE, empty), reading)
    neither = np.isnat(days) & np.isnan(ages) & ~reading.bad
    reading.leave_out(neither, VISIT_DATE, cells.get(VISIT_DATE, empty), f"{dates.ACCEPTED}; or the age in years")
    data: dict[str, object] = {PATIENT_ID: reading.ids, VISIT_DATE: days, AGE: ages, AT: np.arange(rows)}
    minus = _Minus(answers)
    for column in CODE_COLUMNS:
        codes = _codes(cells[column.name], column, reading, minus) if column.name in cells else np.full(rows, -1, np.int64)
        data[column.name] = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(column.codes)))
    minus.tell(reading)
    listed = _listed(cells.get(GENOTYPES), cells.get(hpv.HPV_ANY), rows, reading)
    for name in hpv.RESULTS if listed else ():
        data[listed_name(name)] = pd.Categorical.from_codes(listed[name], dtype=pd.CategoricalDtype(list(range(2))))
    data[SLIDE] = _slides(cells[SLIDE]) if SLIDE in cells else None
    return pd.DataFrame(data, index=pd.Index(reading.lines, name="row"))


def _slides(cells: Cells) -> NDArray[np.object_]:
    texts = np.empty(len(cells.texts), object)
    texts[:] = [text.strip()[:LONGEST_CELL] or None for text in cells.texts]
    return texts[cells.member_of]


class _Minus:
    """A lone minus sign: not done, unless its column also holds plus signs; then a person says what it means."""

    def __init__(self, answers: Answers) -> None:
        self.answer = answers.minus
        self.not_done: list[str] = []
        self.asked: list[str] = []

    def meaning(self, column: CodeColumn, texts: Iterable[str]) -> str | None:
        """``negative``, ``not done``, or None: not settled."""
        if not any(column.key_of(text).strip("+") == "" and "+" in text for text in texts):
            self.not_done.append(column.label)
            return "not-done"
        self.asked.append(column.label)
        return self.answer

    def tell(self, reading: VisitReading) -> None:
        if self.not_done:
            reading.notices.append(f"- is read as not done in {', '.join(self.not_done)}.")
        if self.asked and self.answer:
            reading.notices.append(f"- is read as {self.answer.replace('-', ' ')} in {', '.join(self.asked)}, as chosen.")
        elif self.asked:
            reading.notices.append(f"- counts as not known in {', '.join(self.asked)} until somebody says what it means.")
            reading.questions.append(MINUS)


def _codes(cells: Cells, column: CodeColumn, reading: VisitReading, minus: _Minus) -> Ints:
    """Position of each cell's code in ``column.codes``, -1 where not known."""
    # "None" is a treatment, though elsewhere it says nothing.
    distinct = distinct_texts(cells, lambda text: column.code_of(text) is not None)
    places = np.array([_place(text, column) for text in distinct.texts], np.int64)
    signs = np.array([column.is_minus(text) for text in distinct.texts], bool)
    named = [column.name == hpv.HPV_ANY and hpv.types_named(text) is not None for text in distinct.texts]
    places[named] = hpv.POSITIVE
    told = distinct.told & ~np.array(named, bool)
    if signs.any():
        meaning = minus.meaning(column, distinct.texts)
        if meaning == "negative" and "negative" in column.codes:
            places[signs] = column.codes.index("negative")
        elif meaning is None:
            reading.not_read(signs[distinct.member_of], column.name, cells, column.accepted)
        told &= ~signs
    judged = Distinct(distinct.member_of, distinct.texts, told)
    reading.judge(code_schema(column), column.name, cells, judged, column)
    for note in sorted({note for text in distinct.texts[distinct.told] if (note := note_of(column, text))}):
        reading.notices.append(note)
    return places[distinct.member_of]


def _place(text: str, column: CodeColumn) -> int:
    code = column.code_of(text)
    return -1 if code is None else column.codes.index(code)


def _dates(cells: Cells, reading: VisitReading, today: date, answers: Answers) -> NDArray[np.datetime64]:
    distinct = distinct_texts(cells)
    read = dates.days_of(distinct.texts.where(distinct.told, ""), answers.dates)
    count_open = int(cells.counts[read.open].sum())
    if count_open:
        if count_open > cells.counts[read.days.notna().to_numpy()].sum():
            raise PatientFileUnclear(
                "The dates of the file can be read two ways",
                expected=dates.ACCEPTED,
                found=f"{count_open:,} dates as 03/04/2020 and no day above 12 to show the order",
                action="Say which comes first: day or month (--dates dmy or --dates mdy on the command line).",
            )
        reading.questions.append(DATES)
        reading.notices.append(f"{count_open:,} dates can be read two ways and count as not known until somebody says which.")
    reading.notices += read.notices
    iso = read.days.dt.strftime("%Y-%m-%d").where(read.days.notna(), distinct.texts)
    bad = np.zeros(len(iso), bool)
    for unfitting, accepted in unfit(date_schema(today), iso.astype("str"), distinct.told):
        bad |= unfitting
        reading.not_read(unfitting[distinct.member_of] & ~reading.bad, VISIT_DATE, cells, accepted)
    days = read.days.where(~bad).to_numpy("datetime64[s]")
    return days[distinct.member_of]


def _ages(cells: Cells, reading: VisitReading) -> NDArray[np.float32]:
    distinct = distinct_texts(cells)
    texts, notices = plain_numbers(distinct.texts, AGE_LOW, AGE_HIGH)
    reading.notices += notices
    reading.judge(age_schema(), AGE, cells, Distinct(distinct.member_of, texts, distinct.told))
    years = parsed_numbers(texts).where(distinct.told)
    return years.where(years.between(AGE_LOW, AGE_HIGH)).to_numpy(np.float32)[distinct.member_of]


def listed_name(name: str) -> str:
    return f"_listed {name}"


def _listed(cells: Cells | None, results: Cells | None, rows: int, reading: VisitReading) -> dict[str, Ints]:
    """What lists of types, and results that name their types, say of the four results; empty where there are none."""
    codes = {name: np.full(rows, hpv.UNKNOWN, np.int64) for name in hpv.RESULTS}
    said = False
    if cells is not None:
        said = True
        distinct = distinct_texts(cells, lambda text: hpv.types_found(text) is not None)
        found = [hpv.types_found(text) for text in distinct.texts]
        # A lone minus, as in other columns, is not done.
        unread = np.array([types is None and text not in "-–" for types, text in zip(found, distinct.texts, strict=True)], bool)
        reading.not_read((unread & distinct.told)[distinct.member_of], GENOTYPES, cells, hpv.ACCEPTED)
        for name in hpv.RESULTS:
            by_text = np.array([types.codes[name] if types else hpv.UNKNOWN for types in found], np.int64)
            codes[name] = by_text[distinct.member_of]
        _tell_other_types(found, distinct, reading)
    if results is not None:
        distinct = distinct_texts(results)
        named = [hpv.types_named(text) for text in distinct.texts]
        if any(named):
            said = True
            for name in hpv.RESULTS:
                by_text = np.array([types[name] if types else hpv.UNKNOWN for types in named], np.int64)[distinct.member_of]
                codes[name] = np.where(by_text == hpv.POSITIVE, by_text, codes[name])
    return codes if said else {}


def _tell_other_types(found: list[hpv.TypesFound | None], distinct: Distinct, reading: VisitReading) -> None:
    low = np.array([bool(types and types.low_risk) for types in found], bool)[distinct.member_of]
    if low.any():
        reading.notices.append(f"Low-risk HPV types are ignored, at {int(low.sum()):,} visits.")
    possible = sorted({name for types in found if types for name in types.possibly_high_risk})
    if possible:
        at = np.array([bool(types and types.possibly_high_risk) for types in found], bool)[distinct.member_of]
        reading.notices.append(
            f"HPV types {', '.join(possible)}, possibly high-risk, were found at {int(at.sum()):,} visits: "
            "they are not among the fourteen high-risk types and do not make a test positive."
        )
