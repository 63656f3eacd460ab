"""A damaged tile costs itself and is counted; a broken copy is refused; nothing takes what was not read for an answer."""

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import tifffile
from PIL import Image

from cervix.bundle import Bundle
from cervix.errors import SlideDamaged, SlideNotReadable, TileNotReadable
from cervix.interop.exports import write_export
from cervix.labels.gathering.tiles import gather_tiles
from cervix.slides.decision import class_areas_mm2, hot_spots
from cervix.slides.deepzoom import WorldMap, render_slide_tile
from cervix.slides.desk import ScoringDesk
from cervix.slides.embedding import telling_embeddings
from cervix.slides.explanation import gallery, most_suspicious
from cervix.slides.gate import inspect_slide
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.report import write_report
from cervix.slides.results import RowJournal, order_of, read_order, result_dir
from cervix.slides.rows import unread_rows
from cervix.slides.scoring import SlideScore, plan_slide, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import UNREAD_RGB, Slide

# One tile of the file is damaged, and four of the model's lie in part on it.
PLANNED, LOST = 56, 4
PER_CM = (1e4 / 0.5, 1e4 / 0.5)


def damaged(path: Path, tiles: list[tuple[int, int]], level: int = 0) -> Path:
    """Overwrite some JPEG tiles ``(column, row)`` of a tiled TIFF with zeros."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        across = -(-page.imagewidth // page.tilewidth)
        spans = [(page.dataoffsets[row * across + column], page.databytecounts[row * across + column]) for column, row in tiles]
    with path.open("r+b") as stream:
        for offset, count in spans:
            stream.seek(offset)
            stream.write(bytes(count))
    return path


def flat_slide(path: Path, side: int = 1536) -> Path:
    """A slide of a single level, JPEG tiles of 256 px."""
    tifffile.imwrite(
        path, phantom_region(side, side, seed=5), tile=(256, 256), compression="jpeg", photometric="rgb",
        resolution=PER_CM, resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def slide(cases_dir: Path) -> Slide:
    return open_slide(cases_dir / "slides/pyramid_one_damaged_l0_tile.tif")


@pytest.fixture(scope="module")
def score(slide: Slide, bundle: Bundle) -> SlideScore:
    return score_slide(slide, bundle)


def test_all_other_tiles_are_scored_and_the_answer_counts_the_lost_one(score: SlideScore) -> None:
    answer = score.summary.answer
    assert (answer.tiles, answer.unread_tiles, len(score.tiles)) == (PLANNED - LOST, LOST, PLANNED)
    assert "4 tiles could not be read (of 56)." in answer.sentence
    assert any("damaged" in notice for notice in score.summary.notices)
    assert score.tiles["novelty"].isna().sum() == unread_rows(score.rows).sum() == LOST


def test_what_was_not_read_has_no_number_in_any_export(score: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    session = bundle.session_of("tile")
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        table = read(write_export(kind, score, slide, session, tmp_path, "s"))
        lost = table[~table["read"]]
        assert len(table) == PLANNED
        assert len(lost) == LOST
        assert not lost["recognised"].any()
        assert lost[["p_benign", "p_scc", "p_ac", "novelty"]].isna().all(axis=None)
    text = write_export("geojson", score, slide, session, tmp_path, "s").read_text(encoding="utf-8")
    assert "NaN" not in text
    document = json.loads(text)
    told = [feature["properties"] for feature in document["features"]]
    assert [one["measurements"] for one in told if one["classification"]["name"] == "Could not be read"] == [{}] * LOST
    assert document["provenance"]["unread_tiles"] == LOST
    assert "4 tiles could not be read (of 56)" in document["provenance"]["answer"]
    row = score.tiles[score.tiles["novelty"].isna()].iloc[0]
    with tifffile.TiffFile(write_export("heatmap", score, slide, session, tmp_path, "s")) as heat:
        place = int(row["y_l0_px"]) // 224, int(row["x_l0_px"]) // 224
        assert np.isnan(heat.asarray()[:, place[0], place[1]]).all()
    write_report(score, slide, session, tmp_path / "report.pdf")
    said = " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages).split())
    assert "4 tiles could not be read (of 56)" in said
    assert "Tiles that could not be read 4" in said


def test_what_was_not_read_is_in_no_view(score: SlideScore, slide: Slide, bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    unread = score.tiles["novelty"].isna()
    lost = set(np.flatnonzero(unread).tolist())
    known = replace(score, tiles=score.tiles.assign(novelty=score.tiles["novelty"].where(unread, 0.0)))
    assert set(most_suspicious(known.tiles, model, 100).tolist()) == set(range(PLANNED)) - lost
    shown = [tile.row for label in model.class_ids for side in gallery(slide, known, model, label, count=40) for tile in side]
    assert shown
    assert not lost & set(shown)
    centres = {(int(x) + 112, int(y) + 112) for x, y in known.tiles.loc[unread, ["x_l0_px", "y_l0_px"]].to_numpy()}
    assert not centres & set(hot_spots(known.tiles, model, count=100))
    areas = class_areas_mm2(known.tiles, model, 0.5)
    assert areas["unread"] == pytest.approx(known.tiles.loc[unread, "tissue_fraction"].sum() * 0.112**2)
    assert np.isfinite(telling_embeddings(slide, known, bundle.session_of("tile"))).all()
    some = np.sort([*lost, *list(set(range(PLANNED)) - lost)[:2]])
    cases, scores = gather_tiles(slide, replace(score, tiles=score.tiles.iloc[some]), bundle, PLANNED)
    assert len(cases) == len(scores) == 2


def test_the_gate_and_the_map_pass_over_a_damaged_tile(slide: Slide, bundle: Bundle) -> None:
    report = inspect_slide(slide, plan_slide(slide, bundle))
    assert (report.tiles, report.unread) == (PLANNED - LOST, LOST)
    assert any("4 of 56 tiles checked cannot be read" in warning for warning in report.warnings)
    x, y = 3 * 256, 3 * 256  # where the damage is
    with pytest.raises(TileNotReadable):
        slide.read(x, y, 0, 256, 256)
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    left, top = world.origin_px
    drawn = render_slide_tile(slide, world.max_zoom, (x + left) // 256, (y + top) // 256)
    assert drawn is not None
    assert Image.open(io.BytesIO(drawn)).getpixel((128, 128)) == UNREAD_RGB


def test_a_slide_without_a_pyramid_is_looked_at_around_its_damage(bundle: Bundle, tmp_path: Path) -> None:
    slide = open_slide(damaged(flat_slide(tmp_path / "flat.tif"), [(3, 4)]))
    picture, scale = slide.overview(4)
    assert scale == 4
    assert picture.getpixel((3 * 64 + 32, 4 * 64 + 32)) == UNREAD_RGB
    assert picture.getpixel((5 * 64 + 32, 4 * 64 + 32)) != UNREAD_RGB
    plan = plan_slide(slide, bundle)
    hole = (
        (plan.grid.x_l0_px < 1024)
        & (plan.grid.x_l0_px + 224 > 768)
        & (plan.grid.y_l0_px < 1280)
        & (plan.grid.y_l0_px + 224 > 1024)
    )
    assert 4 <= hole.sum() <= 9, "what could not be looked at may be tissue"
    whole = plan_slide(open_slide(flat_slide(tmp_path / "whole.tif")), bundle)
    assert plan.tissue.area_mm2(0.5) <= whole.tissue.area_mm2(0.5)


def test_a_slide_of_which_too_much_is_lost_is_refused_and_nothing_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "slide.tiff"
    write_pyramid(path, phantom_region(2240, 1792, seed=3), 0.5)
    with tifffile.TiffFile(path) as tiff:
        across = -(-tiff.pages[0].imagewidth // tiff.pages[0].tilewidth)
    slide = open_slide(damaged(path, [(column, row) for row in range(0, 7, 2) for column in range(1, across, 2)]))
    plan = plan_slide(slide, bundle)
    job = ScoringDesk(tmp_path / "results").start(slide, bundle, plan, "me")
    deadline = time.monotonic() + 60
    while job.active and time.monotonic() < deadline:
        time.sleep(0.05)
    assert job.state == "failed"
    assert "opened but too much of it cannot be read: expected at least 90% of its tiles" in job.error
    assert "The file is damaged. Copy it again" in job.error
    desk = ScoringDesk(tmp_path / "results")
    assert desk.tiles_kept(slide, bundle, plan) == 0
    order = read_order(result_dir(tmp_path / "results", slide.sha256, bundle.sha256))
    assert order is not None
    assert order.state == "stopped"


def cut_slide(path: Path, tiles_lost: int) -> Path:
    """A slide of 36 stored tiles whose copy ended early. OpenSlide reads levels below 5 MB when it opens them."""
    region = phantom_region(1536, 1536, seed=5)
    tifffile.imwrite(path, region, tile=(256, 256), photometric="rgb", resolution=PER_CM, resolutionunit="CENTIMETER")
    with tifffile.TiffFile(path) as tiff:
        first_lost = tiff.pages[0].dataoffsets[-tiles_lost]
    with path.open("rb+") as stream:
        stream.truncate(first_lost + 10)
    return path


def test_a_copy_that_ends_early_is_called_so(bundle: Bundle, tmp_path: Path) -> None:
    sentence = r"The copy ends early: 12 of 36 tiles that the file declares cannot be read\. Copy it again"
    with pytest.raises(SlideDamaged, match=sentence):
        plan_slide(open_slide(cut_slide(tmp_path / "cut.tif", 12)), bundle)
    small = flat_slide(tmp_path / "small.tif", 768)
    with small.open("rb+") as stream:
        stream.truncate(small.stat().st_size // 2)
    with pytest.raises(SlideNotReadable, match=r"cannot be opened.*The copy ends early: \d of 9 tiles"):
        open_slide(small)


def test_a_little_that_is_missing_at_the_end_is_said_beside_the_answer(bundle: Bundle, tmp_path: Path) -> None:
    score = score_slide(open_slide(cut_slide(tmp_path / "cut.tif", 2)), bundle)
    # The two lost tiles of the file touch three columns and two rows of the grid, whose last ones end at the border.
    assert score.summary.answer.unread_tiles == 6
    assert any("The copy ends early: 2 of 36 tiles" in notice for notice in score.summary.notices)


def test_a_lost_tile_is_not_met_again_after_a_stop(slide: Slide, score: SlideScore, bundle: Bundle, tmp_path: Path) -> None:
    plan = plan_slide(slide, bundle)
    journal = RowJournal(result_dir(tmp_path, slide.sha256, bundle.sha256), order_of(slide, bundle, plan), bundle)
    done = PLANNED - 2
    with journal.appending(score.rows[:0]) as append:
        append(score.rows[:done])
    before = journal.finished
    assert unread_rows(before).sum() == LOST
    again = score_slide(slide, bundle, plan=plan, finished=before)
    assert again.summary.answer == score.summary.answer
    assert again.summary.timings.resumed_tiles == done


def test_readers_beside_a_damaged_tile_lose_nothing(tmp_path: Path) -> None:
    slide = open_slide(damaged(flat_slide(tmp_path / "flat.tif"), [(1, 1)]))

    def readable(place: int) -> bool:
        try:
            slide.read(place % 6 * 256, place // 6 * 256, 0, 256, 256)
        except TileNotReadable:
            return False
        return True

    with ThreadPoolExecutor(8) as readers:
        found = list(readers.map(readable, list(range(36)) * 8))
    assert [place % 36 for place, good in enumerate(found) if not good] == [7] * 8
