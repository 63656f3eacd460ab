"""Read a table of markers from outside into what a molecular model is fed. Nothing is lost unmarked."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import MarkerInput
from cervix.errors import MarkerFileError
from cervix.molecular.layout import chosen_columns, profile_columns, read_columns
from cervix.molecular.problems import CELL_OUT, KEPT, ROW_OUT, WHOLE_ROW, MarkerProblem
from cervix.molecular.units import COUNTS, LOGS, PER_CENT, RPM, SHARES, UNCLEAR, units_of

Floats = NDArray[np.float64]
NOT_MEASURED: Final = frozenset({"", "na", "nan", "n/a", "null", "none", "-", "."})
LONGEST_NUMBER, LONGEST_SHOWN = 40, 20
ACCEPTED: Final = "a number of 0 or more, or an empty cell"
_PROVES_COMMA: Final = re.compile(r"\d+,(?:\d{1,2}|\d{4,})|0,\d+")
"""A decimal comma for sure: before exactly three digits it may part thousands, and would be read a thousand times too low."""
MOST_READS: Final = 1e12
"""Beyond any sequencer's; what is more is no count."""
NEGATIVE_SHARE: Final = 0.05
"""Share of negative numbers above which a table is no table of reads: a logarithm, a ratio or a centred value."""
LOGS_FOUND: Final = "values that all lie low, as logarithms do"
TAKE_BACK: Final = "Give the reads per million themselves; of log2(x + 1), that is 2^x - 1."
TURNED_INTO: Final = {
    COUNTS: "{rows} counts of reads; made reads per million of the whole profile.",
    PER_CENT: "{rows} per cent of reads; made reads per million.",
    SHARES: "{rows} shares of reads; made reads per million.",
}
ROWS_ARE: Final = {
    LOGS: ("logarithms", TAKE_BACK),
    UNCLEAR: (
        "a whole profile of reads per million, which sums to a million, or of counts",
        "Give reads per million or counts.",
    ),
}
WHOLE_NUMBERS: Final = (
    "All values are whole numbers, as counts are. Without the whole profile they cannot be made reads per million; "
    "they are read as reads per million, and the gate refuses what is not like them."
)
FEWEST_FOR_COUNTS: Final = 10


@dataclass(frozen=True)
class MarkerTable:
    """Tumours as a molecular model is fed them.

    Attributes
    ----------
    tumours : (n,) their names in the file, or the row; pseudonyms, for the page alone
    lines : (n,) line in the file, or column where genes are in rows
    rpm : (n, F) float32 reads per million, NaN where not measured
    not_read : (n,) how many cells of the model's markers held something that could not be read
    problems, notices
    left_out : how many rows were
    """

    tumours: list[str]
    lines: NDArray[np.int64]
    rpm: NDArray[np.float32]
    not_read: NDArray[np.int64]
    problems: list[MarkerProblem]
    notices: list[str]
    left_out: int


def read_markers(source: Path | bytes, markers: MarkerInput) -> MarkerTable:
    """Read a table of one or many tumours for a model.

    Counts, per cent and shares become reads per million where the whole profile is there. Logarithms are refused: whether
    they are to base 2, e or 10, and what was added, a table does not say.

    Raises
    ------
    PatientFileError
        If the file cannot be opened, is empty or of another kind.
    MarkerFileError
        If it holds no microRNA that the model reads, names one twice, or no row can be used.
    """
    columns = read_columns(source)
    problems, notices = columns.problems, columns.notices
    chosen = chosen_columns(columns, markers)
    rows = len(columns.lines)
    commas = any(_PROVES_COMMA.fullmatch(cell.strip()) for cells in columns.markers.values() for cell in cells if "," in cell)
    numbers = {
        named: np.array([_number(cell, commas=commas) for cell in cells], np.float64)
        for named, cells in columns.markers.items()
    }
    _refuse_negative(numbers.values())
    values = np.full((rows, len(markers.encoding)), np.nan)
    not_read = np.zeros(rows, np.int64)
    for at, marker in enumerate(markers.encoding):
        if marker.name in chosen:
            named = chosen[marker.name]
            values[:, at] = _measured(numbers[named])
            not_read += _not_read(columns.markers[named], numbers[named], marker.name, columns.lines, problems)
    profile = np.stack([_measured(numbers[named]) for named in profile_columns(columns)], axis=1)
    gate = [at for at, marker in enumerate(markers.encoding) if marker.use == "gate"]
    units = units_of(profile, values[:, gate])
    for kind, words in TURNED_INTO.items():
        if count := int((units.kinds == kind).sum()):
            notices.append(words.format(rows=f"{count} row{'s' if count != 1 else ''} hold{'s' if count == 1 else ''}"))
    usable = np.isfinite(units.factors)
    for row in np.flatnonzero(~usable):
        accepted = ROWS_ARE[str(units.kinds[row])]
        problems.append(
            MarkerProblem(columns.lines[row], WHOLE_ROW, accepted[0], f"reads per million. {accepted[1]}", ROW_OUT)
            if units.kinds[row] == LOGS
            else MarkerProblem(columns.lines[row], WHOLE_ROW, "another sum", accepted[0], ROW_OUT)
        )
    _say_whole_numbers(profile, units.kinds, notices)
    tumours = columns.ids or [f"row {line}" for line in columns.lines]
    if columns.ids is None:
        notices.append("No column names the tumours (tumour, patient, sample, …); they are called by their row.")
    usable &= _first_of_each(tumours, values, columns.lines, problems)
    _refuse_without_rows(usable, units.kinds)
    kept = np.flatnonzero(usable)
    return MarkerTable(
        tumours=[tumours[row] or f"row {columns.lines[row]}" for row in kept],
        lines=np.array(columns.lines, np.int64)[kept],
        rpm=(values * units.factors[:, None])[kept].astype(np.float32),
        not_read=not_read[kept],
        problems=sorted(problems, key=lambda problem: problem.row),
        notices=notices,
        left_out=sum(problem.became == ROW_OUT for problem in problems),
    )


