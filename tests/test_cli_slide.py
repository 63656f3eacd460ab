"""``python -m cervix slide``: the app's gate, folders, several slides, and results that never overwrite another's."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cervix import cli_slide
from cervix.bundle import Bundle
from cervix.cli_slide import ENDINGS, add_slide_command, free_stem, slides_named
from cervix.errors import CervixError, NameRefused, NoTissue, SlideNotReadable, SlideNotSuitable, SlideScaleUnknown
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid

SHA, OTHER = "a" * 64, "b" * 64


Run = Callable[..., int]


@pytest.fixture
def run(bundle: Bundle) -> Run:
    """The command with a bundle that is proved already."""
    parser = argparse.ArgumentParser()
    add_slide_command(parser.add_subparsers(), argparse.ArgumentParser(add_help=False), lambda _: bundle)

    def command(*arguments: object) -> int:
        options = parser.parse_args(["slide", *map(str, arguments)])
        return int(options.run(options))

    return command


def brown(path: Path) -> Path:
    """Tissue in another stain: grey."""
    grey = phantom_region(500, 500, seed=1).mean(axis=2, keepdims=True)
    write_pyramid(path, np.clip(grey * [1.0, 0.97, 0.9], 0, 255).astype(np.uint8), 0.5)
    return path


def test_a_stain_that_the_app_asks_about_is_refused_until_it_is_wanted(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide, out = brown(tmp_path / "brown.tiff"), tmp_path / "out"
    with pytest.raises(SlideNotSuitable, match=r"does not look like H&E.*--despite-quality"):
        run(slide, "--out", out, "--everywhere")
    assert not list(out.iterdir())
    assert run(slide, "--out", out, "--everywhere", "--despite-quality") == 0
    printed = capsys.readouterr()
    assert "note: The stain does not look like H&E" in printed.err
    assert "% of tiles not recognised" in printed.out


def test_glass_is_scored_everywhere_when_asked(run: Run, glass_slide: Path, tmp_path: Path) -> None:
    with pytest.raises(NoTissue, match="No tissue was found.*--everywhere"):
        run(glass_slide, "--out", tmp_path)
    assert run(glass_slide, "--out", tmp_path, "--everywhere", "--despite-quality") == 0
    assert json.loads((tmp_path / "glass-summary.json").read_text())["everywhere"] is True


def test_slides_of_one_stem_and_a_very_long_one_lose_nothing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, long = tmp_path / "out", "x" * 246
    pictures = [tmp_path / "s1.png", tmp_path / "s1.jpg", tmp_path / f"{long}.png", tmp_path / "broken.png"]
    for seed, path in enumerate(pictures[:3]):
        Image.fromarray(phantom_region(240, 240, seed=seed)).save(path)
    pictures[3].write_bytes(b"no picture")
    Image.fromarray(phantom_region(240, 240, seed=9)).save(tmp_path / "s1.tif")
    assert run(*pictures, "--out", out, "--mpp", 0.5) == 1, "one of them is broken"
    assert f"error: {pictures[3]}: This is not a slide that can be read" in (said := capsys.readouterr().err)
    assert "1 of 4 slides were refused" in said
    hashes = {json.loads(path.read_text())["slide_sha256"] for path in out.glob("*-summary.json")}
    assert len(hashes) == len(list(out.glob("*-tiles.csv"))) == 3
    first = (out / "s1-summary.json").read_text()
    assert run(tmp_path / "s1.tif", "--out", out, "--mpp", 0.5) == 0, "in a later run"
    assert (out / "s1-summary.json").read_text() == first
    assert len(list(out.glob("*-summary.json"))) == 4


def test_a_damaged_tile_is_said_and_the_others_are_in_the_table(
    run: Run, cases_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cases_dir / "slides/pyramid_one_damaged_l0_tile.tif", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert "4 tiles could not be read (of 56)." in printed.out
    assert "note: The file is damaged." in printed.err
    table = pd.read_csv(tmp_path / "pyramid_one_damaged_l0_tile-tiles.csv")
    assert (~table["read"]).sum() == 4
    summary = json.loads((tmp_path / "pyramid_one_damaged_l0_tile-summary.json").read_text())
    assert summary["answer"]["unread_tiles"] == 4


def test_a_missing_scale_names_the_option(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(phantom_region(240, 240, seed=1)).save(picture)
    with pytest.raises(SlideScaleUnknown, match="does not state its scale.*--mpp"):
        run(picture, "--out", tmp_path / "out")


def test_a_picture_too_coarse_for_the_model_is_refused_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    picture, out = tmp_path / "picture.png", tmp_path / "out"
    Image.fromarray(phantom_region(600, 600, seed=1)).save(picture)
    with pytest.raises(SlideNotSuitable, match=r"at most 0\.75 µm per pixel \(the model reads 0\.5\); found 1\.38 µm"):
        run(picture, "--out", out, "--mpp", "1.38", "--everywhere", "--despite-quality")
    assert not list(out.iterdir())


def test_a_folder_stands_for_the_slides_in_it(cases_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    with pytest.raises(SlideNotReadable, match="no slide in this folder"):
        slides_named(folder)
    Image.new("RGB", (300, 300)).save(folder / "label.jpg")
    assert slides_named(folder) == [folder / "label.jpg"]
    shutil.copy(data_dir / "slides/broken/zero_byte.svs", folder / "slide.svs")
    assert slides_named(folder) == [folder / "slide.svs"], "a photograph beside a slide is none"
    mirax = cases_dir / "slides/mirax_bounds"
    assert slides_named(mirax) == [mirax.with_suffix(".mrxs")]


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_scored(
    run: Run, phantom_slide: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CervixError, match="cannot be written"):
        run(phantom_slide, "--out", tmp_path / "file")


def test_names_are_free_only_for_the_same_slide(tmp_path: Path) -> None:
    assert free_stem(Path("a/s1.svs"), SHA, tmp_path, []) == "s1"
    assert free_stem(Path("b/S1.tif"), OTHER, tmp_path, ["s1"]) == "S1-tif", "some disks do not tell case apart"
    (tmp_path / "s1-summary.json").write_text(json.dumps({"slide_sha256": SHA}))
    assert free_stem(Path("s1.svs"), SHA, tmp_path, []) == "s1", "the same slide again replaces its own"
    assert free_stem(Path("s1.svs"), OTHER, tmp_path, []) == "s1-svs"
    (tmp_path / "s1-svs-tiles.csv").write_text("of nobody knows whom")
    assert free_stem(Path("s1.svs"), OTHER, tmp_path, []) == "s1-bbbbbbbbbbbb"


@pytest.mark.parametrize("stem", ["ж" * 123, "x" * 251, "new\nline", "a:b", "con"])
def test_every_name_of_a_slide_gives_names_that_can_be_written(tmp_path: Path, stem: str) -> None:
    found = free_stem(Path(f"{stem}.svs"), SHA, tmp_path, [])
    for ending in ENDINGS:
        (tmp_path / f".{found}-{ending}-12345678").touch()
    assert free_stem(Path(f"{stem}.svs"), OTHER, tmp_path, [found]) != found


def test_where_no_name_is_free_it_is_refused(tmp_path: Path) -> None:
    for stem in ("s1", "s1-svs", "s1-aaaaaaaaaaaa", "slide-aaaaaaaaaaaa"):
        (tmp_path / f"{stem}-report.pdf").touch()
    with pytest.raises(NameRefused, match="would overwrite others"):
        free_stem(Path("s1.svs"), SHA, tmp_path, [])


def test_a_stem_leaves_room_for_the_name_under_which_a_file_is_written() -> None:
    assert cli_slide.STEM_BYTES_AT_MOST + max(map(len, ENDINGS)) + 11 <= 255


def test_a_triage_says_so_on_screen_and_in_its_files(
    run: Run, carcinoma_slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slide has 16 tiles, too few for a triage as it is."""
    monkeypatch.setattr("cervix.slides.sweep.FIRST_LOOK_TILES", 8)
    assert run(carcinoma_slide, "--out", tmp_path, "--triage", "--despite-quality", "--export", "csv") == 0
    printed = capsys.readouterr().out
    assert "Triage: Squamous-cell carcinoma" in printed
    assert json.loads((tmp_path / "carcinoma-summary.json").read_text())["triage"]["planned_tiles"] == 16
    assert "Triage: 8 of 16 tiles seen" in printed
    assert set(pd.read_csv(tmp_path / "carcinoma-tiles.csv")["answer"]) == {"Triage: Squamous-cell carcinoma"}
