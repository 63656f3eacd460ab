"""Whole slides become labelled tiles with the app's own eyes, whatever happens on the way."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cervix.bundle.manifest import TileInput
from cervix.slides.grid import lay_grid
from cervix.slides.tissue import find_tissue
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from training.data.tissue.slide_tiles import SlideTilesError, cut_tiles
from training.data.tissue.tiles import load_tile_folder

SLIDE = "CMU-1-Small-Region.svs"
SCALE = TileInput(size_px=224, spacing_um_px=0.5, spacing_source="test", steps_in_graph=[])
CAP = 12


@pytest.fixture
def slides(data_dir: Path, tmp_path: Path) -> Path:
    """One real slide of two patients' lists: the same file under two names, with different labels."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("a.svs", "b.svs"):
        shutil.copyfile(data_dir / "slides" / SLIDE, folder / name)
    write_list(folder, [("a.svs", "scc", "patient-1"), ("b.svs", "ac", "patient-2"), ("", "ac", "patient-3")])
    return folder


def write_list(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    pd.DataFrame(rows, columns=["path", "label", "source_group"]).to_csv(folder / "manifest.csv", index=False)


def cut(slides: Path, out: Path, cap: int = CAP, spacing: float = 0.5) -> list[str]:
    logs: list[str] = []
    cut_tiles(slides / "manifest.csv", out, cap_per_slide=cap, spacing_um_px=spacing, log=logs.append)
    return logs


def index_of(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "index.csv", dtype={"path": str})


def test_the_trainer_can_read_what_was_cut_and_groups_are_patients(slides: Path, tmp_path: Path) -> None:
    cut(slides, tmp_path / "out")
    tiles = load_tile_folder(tmp_path / "out", {"scc": "scc", "ac": "ac"}, 224)
    assert len(tiles.labels) == 2 * CAP
    assert set(zip(tiles.labels, tiles.groups, strict=True)) == {("scc", "patient-1"), ("ac", "patient-2")}
    assert tiles.skipped == []


def test_a_cut_tile_is_what_the_scorer_reads(slides: Path, tmp_path: Path) -> None:
    cut(slides, tmp_path / "out")
    slide = open_slide(slides / "a.svs")
    grid = lay_grid(slide, find_tissue(slide), SCALE)
    for row in index_of(tmp_path / "out").query("slide == 'a.svs'").head(4).itertuples():
        pixels = slide.read_tile(row.x_l0_px, row.y_l0_px, grid.level, grid.size_level_px, grid.size_px)
        with Image.open(tmp_path / "out" / row.path) as image:
            np.testing.assert_array_equal(np.asarray(image), pixels)


def test_the_cap_spreads_the_tiles_over_the_slide(slides: Path, tmp_path: Path) -> None:
    cut(slides, tmp_path / "out")
    rows = index_of(tmp_path / "out").query("slide == 'a.svs'")
    slide = open_slide(slides / "a.svs")
    grid = lay_grid(slide, find_tissue(slide), SCALE)
    assert len(rows) == CAP < len(grid) / 3
    assert np.ptp(rows["x_l0_px"]) > np.ptp(grid.x_l0_px) / 2
    assert np.ptp(rows["y_l0_px"]) > np.ptp(grid.y_l0_px) / 2


def test_another_spacing_gives_tiles_of_another_part_of_the_slide(slides: Path, tmp_path: Path) -> None:
    cut(slides, tmp_path / "out", spacing=1.0)
    table = pd.read_csv(tmp_path / "out/slides.csv")
    assert (index_of(tmp_path / "out")["spacing_um_px"] == 1.0).all()
    assert table["tiles laid"].max() < 60
    x = index_of(tmp_path / "out")["x_l0_px"]
    assert ((x % 449 == 0) | (x == open_slide(slides / "a.svs").width_l0_px - 449)).all()


def test_slides_not_downloaded_yet_are_counted(slides: Path, tmp_path: Path) -> None:
    assert cut(slides, tmp_path / "out")[0] == "2 slides to cut, 1 listed without a file"


def test_a_finished_slide_is_not_opened_again(slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut(slides, tmp_path / "out")
    before = index_of(tmp_path / "out")

    def opened(*_: object) -> Slide:
        raise AssertionError("opened again")

    monkeypatch.setattr("training.data.tissue.slide_tiles.open_slide", opened)
    cut(slides, tmp_path / "out")
    pd.testing.assert_frame_equal(index_of(tmp_path / "out"), before)


def test_other_settings_cut_it_again(slides: Path, tmp_path: Path) -> None:
    cut(slides, tmp_path / "out")
    cut(slides, tmp_path / "out", cap=3)
    assert index_of(tmp_path / "out").groupby("slide").size().tolist() == [3, 3]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6


def test_an_interrupted_slide_is_cut_from_its_beginning(slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Slide.read_tile
    seen = 0

    def power_cut(self: Slide, *place: int) -> object:
        nonlocal seen
        seen += 1
        if seen == CAP + 5:
            raise KeyboardInterrupt
        return whole(self, *place)

    with monkeypatch.context() as patched:
        patched.setattr(Slide, "read_tile", power_cut)
        with pytest.raises(KeyboardInterrupt):
            cut(slides, tmp_path / "out")
    assert not (tmp_path / "out/index.csv").exists()
    cut(slides, tmp_path / "out")
    listed = {str(tmp_path / "out" / path) for path in index_of(tmp_path / "out")["path"]}
    assert listed == {str(path) for path in (tmp_path / "out").rglob("*.png")}
    assert len(listed) == 2 * CAP


def test_a_slide_that_cannot_be_read_is_named_and_too_many_stop_the_run(slides: Path, data_dir: Path, tmp_path: Path) -> None:
    broken = next(path for path in sorted((data_dir / "slides/broken").iterdir()) if path.stat().st_size)
    shutil.copyfile(broken, slides / broken.name)
    write_list(slides, [("a.svs", "scc", "patient-1"), (broken.name, "ac", "patient-2")])
    with pytest.raises(SlideTilesError, match=f"found 1 of 2, e.g. {broken.name}"):
        cut(slides, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/slides.csv", keep_default_na=False).set_index("slide")
    assert table.loc[broken.name, "problem"] != ""
    assert len(index_of(tmp_path / "out")) == CAP


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("a.svs", "scc", "p"), ("b.svs", "ac", "p")], "A patient is in two classes: .* found p"),
        ([("a.svs", "scc", "p"), ("a.svs", "scc", "p")], "A slide is listed twice: .* found a.svs"),
        ([("a.svs", "scc", "p"), ("./a.svs", "ac", "q")], "A slide is listed twice: .* found ./a.svs"),
        ([("a.svs", "", "p")], "A slide has no label: .* none for a.svs"),
        ([("a.svs", "scc", "")], "A slide has no source_group: .* none for a.svs"),
        ([("a.svs", "../scc", "p")], "A label cannot name a folder: .* found ../scc"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused_before_any_work(
    slides: Path, tmp_path: Path, rows: list[tuple[str, str, str]], problem: str
) -> None:
    write_list(slides, rows)
    with pytest.raises(SlideTilesError, match=problem):
        cut(slides, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_list_without_patients_is_refused(slides: Path, tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.svs"], "label": ["scc"]}).to_csv(slides / "manifest.csv", index=False)
    with pytest.raises(SlideTilesError, match="found no source_group"):
        cut(slides, tmp_path / "out")


def test_a_file_cut_short_is_tried_again_once_it_is_whole(slides: Path, tmp_path: Path) -> None:
    whole = (slides / "a.svs").read_bytes()
    (slides / "a.svs").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideTilesError, match="found 1 of 2"):
        cut(slides, tmp_path / "out")
    (slides / "a.svs").write_bytes(whole)
    cut(slides, tmp_path / "out")
    assert index_of(tmp_path / "out").groupby("slide").size().to_dict() == {"a.svs": CAP, "b.svs": CAP}


def test_a_tile_that_was_deleted_comes_back(slides: Path, tmp_path: Path) -> None:
    cut(slides, tmp_path / "out")
    (tmp_path / "out" / index_of(tmp_path / "out")["path"][3]).unlink()
    cut(slides, tmp_path / "out")
    assert all((tmp_path / "out" / path).is_file() for path in index_of(tmp_path / "out")["path"])


def test_while_another_cutting_is_under_way_no_old_index_says_otherwise(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(slides, tmp_path / "out")

    def power_cut(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(Slide, "read_tile", power_cut)
    with pytest.raises(KeyboardInterrupt):
        cut(slides, tmp_path / "out", cap=3)
    assert not (tmp_path / "out/index.csv").exists()


def test_a_full_disk_ends_the_run_with_a_sentence_and_no_half_tile(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(SlideTilesError, match="The tiles cannot be written: .* No space left"):
        cut(slides, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png"))


def test_tiles_that_were_not_cut_here_are_not_written_over(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.csv").write_text("path,label,source_group\n")
    with pytest.raises(SlideTilesError, match="holds tiles that were not cut here"):
        cut(slides, tmp_path / "out")
    assert (tmp_path / "out/index.csv").read_text() == "path,label,source_group\n"


def test_a_list_without_a_single_file_is_said(slides: Path, tmp_path: Path) -> None:
    write_list(slides, [("", "ac", "patient-3")])
    with pytest.raises(SlideTilesError, match="no slide to cut: .* 1 rows without a file"):
        cut(slides, tmp_path / "out")
