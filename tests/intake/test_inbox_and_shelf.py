"""What lies on the server and what was seen before can be found again."""

import os
from pathlib import Path

from cervix.intake.inbox import list_inbox
from cervix.intake.shelf import recent, remember, seen_slide, thumbnail_path
from cervix.sources.opening import open_slide


def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    for age, (name, size) in enumerate(
        [("b.svs", 10), ("ward/A.ndpi", 3000), ("ward/series/1.dcm", 500), ("ward/series/2.dcm", 500)]
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            (bytes(128) + b"DICM ORIGINAL\\PRIMARY\\VOLUME\\NONE" if path.suffix == ".dcm" else b"").ljust(size, b"\0")
        )
        os.utime(path, (1e9 - age, 1e9 - age))
    (folder / ".hidden.svs").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    (folder / "out.svs").symlink_to("/etc/hostname")
    return folder


def test_slides_are_listed_and_nothing_else(tmp_path: Path) -> None:
    names = [entry.name for entry in list_inbox([inbox(tmp_path)])]
    assert names == ["b.svs", "ward/A.ndpi", "ward/series/1.dcm"]


def test_slides_are_searched_by_every_word_and_sorted(tmp_path: Path) -> None:
    folder = inbox(tmp_path)
    assert [entry.name for entry in list_inbox([folder], search="WARD a.n")] == ["ward/A.ndpi"]
    assert next(entry.name for entry in list_inbox([folder], order="name")) == "b.svs"
    assert next(entry.name for entry in list_inbox([folder], order="largest")) == "ward/A.ndpi"


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list_inbox([tmp_path / "none"]) == []


def test_a_slide_is_remembered_by_hash_until_its_file_is_gone(tmp_path: Path, phantom_slide: Path) -> None:
    copy = tmp_path / "Jane Doe.tiff"
    copy.write_bytes(phantom_slide.read_bytes())
    slide = open_slide(copy)
    overview, _ = slide.overview(4)
    remember(tmp_path / "shelf", slide, overview)
    remember(tmp_path / "shelf", slide.with_spacing(0.3), overview)
    (entry,) = recent(tmp_path / "shelf", 10)
    assert (entry.sha256, entry.spacing_um_px, entry.spacing_source) == (slide.sha256, 0.3, "user")
    assert thumbnail_path(tmp_path / "shelf", slide.sha256).is_file()
    assert recent(tmp_path / "shelf", 10, among={slide.sha256}) == [entry]
    assert recent(tmp_path / "shelf", 10, among={"another"}) == recent(tmp_path / "shelf", 10, among=()) == []
    copy.unlink()
    assert recent(tmp_path / "shelf", 10) == []
    assert seen_slide(tmp_path / "shelf", slide.sha256) == entry


def test_a_damaged_card_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    assert recent(tmp_path, 10) == []