def _measured(values: Floats) -> Floats:
    """The same without what no reads can be."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where((values >= 0) & (values <= MOST_READS), values, np.nan), np.float64)


def _not_read(
    cells: Sequence[str], values: Floats, name: str, lines: Sequence[int], problems: list[MarkerProblem]
) -> NDArray[np.int64]:
    """1 for each cell that says something and could not be read, which is added to the problems."""
    told = np.array([cell.strip().casefold() not in NOT_MEASURED for cell in cells], bool)
    bad = told & np.isnan(_measured(values))
    for row in np.flatnonzero(bad).tolist():
        text = cells[row].strip()
        shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
        problems.append(MarkerProblem(lines[row], name, shown, ACCEPTED, CELL_OUT))
    return bad.astype(np.int64)


def _number(cell: str, *, commas: bool) -> float:
    """The number of a cell; of one with a comma only where the table proves that commas part decimals."""
    text = cell.strip()
    if not text or len(text) > LONGEST_NUMBER or "_" in text:
        return np.nan
    if commas and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return np.nan


def _refuse_negative(columns: Iterable[Floats]) -> None:
    numbers = np.concatenate(list(columns))
    known = numbers[~np.isnan(numbers)]
    if len(known) and (known < 0).mean() > NEGATIVE_SHARE:
        raise MarkerFileError(
            "The table holds negative values", expected="reads per million, which are 0 or more",
            found=f"{int((known < 0).sum()):,} of {len(known):,} values below 0, as logarithms, ratios or centred values have",
            action=TAKE_BACK,
        )  # fmt: skip


def _say_whole_numbers(profile: Floats, kinds: NDArray[np.str_], notices: list[str]) -> None:
    known = profile[~np.isnan(profile)]
    if (kinds == RPM).all() and profile.shape[1] >= FEWEST_FOR_COUNTS and len(known) and (known % 1 == 0).all() and known.any():
        notices.append(WHOLE_NUMBERS)


def _first_of_each(
    tumours: Sequence[str], values: Floats, lines: Sequence[int], problems: list[MarkerProblem]
) -> NDArray[np.bool_]:
    """False for rows that repeat one above, name and values; a name again with other values is kept and said."""
    seen: dict[str, list[int]] = defaultdict(list)
    first = np.ones(len(tumours), bool)
    for row, name in enumerate(tumours):
        if not name:
            continue
        if any(np.array_equal(values[row], values[other], equal_nan=True) for other in seen[name]):
            first[row] = False
            problems.append(MarkerProblem(lines[row], WHOLE_ROW, "the same tumour again", "each once", ROW_OUT))
        elif seen[name]:
            problems.append(MarkerProblem(lines[row], WHOLE_ROW, "this name again, with other values", "each name once", KEPT))
        seen[name].append(row)
    return first


def _refuse_without_rows(usable: NDArray[np.bool_], kinds: NDArray[np.str_]) -> None:
    if usable.any():
        return
    if (kinds == LOGS).any():
        raise MarkerFileError(
            "The table holds logarithms", expected="reads per million", found=LOGS_FOUND, action=TAKE_BACK
        )  # fmt: skip
    raise MarkerFileError("No row of the table can be used", expected=f"{ROWS_ARE[UNCLEAR][0]}", found="rows with another sum")
