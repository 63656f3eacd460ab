"""Lists of slides as CSV: one row a slide, with what its file does not say."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from cervix.archive.sources.folders import Folders, one_slide
from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.sources.s3 import SCHEME
from cervix.archive.work import Found, Station, Work
from cervix.errors import ArchiveRunRefused, NameRefused, PatientFileError, SourceUnavailable
from cervix.outside_names import inside
from cervix.settings import Settings
from cervix.sources.downloads import Onlooker
from cervix.sources.objects import store_of
from cervix.sources.scale import PLAUSIBLE_SPACING_UM_PX
from cervix.sources.tables.reader import TableRows, WantedTable, told
from cervix.sources.tables.registry import open_table

SUFFIXES: Final = (".csv", ".tsv", ".txt")
COLUMNS: Final = {
    "path": "path", "uri": "path", "slide": "path", "file": "path",
    "mpp": "mpp", "spacing_um_px": "mpp",
    "site": "site", "laboratory": "site",
    "day": "day", "scanned": "day",
}  # fmt: skip
"""Header in small letters -> what it is."""
EXPECTED: Final = "a list of slides: a column path or uri, and where wanted mpp, site, and day or scanned"
LONGEST_SITE: Final = 80
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


def is_column(cell: str) -> bool:
    """Whether a cell is a header of a list of slides."""
    return cell.strip().lower() in COLUMNS


LIST_OF_SLIDES: Final = WantedTable(is_column, EXPECTED)


class Manifests:
    """Lists on a disk of this machine. Their rows lead to slides of every other kind.

    Parameters
    ----------
    listed : callable
        Lists a source of another kind by its address.
    """

    def __init__(self, listed: Callable[[str, Settings, PassedOver], Iterator[Found]]) -> None:
        self._listed = listed

    def matches(self, source: str) -> bool:
        return "://" not in source and source.lower().endswith(SUFFIXES)

    def listed(self, source: str, settings: Settings, passed: PassedOver) -> Iterator[Found]:
        path = Path(source).resolve()
        try:
            table = open_table(path, LIST_OF_SLIDES)
        except PatientFileError as error:
            raise ArchiveRunRefused(
                "A list of slides cannot be read", expected=EXPECTED, found=error.found, action="Look at the file."
            ) from error
        places = _places(table.header, passed)
        passed.notices += table.notices
        seen: set[str] = set()
        for line, cells in _whole_rows(table, passed):
            row = {name: cells[at].strip() for name, at in places.items()}
            for found in self._of_row(row, path.parent, settings, passed, line):
                if found.locator in seen:
                    passed.add("row-twice", line)
                else:
                    seen.add(found.locator)
                    yield found

    def at_hand(self, work: Work, station: Station, onlooker: Onlooker) -> AbstractContextManager[Path]:
        # A list holds no slide; a file of a table of women lies as one does.
        return Folders().at_hand(work, station, onlooker)

    def _of_row(self, row: dict[str, str], folder: Path, settings: Settings, passed: PassedOver, line: int) -> Iterator[Found]:
        spacing_um_px = _spacing(row.get("mpp", ""))
        if not row["path"]:
            passed.add("row-without-path", line)
        elif spacing_um_px == 0:
            passed.add("row-bad-mpp", line)
        else:
            day = _day(row.get("day", ""))
            if day is None:
                passed.add("row-bad-day", line)
            site = row.get("site", "")[:LONGEST_SITE]
            for found in self._slides(row["path"], folder, settings, passed, line):
                yield replace(
                    found, site=site or found.site, day=day or found.day, spacing_um_px=spacing_um_px or found.spacing_um_px
                )

    def _slides(self, cell: str, folder: Path, settings: Settings, passed: PassedOver, line: int) -> Iterator[Found]:
        if cell.lower().startswith(SCHEME):
            store_of(settings)  # what is missing or forbidden here is no fault of the row
        try:
            if _ADDRESS.match(cell) and not Path(cell).is_absolute():
                yield from self._listed(cell, settings, passed)
                return
            path = Path(cell) if Path(cell).is_absolute() else inside(folder, cell)
            if path.is_dir():
                yield from self._listed(str(path), settings, passed)
            elif path.is_file():
                yield one_slide(path)
            else:
                passed.add("row-not-there", line)
        except NameRefused:
            passed.add("row-outside", line)
        except ArchiveRunRefused:
            passed.add("row-no-slide", line)
        except SourceUnavailable:
            raise  # a store that cannot be asked just now has not said that nothing is there
        except OSError:  # gone, or a name that no disk takes
            passed.add("row-not-there", line)


def _places(header: list[str], passed: PassedOver) -> dict[str, int]:
    places: dict[str, int] = {}
    unused = 0
    for at, cell in enumerate(header):
        name = COLUMNS.get(cell.strip().lower())
        if name is None:
            unused += 1
        elif name in places:
            raise ArchiveRunRefused("A list of slides names a column twice", expected="each once", found=f"{name}, twice")
        else:
            places[name] = at
    if "path" not in places:
        raise ArchiveRunRefused("A table is no list of slides", expected=EXPECTED, found=f"{len(header)} other columns")
    if unused:
        passed.notices.append(f"A list of slides has {unused} columns that are not used.")
    return places


def _whole_rows(table: TableRows, passed: PassedOver) -> Iterator[tuple[int, list[str]]]:
    width = len(table.header)
    for line, cells in table.rows:
        if cells is None or (told(cells) and (len(cells) < width or told(cells[width:]))):
            passed.add("row-torn", line)
        elif told(cells):
            yield line, cells


def _spacing(text: str) -> float | None:
    """Micrometres per pixel; None where nothing is said, 0 where it cannot be that of a slide."""
    if not text:
        return None
    low, high = PLAUSIBLE_SPACING_UM_PX
    try:
        spacing = float(text.replace(",", "."))
    except ValueError:
        return 0.0
    return spacing if low <= spacing <= high else 0.0


def _day(text: str) -> str | None:
    """A day as 2026-11-30 from a date or time in ISO 8601; empty where nothing is said, None where it is no day."""
    try:
        return date.fromisoformat(re.split(r"[T ]", text)[0]).isoformat() if text else ""
    except ValueError:
        return None
