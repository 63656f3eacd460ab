"""Whatever a slide says of itself, the server learns it from a process that may be lost."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

import cervix.sources.probe
from cervix.errors import CervixError, LostApart, SlideNotReadable, SlideNotSuitable
from cervix.sources import examining
from cervix.sources.apart import Limits, run_apart
from cervix.sources.opening import open_slide
from cervix.sources.probe import open_outside, probe_slide
from tests.sources.bombs import directory, jpeg_of, png_of, tiff, write_gigapixels, write_sparse_pyramid

OTHERS_BESIDE = 5
"""How many times longer what takes seconds may take where other tests run beside it."""


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that a process apart was started for."""
    paths: list[str] = []

    def counted(function: str, arguments: dict[str, Any], limits: Limits, *, subject: str) -> Any:
        paths.append(arguments["path"])
        return run_apart(function, arguments, limits, subject=subject)

    monkeypatch.setattr(cervix.sources.probe, "run_apart", counted)
    return paths


def test_the_facts_of_a_real_slide(data_dir: Path) -> None:
    facts = probe_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    assert (facts.width_l0_px, facts.height_l0_px, facts.level_downsamples, facts.vendor) == (2220, 2967, (1.0,), "aperio")
    assert (facts.parts_looked_at, facts.parts_unreadable) == (1, 0), "the overview reads its only level whole"


@pytest.mark.parametrize("name", ["says_100k_square_tiles_empty.tif", "says_500k_square_tiles_empty.tif"])
def test_a_slide_larger_than_its_bytes_is_refused_in_2_s_and_300_mb(cases_dir: Path, name: str) -> None:
    path = cases_dir / "hostile" / name
    before = time.perf_counter()
    with pytest.raises(SlideNotSuitable, match=r"larger than (its bytes can hold|any slide)"):
        probe_slide(path)
    assert time.perf_counter() - before < 2.0 * OTHERS_BESIDE
    said, peak = run_apart("tests.sources.measured:cost_of_examining", {"path": str(path)}, Limits(), subject="slide")
    assert "larger than" in said
    assert peak < 300 << 20


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("zstd_directory_flipped.tiff", "The directory of the TIFF cannot be read"),
        ("compression_directory_flipped.tiff", "The directory of the TIFF cannot be read"),
        ("text_chunk_bomb.png", "The picture cannot be opened"),
    ],
)
def test_a_damaged_file_is_one_sentence(cases_dir: Path, name: str, sentence: str) -> None:
    with pytest.raises(SlideNotReadable, match=sentence) as refusal:
        probe_slide(cases_dir / "hostile" / name)
    assert "\n" not in str(refusal.value)


def one_tile_bytes(width: int, height: int, tile: int, count: int) -> bytes:
    """All tiles of an image at the same few bytes at its beginning."""
    return tiff([directory(width, height, tile, [16] * count, [4096] * count)], padding=8192)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("narrow.tif", tiff([directory(256, 2_000_000_000, 65_536, [0] * 30_518, [0] * 30_518)])),
        ("shared.tif", one_tile_bytes(100_000, 100_000, 4_096, 625)),
        ("one_tile.tif", one_tile_bytes(9_000, 9_000, 65_536, 1)),
        ("few_tiles.tif", one_tile_bytes(9_000, 9_000, 256, 3)),
        ("long_tile.tif", tiff([directory(512, 512, 256, [16] * 4, [4 << 30] * 4)], padding=8192)),
        ("behind_the_end.tif", tiff([directory(512, 512, 256, [1 << 40] * 4, [100] * 4)], padding=8192)),
        ("loop.tif", tiff([directory(512, 512, 256, [16] * 4, [100] * 4)] * 3, loop=True)),
        ("chain.tif", tiff([{256: (4, [1])}] * 20_000)),
        ("tags.tif", tiff([{tag: (4, [1]) for tag in range(60_000)}])),
        ("wide.png", png_of(30_000, 30_000)),
        ("large.png", png_of(8_900, 8_900)),
        ("wide.jpg", jpeg_of(30_000, 30_000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_made_bomb_is_one_sentence_at_once(tmp_path: Path, name: str, content: bytes) -> None:
    path = written(tmp_path, name, content)
    before = time.perf_counter()
    with pytest.raises(CervixError) as refusal:
        probe_slide(path)
    assert time.perf_counter() - before < 5.0 * OTHERS_BESIDE
    assert "\n" not in str(refusal.value)
    assert not isinstance(refusal.value, LostApart)


def test_a_sparse_but_honest_pyramid_opens(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    write_sparse_pyramid(path)
    assert probe_slide(path).parts_unreadable == 0


@pytest.mark.parametrize("pyramid", [True, False])
def test_a_real_slide_of_ten_gigapixels_opens(tmp_path: Path, pyramid: bool) -> None:
    path = tmp_path / "large.tif"
    write_gigapixels(path, pyramid=pyramid)
    assert probe_slide(path).width_l0_px == 100_000
    assert open_slide(path, sha256="known").width_l0_px == 100_000


def test_on_a_slow_machine_a_place_that_cannot_be_read_does_not_end_the_look(
    cases_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "SAMPLING_S", -1.0)
    facts = examining.examine_slide(str(cases_dir / "slides/pyramid_one_damaged_l0_tile.tif"))
    assert 0 < facts["parts_unreadable"] < facts["parts_looked_at"]


def test_a_slide_with_one_damaged_tile_is_opened_and_the_tile_counted(cases_dir: Path) -> None:
    facts = probe_slide(cases_dir / "slides/pyramid_one_damaged_l0_tile.tif")
    assert 0 < facts.parts_unreadable < facts.parts_looked_at / 2


def test_a_slide_of_which_nothing_can_be_read_is_refused(data_dir: Path) -> None:
    with pytest.raises(SlideNotReadable, match="cannot be read at x 0, y 0"):
        probe_slide(data_dir / "slides/broken/opens_but_unreadable.svs")


def test_a_file_is_examined_once_whatever_it_is_called_and_again_when_it_changes(
    phantom_slide: Path, tmp_path: Path, asked: list[str]
) -> None:
    path = written(tmp_path, "slide.tiff", phantom_slide.read_bytes())
    probe_slide(path)
    moved = path.rename(tmp_path / "moved.tiff")
    assert open_outside(moved).width_l0_px == 1400
    assert len(asked) == 1
    os.truncate(moved, 1000)
    for _ in range(2):
        with pytest.raises(SlideNotReadable):
            open_outside(moved)
    assert len(asked) == 2


def test_what_kills_the_process_apart_is_asked_again_only_after_a_while(
    phantom_slide: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cervix.sources.probe, "EXAMINE", "tests.sources.apart_functions:crash_at")
    path = written(tmp_path, "slide.tiff", phantom_slide.read_bytes())
    for _ in range(2):
        with pytest.raises(LostApart, match="SIGSEGV"):
            open_outside(path)
    assert len(asked) == 1


def test_a_slide_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(SlideNotReadable, match="no such slide file"):
        open_outside(tmp_path / "nowhere.svs")
