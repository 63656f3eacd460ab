"""Delimited text, whatever its encoding, delimiter and small damage."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cervix.errors import PatientFileError
from cervix.sources.tables.reader import (
    HEADER_CELLS_LOOKED_AT,
    TITLE_ROWS,
    TableRows,
    WantedTable,
    content_of,
    header_at,
    named,
    told,
    without_trailing_blanks,
)

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
HEADER_AT_MOST = 1 << 20


class DelimitedText:
    """CSV with comma, semicolon, tab or pipe, in UTF-8, UTF-16 or Windows-1252.

    A ``sep=`` line and rows of titles above the header are skipped.
    """

    def matches(self, content: bytes) -> bool:  # noqa: ARG002 - opening says what is wrong with what is no text
        return True

    def open(self, content: bytes, wanted: WantedTable, *, header_alone: bool = False) -> TableRows:
        text, notices = _decode(content, wanted.expected)
        text = text[:HEADER_AT_MOST] if header_alone else text
        lines = list(io.StringIO(text, newline=""))
        delimiter, start = _layout(lines, notices, wanted)
        lines[:start] = ["\n"] * start
        rows = records_of(lines, delimiter)
        header = without_trailing_blanks(next((cells or [] for _, cells in rows if cells is None or told(cells)), []))
        return TableRows(header, rows, len(lines), notices, lambda line: _cut(lines[line - 1], delimiter))


def delimited_text(source: Path | bytes, wanted: WantedTable) -> tuple[str, str, int]:
    """The text of a CSV from its header on, its delimiter, and how many lines are above the header.

    Raises ``PatientFileError`` if it cannot be opened, is empty or no text.
    """
    text, notices = _decode(content_of(source, wanted), wanted.expected)
    lines = list(io.StringIO(text, newline=""))
    delimiter, start = _layout(lines, notices, wanted)
    return "".join(lines[start:]), delimiter, start


def text_layout(
    head: bytes, wanted: WantedTable, encoding_of_all: Callable[[str], str]
) -> tuple[list[str], str, int, str, list[str]]:
    """Of the first lines of a text: notices, delimiter, how many lines are above the header, the encoding, and the lines.

    Parameters
    ----------
    encoding_of_all : callable
        From the encoding of these lines to the one that the whole text can be read in.

    Raises ``PatientFileError`` if it is no text.
    """
    encoding, notices = _encoding_of(head, wanted.expected)
    encoding = encoding_of_all(encoding)
    text = head.decode(encoding, errors="replace")
    lines = list(io.StringIO(text, newline=""))
    delimiter, start = _layout(lines, notices, wanted)
    return [*notices, *_NOT_UTF_8.get(encoding, [])], delimiter, start, encoding, lines


def _decode(content: bytes, expected: str) -> tuple[str, list[str]]:
    encoding, notices = _encoding_of(content, expected)
    for other in dict.fromkeys((encoding, "cp1252", "latin-1")) if encoding == "utf-8" else (encoding,):
        try:
            errors = "replace" if encoding.startswith("utf-16-") else "strict"
            return content.decode(other, errors), [*notices, *_NOT_UTF_8.get(other, [])]
        except UnicodeDecodeError as error:
            if encoding != "utf-8":
                raise PatientFileError(
                    "The file ends in the middle of a character",
                    expected=encoding.removesuffix("-sig").upper(),
                    found="truncated text",
                ) from error
    raise AssertionError("Latin-1 reads everything")


def _encoding_of(content: bytes, expected: str) -> tuple[str, list[str]]:
    """The encoding that a text says of itself, UTF-8 where it says none; ``PatientFileError`` if it is no text."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return encoding, [f"Read as {encoding.removesuffix('-sig').upper()} (byte-order mark)."]
    if encoding := _utf_16_without_mark(content):
        return encoding, ["Read as UTF-16 (no byte-order mark)."]
    if b"\0" in content[:4096]:
        raise PatientFileError("This is not a text file", expected=expected, found="binary content")
    if re.match(rb"\s*(<!doctype html|<html|<table|<\?xml)", content[:200], re.IGNORECASE):
        raise PatientFileError(
            "This is a web page, not a table",
            expected=expected,
            found="HTML or XML, which some programs save under the name of a spreadsheet",
            action="Open it in a spreadsheet program and save it as XLSX or CSV.",
        )
    return "utf-8", []


_NOT_UTF_8 = {
    "cp1252": ["Not UTF-8; read as Windows-1252: check accents in the patient ids."],
    "latin-1": ["Not UTF-8; read as Latin-1: check accents in the patient ids."],
}


def _utf_16_without_mark(content: bytes) -> str:
    """The encoding of text in which every other byte is empty; none where it is otherwise."""
    head = content[:4096]
    half = len(head) // 2
    for encoding, empty, full in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if half and empty.count(0) > 0.7 * half and full.count(0) == 0:
            return encoding
    return ""


def _layout(lines: list[str], notices: list[str], wanted: WantedTable) -> tuple[str, int]:
    """The delimiter, and how many lines are above the header."""
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    if said := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[first] if lines else ""):
        if said[1] in DELIMITERS and said[1] != ",":
            notices.append(f"Read as {DELIMITERS[said[1]]}-separated.")
        return said[1], first + 1
    head = lines[first : first + TITLE_ROWS]
    columns = {mark: max((named(_cut(line, mark), wanted) for line in head), default=0) for mark in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda mark: (columns[mark], head[0].count(mark) if head else 0))
    start = header_at([_cut(line, delimiter) for line in head], wanted)
    if head and head[start].count(delimiter) and delimiter != ",":
        notices.append(f"Read as {DELIMITERS[delimiter]}-separated.")
    if start:
        notices.append(f"{first + start} lines above the header were skipped.")
    return delimiter, first + start


def _cut(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter, HEADER_CELLS_LOOKED_AT)]


def records_of(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """Yield (first line, cells) of every record; None for cells whose quotes do not close.

    An open quote would swallow the rows below it. Its row alone is given up: reading goes on with the next line. A
    record over several lines that holds the delimiters of two rows is taken for one with an open quote.
    """
    csv.field_size_limit(max(sum(map(len, lines)) + 1, csv.field_size_limit()))
    if not any('"' in line for line in lines):
        return enumerate(csv.reader(lines, delimiter=delimiter), start=1)
    return _quoted_records(lines, delimiter)


def _quoted_records(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    start = width = 0
    while start < len(lines):
        first = start
        reader = csv.reader((lines[index] for index in range(first, len(lines))), delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                end = first + reader.line_num
                if end - start > 1 and width > 1 and _delimiters(lines[start:end], delimiter) >= 2 * (width - 1):
                    raise csv.Error("a quoted cell ran into other rows")
                width = width or len(cells)
                yield start + 1, cells
                start = end
        except csv.Error:
            yield start + 1, None
            start += 1


def _delimiters(lines: list[str], delimiter: str) -> int:
    return sum(line.count(delimiter) for line in lines)
