"""From a file to columns: which way round the table lies, whose rows they are, which column is which marker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cervix.bundle.manifest import MarkerInput
from cervix.errors import MarkerFileError
from cervix.molecular.names import Named, is_marker_header, marker_named
from cervix.molecular.problems import ROW_OUT, WHOLE_ROW, MarkerProblem
from cervix.sources.tables.reader import WantedTable, told
from cervix.sources.tables.registry import open_table

EXPECTED: Final = (
    "a table of reads per million with a header, one row a tumour and one column a precursor (tumour, hsa-mir-205, "
    "hsa-mir-375, …), or the precursors in rows; as CSV, TSV, XLSX, XLS, ODS or Parquet"
)
MARKER_TABLE: Final = WantedTable(is_marker_header, EXPECTED)
ID_NAMES: Final = frozenset({
    "tumour", "tumor", "patient", "patient_id", "sample", "sample_id", "case", "case_id", "barcode", "id", "",
})  # fmt: skip
MOST_CELLS: Final = 20_000_000
TURNED: Final = "Genes are in rows and tumours in columns; the table was turned."
LISTED_AT_MOST: Final = 5


@dataclass(frozen=True)
class Columns:
    """A table with one row a tumour.

    Attributes
    ----------
    ids : list of str, or None where no column names the tumours
    lines : line of each row in the file, or its column where the table was turned
    markers : column by what it is of
    turned : bool
    """

    ids: list[str] | None
    lines: list[int]
    markers: dict[Named, list[str]]
    turned: bool
    problems: list[MarkerProblem]
    notices: list[str]


def read_columns(source: Path | bytes) -> Columns:
    """Read any kind of table that ``cervix.sources.tables`` knows.

    Raises
    ------
    PatientFileError
        If the file cannot be opened, is empty or of another kind.
    MarkerFileError
        If no column and no row names a microRNA, one is named twice, or there is no row of values.
    """
    table = open_table(source, MARKER_TABLE)
    header, problems = table.header, list[MarkerProblem]()
    lines, rows = list[int](), list[list[str]]()
    for line, cells in table.rows:
        if cells is None or (told(cells) and (len(cells) < len(header) or told(cells[len(header) :]))):
            found = "a quote out of place" if cells is None else f"{len(cells)} cells"
            problems.append(MarkerProblem(line, WHOLE_ROW, found, f"{len(header)} cells, as in the header", ROW_OUT))
        elif told(cells):
            lines.append(line)
            rows.append(cells[: len(header)])
        if len(rows) * len(header) > MOST_CELLS:
            raise MarkerFileError("The table is too large", expected=f"at most {MOST_CELLS:,} cells", found="more")
    notices = list(table.notices)
    turned = not any(is_marker_header(cell) for cell in header) and sum(is_marker_header(row[0]) for row in rows) > 0
    if turned:
        notices.append(TURNED)
        names = [row[0] for row in rows]
        ids = [cell.strip() for cell in header[1:]]
        if not ids:
            raise MarkerFileError("The table names markers and holds no tumour", expected=EXPECTED, found="one column")
        values = [row[1:] for row in rows]
        return Columns(ids, list(range(2, len(header) + 1)), _by_marker(names, values, notices), turned, problems, notices)
    if not any(is_marker_header(cell) for cell in header):
        raise MarkerFileError("No column and no row of the table names a microRNA", expected=EXPECTED, found=_counted(header))
    if not rows:
        raise MarkerFileError("The table has a header but no rows", expected="at least one row below the header", found="none")
    columns = [[row[at] for row in rows] for at in range(len(header))]
    at_id = next((at for at, cell in enumerate(header) if cell.strip().casefold() in ID_NAMES), None)
    others = [columns[at] for at in range(len(header)) if at != at_id]
    named = [cell for at, cell in enumerate(header) if at != at_id]
    found_ids = None if at_id is None else [cell.strip() for cell in columns[at_id]]
    return Columns(found_ids, lines, _by_marker(named, others, notices), turned, problems, notices)


def chosen_columns(columns: Columns, markers: MarkerInput) -> dict[str, Named]:
    """The columns that the model is fed, by its own names for them; what was taken for what is added to the notices.

    A precursor's reads are those of its arms together. Where a table has one arm alone it is taken for the precursor; of two
    neither is.
    """
    found: dict[str, Named] = {}
    by_arm, two_arms = [], []
    for marker in markers.encoding:
        of_marker = [named for named in columns.markers if named.precursor in marker.names]
        known = {named.arm: named for named in of_marker}
        if len(known) < len(of_marker):
            raise _twice(marker.name, f"as {' and '.join(named.precursor for named in of_marker)}")
        if "" in known:
            found[marker.name] = known[""]
        elif len(known) == 1:
            found[marker.name] = next(iter(known.values()))
            by_arm.append(f"{marker.name} from its {next(iter(known))} arm")
        elif known:
            two_arms.append(marker.name)
    if by_arm:
        columns.notices.append(
            f"The table names mature microRNA. Taken for the precursor, of which no other arm is there: {_listed(by_arm)}."
        )
    if two_arms:
        columns.notices.append(
            f"Not read, because two arms stand in the table and the model's table is of precursors: {_listed(two_arms)}. "
            "Give the reads of the precursor."
        )
    if not found:
        raise MarkerFileError(
            "The table holds none of the markers that the model reads", expected=_listed(markers.names),
            found=f"{len(columns.markers)} other microRNA" + (", or two arms of each" if two_arms else ""),
        )  # fmt: skip
    if missing := [name for name in markers.names if name not in found]:
        columns.notices.append(f"Not in the table, {len(missing)} of {len(markers.names)} markers: {_listed(missing)}.")
    return found


def profile_columns(columns: Columns) -> list[Named]:
    """Every column that counts reads once: precursors where there are any, else arms."""
    return [named for named in columns.markers if not named.arm] or list(columns.markers)


def _by_marker(names: Sequence[str], values: Sequence[list[str]], notices: list[str]) -> dict[Named, list[str]]:
    markers: dict[Named, list[str]] = {}
    others = 0
    for name, cells in zip(names, values, strict=True):
        named = marker_named(name)
        if named is None:
            others += 1
        elif named in markers:
            raise _twice(named.precursor + (f"-{named.arm}" if named.arm else ""), "it again")
        else:
            markers[named] = cells
    if others:
        notices.append(f"{others:,} columns name no microRNA and are not used.")
    return markers


def _twice(name: str, found: str) -> MarkerFileError:
    return MarkerFileError(
        f"The table names {name} twice", expected="each marker once, in any spelling", found=found,
        action="Leave the column that is meant.",
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED_AT_MOST} more" if len(names) > LISTED_AT_MOST else ""
    return f"{', '.join(names[:LISTED_AT_MOST])}{more}"


def _counted(header: Sequence[str]) -> str:
    return f"{len(header)} column{'s' if len(header) != 1 else ''} with other names"
