"""A new kind of table file is a reader and a line in the registry: patients, outcomes and labelled cases find it there."""

import json
from pathlib import Path

import pytest

from cervix.errors import PatientFileError
from cervix.patients.csv_text import header_of, read_text_table
from cervix.patients.visits import read_table
from cervix.sources.tables.reader import TableRows, WantedTable
from cervix.sources.tables.registry import READERS, open_table

WOMEN = [
    {"patient_id": "A", "visit_date": "2020-05-01", "cytology": "NILM", "hpv_result": "negative"},
    {"patient_id": "A", "visit_date": "2023-05-01", "cytology": "HSIL", "hpv_result": "positive"},
]


class JsonLines:
    """One object a line, all with the same keys."""

    def matches(self, content: bytes) -> bool:
        return content.startswith(b"{")

    def open(self, content: bytes, wanted: WantedTable, *, header_alone: bool = False) -> TableRows:
        rows = [json.loads(line) for line in content.splitlines()]
        header = list(rows[0])
        if not any(map(wanted.is_header, header)):
            raise PatientFileError("The objects are of something else", expected=wanted.expected)
        lines = [] if header_alone else rows
        cells = ((number, [row.get(name, "") for name in header]) for number, row in enumerate(lines, start=1))
        return TableRows(header, cells, len(rows), ["Read from JSON lines."])


@pytest.fixture
def women(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Women in a kind of file that the project does not know, and the one line that makes it known."""
    monkeypatch.setattr("cervix.sources.tables.registry.READERS", [JsonLines(), *READERS])
    path = tmp_path / "women.jsonl"
    path.write_text("\n".join(map(json.dumps, WOMEN)), encoding="utf-8")
    return path


def test_women_in_a_made_kind_of_file_are_read_like_any(women: Path) -> None:
    assert header_of(women) == list(WOMEN[0])
    table = read_table(women)
    assert table.frame["patient_id"].tolist() == ["A", "A"]
    assert "Read from JSON lines." in table.notices
    assert table.problems == []


def test_its_lines_are_its_own_and_its_reader_may_refuse(women: Path) -> None:
    table = read_text_table(women)
    assert (table.lines, table.columns[0]) == ([1, 2], ["A", "A"])
    women.write_text('{"colour": "red"}', encoding="utf-8")
    with pytest.raises(PatientFileError, match="The objects are of something else: expected a table with a header"):
        read_text_table(women)


def test_what_is_looked_for_is_the_callers_and_chooses_the_header() -> None:
    content = b"A title\n\ncolour;weight\nred;3\nblue;4\n"
    table = open_table(content, WantedTable(is_of_parcels, "a table of parcels"))
    assert (table.header, list(table.rows)) == (["colour", "weight"], [(4, ["red", "3"]), (5, ["blue", "4"])])
    assert table.notices == ["Read as semicolon-separated.", "2 lines above the header were skipped."]
    with pytest.raises(PatientFileError, match="The file is empty: expected a table of parcels"):
        open_table(b" \n", WantedTable(is_of_parcels, "a table of parcels"))


def is_of_parcels(cell: str) -> bool:
    return cell in ("colour", "weight")
