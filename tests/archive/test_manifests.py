"""Lists of slides: what a row says is the slide's; every row that gives none is marked with its line."""

import csv
from pathlib import Path

import pytest

from cervix.archive.sources import PassedOver, listed
from cervix.archive.work import Found
from cervix.errors import ArchiveRunRefused, SourceUnavailable
from cervix.settings import Settings


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("one.svs", "two.svs", "dämmerung.svs"):
        (folder / name).write_bytes(b"slide")
    (tmp_path / "outside.svs").write_bytes(b"slide")
    return folder


def rows_of(folder: Path, text: str, encoding: str = "utf-8") -> tuple[list[Found], PassedOver]:
    (folder / "list.csv").write_bytes(text.encode(encoding))
    passed = PassedOver()
    return list(listed([str(folder / "list.csv")], Settings(), passed)), passed


def test_a_row_gives_spacing_site_and_day(slides: Path) -> None:
    found, passed = rows_of(slides, "path,mpp,site,scanned\none.svs,0.25,North,2026-11-30T08:15:00\ntwo.svs,,,\n")

    assert [(Path(one.locator).name, one.spacing_um_px, one.site, one.day) for one in found] == [
        ("one.svs", 0.25, "North", "2026-11-30"),
        ("two.svs", None, "", ""),
    ]
    assert not passed.counts


def test_what_an_editor_on_windows_writes_is_read(slides: Path) -> None:
    found, passed = rows_of(slides, "Path;MPP;Colour\r\ndämmerung.svs;0,5;red\r\n", "cp1252")

    assert [(Path(one.locator).name, one.spacing_um_px) for one in found] == [("dämmerung.svs", 0.5)]
    assert any("1 columns that are not used" in notice for notice in passed.notices)


def test_every_row_that_gives_no_slide_is_marked_with_its_line(slides: Path, tmp_path: Path) -> None:
    found, passed = rows_of(
        slides,
        "path,mpp,day\none.svs,0.25,\n,0.25,\none.svs,0.25,\n../outside.svs,,\nthree.svs,,\ntwo.svs,72,\ntwo.svs,,yesterday\n"
        f"list.csv,,\n{tmp_path / 'outside.svs'},nan,\ntwo.svs\n",
    )

    assert [Path(one.locator).name for one in found] == ["one.svs", "two.svs"]
    assert {reason: list(rows) for reason, rows in passed.rows.items()} == {
        "row-without-path": [3],
        "row-twice": [4],
        "row-outside": [5],
        "row-not-there": [6],
        "row-bad-mpp": [7, 10],
        "row-bad-day": [8],
        "row-no-slide": [9],
        "row-torn": [11],
    }
    passed.write(tmp_path / "passed-over.csv")
    with (tmp_path / "passed-over.csv").open(newline="") as file:
        assert {(row["reason"], row["row"]) for row in csv.DictReader(file)} >= {("row-bad-mpp", "7"), ("row-torn", "11")}


def test_a_row_may_name_a_folder_or_an_absolute_path(slides: Path, tmp_path: Path) -> None:
    found, _ = rows_of(slides, f"path,site\n{tmp_path / 'outside.svs'},North\n.\n")
    assert [(Path(one.locator).name, one.site) for one in found] == [("outside.svs", "North")]

    (slides / "deeper").mkdir()
    (slides / "deeper" / "four.svs").write_bytes(b"slide")
    found, _ = rows_of(slides, "path,site\ndeeper,South\n")
    assert [(Path(one.locator).name, one.site) for one in found] == [("four.svs", "South")]


@pytest.mark.parametrize("text", ["patient_id,age\nW1,30\n", "path,uri\na,b\n", ""])
def test_a_table_that_is_no_list_is_refused(slides: Path, text: str) -> None:
    with pytest.raises(ArchiveRunRefused):
        rows_of(slides, text)


def test_a_store_that_may_not_be_asked_is_said_and_not_that_its_rows_name_no_slide(slides: Path) -> None:
    (slides / "list.csv").write_text("path\none.svs\ns3://bucket/two.svs\n")
    with pytest.raises(ArchiveRunRefused, match="CERVIX_OFFLINE"):
        list(listed([str(slides / "list.csv")], Settings(offline=True)))


def test_a_store_that_cannot_be_asked_just_now_has_not_said_that_nothing_is_there(
    slides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    (slides / "list.csv").write_text("path\none.svs\ns3://bucket/two.svs\n")
    nobody = Settings(offline=False, s3_endpoint="http://127.0.0.1:9", s3_timeout_s=1.0)
    passed = PassedOver()
    with pytest.raises(SourceUnavailable):
        list(listed([str(slides / "list.csv")], nobody, passed))
    assert not passed.counts
