"""Folders are listed whole, however deep and however many, and what is not listed is counted."""

import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.archive.sources import PassedOver, at_hand, listed
from cervix.archive.work import Station, Work
from cervix.errors import ArchiveRunRefused, SourceUnavailable, SourceVanished
from cervix.settings import Settings

STATION = Station(Path("bundle"), "", "cpu", Path("results"), Path("cache"), 10**9)


def locators(*sources: Path, passed: PassedOver | None = None) -> list[str]:
    return [found.locator for found in listed([str(source) for source in sources], Settings(), passed)]


def test_slides_lie_deeper_than_any_page_looks(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcdefghij")
    deep.mkdir(parents=True)
    (deep / "one.svs").write_bytes(b"slide")
    (tmp_path / "two.ndpi").write_bytes(b"slide")

    assert locators(tmp_path) == [str(tmp_path / "two.ndpi"), str(deep / "one.svs")]


def test_a_folder_of_more_files_than_a_page_takes_is_listed_whole_and_little_is_held(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"batch-{number:02d}").mkdir()
        for slide in range(20):
            (tmp_path / f"batch-{number:02d}" / f"{slide}.svs").touch()
    tracemalloc.start()
    count = sum(1 for _ in listed([str(tmp_path)], Settings()))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 1200
    assert peak_bytes < 1 << 20  # 20 names at a time: 1,200 with their paths would be more


def test_the_mark_of_a_slide_changes_with_any_of_its_files(tmp_path: Path) -> None:
    data = tmp_path / "deep"
    data.mkdir()
    (tmp_path / "deep.mrxs").write_bytes(b"head")
    (data / "Slidedat.ini").write_bytes(b"[HIERARCHICAL]\nINDEXFILE = Index.dat\nFILE_0 = Data0.dat\n")
    (data / "Index.dat").write_bytes(b"index")
    (data / "Data0.dat").write_bytes(b"pixels")
    (data / "left.svs").write_bytes(b"not a slide of its own")
    (before,) = listed([str(tmp_path)], Settings())
    (data / "Data0.dat").write_bytes(b"more pixels")
    (after,) = listed([str(tmp_path)], Settings())

    assert before.locator == str(tmp_path / "deep.mrxs")
    assert before.mark != after.mark
    assert after.bytes == before.bytes + 5


def test_a_series_is_one_slide_whichever_file_names_it(cmu_dicom: Path) -> None:
    (of_folder,) = listed([str(cmu_dicom)], Settings())
    (of_file,) = listed([str(max(cmu_dicom.iterdir()))], Settings())

    assert of_folder == of_file
    assert of_folder.bytes == sum(file.stat().st_size for file in cmu_dicom.iterdir())


def test_links_odd_names_and_what_is_no_file_are_counted(tmp_path: Path) -> None:
    (tmp_path / "one.svs").touch()
    (tmp_path / "again.svs").symlink_to(tmp_path / "one.svs")
    (tmp_path / "loop").symlink_to(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/two\xff.svs")).touch()
    os.mkfifo(tmp_path / "three.svs")
    (tmp_path / ".hidden.svs").touch()
    passed = PassedOver()

    assert locators(tmp_path, passed=passed) == [str(tmp_path / "one.svs")]
    assert passed.counts == {"link": 2, "name-refused": 1, "no-file": 1}
    assert "2 links, which are not followed" in passed.lines


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that others may read, while this process reads as an account without rights."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    os.seteuid(0)
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_counted_and_costs_nothing_else(as_nobody: Path) -> None:
    (as_nobody / "closed").mkdir(mode=0o700)
    (as_nobody / "closed" / "one.svs").touch()
    (as_nobody / "two.svs").touch(mode=0o600)
    (as_nobody / "three.dcm").touch(mode=0o600)
    os.seteuid(65534)
    passed = PassedOver()

    assert locators(as_nobody, passed=passed) == [str(as_nobody / "two.svs")]
    assert passed.counts == {"folder-closed": 1, "file-closed": 1}
    with pytest.raises(SourceUnavailable), at_hand(Work(1, str(as_nobody / "two.svs"), 1, ""), STATION):
        pass


def test_a_slide_that_is_gone_has_vanished(tmp_path: Path) -> None:
    with pytest.raises(SourceVanished), at_hand(Work(1, str(tmp_path / "gone.svs"), 1, ""), STATION):
        pass


@pytest.mark.parametrize("name", ["nowhere", "notes.txt2", "gopher://there"])
def test_a_source_that_is_none_is_refused_without_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt2").write_text("no slide")
    with pytest.raises(ArchiveRunRefused) as refused:
        locators(Path(name) if "://" in name else tmp_path / name)
    assert name not in str(refused.value)


def test_a_pipe_that_took_the_place_of_a_slide_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one.svs")
    with pytest.raises(SourceVanished), at_hand(Work(1, str(tmp_path / "one.svs"), 1, ""), STATION):
        pass
