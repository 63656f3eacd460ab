"""What every kind of file with a table in it answers: a header, and rows of text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cervix.errors import PatientFileError

TITLE_ROWS = 20
HEADER_CELLS_LOOKED_AT, LONGEST_HEADER = 500, 100


@dataclass(frozen=True)
class WantedTable:
    """The table that is looked for in a file.

    Attributes
    ----------
    is_header : callable
        Whether a cell names one of its columns. A function of a module: it is asked in a process apart too, under its name.
    expected : str
        What it looks like, for the sentence that refuses another.
    """

    is_header: Callable[[str], bool]
    expected: str

    @property
    def is_header_name(self) -> str:
        """``package.module:function`` of ``is_header``."""
        return f"{self.is_header.__module__}:{self.is_header.__qualname__}"


@dataclass(frozen=True)
class TableRows:
    """A table as its reader opened it.

    Attributes
    ----------
    header : list of str
    rows : iterator
        First line in the file, counted from 1, and cells of each row below the header; None for cells that cannot be told
        apart.
    lines : int
        How many lines the file has.
    notices : list of str
        What had to be assumed.
    cut_anyhow : callable
        The cells of a line that cannot be told apart, cut as well as may be.
    """

    header: list[str]
    rows: Iterator[tuple[int, list[str] | None]]
    lines: int
    notices: list[str] = field(default_factory=list)
    cut_anyhow: Callable[[int], list[str]] = lambda _: []


class TableReader(Protocol):
    """A kind of file with a table in it."""

    def matches(self, content: bytes) -> bool:
        """Whether this reader is the one to open a file, by its first bytes. The first of the registry opens it."""

    def open(self, content: bytes, wanted: WantedTable, *, header_alone: bool = False) -> TableRows:
        """Open a table; with ``header_alone`` its rows may be left out.

        Raises ``PatientFileError`` where it cannot be opened, or is of another kind. The message holds no cell.
        """


def content_of(source: Path | bytes, wanted: WantedTable) -> bytes:
    """The bytes of a file; ``PatientFileError`` where it cannot be opened or is empty."""
    if isinstance(source, bytes):
        content = source
    else:
        try:
            content = source.read_bytes()
        except OSError as error:
            raise PatientFileError(
                "The table cannot be opened", expected=wanted.expected, found=error.strerror or "no such file"
            ) from error
    if not content.strip():
        raise PatientFileError("The file is empty", expected=wanted.expected, found=f"{len(content)} bytes")
    return content


def named(cells: Sequence[str], wanted: WantedTable) -> int:
    """How many cells are headers of the table that is looked for."""
    return sum(wanted.is_header(cell) for cell in cells[:HEADER_CELLS_LOOKED_AT] if 0 < len(cell) < LONGEST_HEADER)


def header_at(rows: Sequence[Sequence[str]], wanted: WantedTable) -> int:
    """Which of the first rows is the header: the first unless it names no columns and one below names two or more."""
    names = [named(cells, wanted) for cells in rows[:TITLE_ROWS]]
    if not names or names[0] >= 2:
        return 0
    return next((at for at, count in enumerate(names) if count >= 2 and count > names[0]), 0)


def without_trailing_blanks(header: list[str]) -> list[str]:
    """A header without the blank cells behind its last name."""
    return header[: max((position + 1 for position, cell in enumerate(header) if cell.strip()), default=0)]


def told(cells: list[str]) -> bool:
    """Whether a row holds anything but blanks."""
    return bool("".join(cells).strip())
