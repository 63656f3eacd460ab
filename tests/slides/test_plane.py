"""A slide of which a part was scanned, or whose pixels are not square, lies right wherever it goes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from cervix.bundle import Bundle
from cervix.interop.exports import write_export
from cervix.slides.phantom import phantom_region
from cervix.slides.scoring import SlideScore, plan_slide, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.plane import FilePlane
from cervix.sources.slide import Slide


def corners_in(path: Path) -> np.ndarray:
    """Left, top, right, bottom of each object of a GeoJSON file: ``(n, 4)``."""
    rings = [np.array(f["geometry"]["coordinates"][0]) for f in json.loads(path.read_text(encoding="utf-8"))["features"]]
    return np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings])


@pytest.fixture(scope="module")
def bounded(cases_dir: Path) -> Slide:
    return open_slide(cases_dir / "slides/mirax_bounds.mrxs")


@pytest.fixture(scope="module")
def bounded_score(bounded: Slide, bundle: Bundle) -> SlideScore:
    return score_slide(bounded, bundle)


def test_a_slide_knows_which_part_was_scanned(bounded: Slide, phantom_slide: Path) -> None:
    assert (bounded.width_l0_px, bounded.height_l0_px) == (2048, 2048)
    assert bounded.plane.bounds_l0_px == (512, 512, 1024, 768)
    assert open_slide(phantom_slide).plane.bounds_l0_px == (0, 0, 1400, 1100)


def test_all_tiles_lie_in_qupath_s_image_over_the_same_tissue(
    bounded: Slide, bounded_score: SlideScore, bundle: Bundle, tmp_path: Path
) -> None:
    path = write_export("geojson", bounded_score, bounded, bundle.session_of("tile"), tmp_path, "slide")
    boxes = corners_in(path)
    assert boxes[:, :2].min() >= 0
    assert (boxes[:, 2:] <= (1024, 768)).all()
    level_0 = bounded_score.tiles[["x_l0_px", "y_l0_px"]].to_numpy()
    assert (boxes[:, :2] == level_0 - 512).all()
    plane = json.loads(path.read_text(encoding="utf-8"))["provenance"]["plane"]
    assert (plane["bounds_x_px"], plane["bounds_y_px"]) == (512, 512)
    assert FilePlane.model_validate_json(bounded_score.summary.plane.model_dump_json()) == bounded.plane


def test_tables_keep_level_0_and_the_heat_map_the_scanned_part(
    bounded: Slide, bounded_score: SlideScore, bundle: Bundle, tmp_path: Path
) -> None:
    session = bundle.session_of("tile")
    known = dataclasses.replace(bounded_score, tiles=bounded_score.tiles.assign(novelty=0.0))
    table = pd.read_csv(write_export("csv", known, bounded, session, tmp_path, "slide"))
    assert (table["x_l0_px"] == known.tiles["x_l0_px"].to_numpy()).all()
    heat = tifffile.imread(write_export("heatmap", known, bounded, session, tmp_path, "slide"))
    assert heat.shape == (5, 4, 5)  # 768 and 1024 px in tiles of 224 px
    for tile in known.tiles.itertuples():
        place = -(-(tile.y_l0_px - 512) // 224), -(-(tile.x_l0_px - 512) // 224)
        assert heat[(0, *place)] == pytest.approx(tile.p_benign)


@pytest.fixture(scope="module")
def stretched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Slide, Slide]:
    """A slide of 0.5 µm and the same tissue in pixels of 0.5 × 0.25 µm, with one coarser level."""
    folder = tmp_path_factory.mktemp("stretched")
    square = Image.fromarray(phantom_region(900, 700, seed=6))
    for name, picture, per_cm in (
        ("square.tif", square, (20_000, 20_000)),
        ("tall.tif", square.resize((900, 1400), Image.Resampling.BILINEAR), (20_000, 40_000)),
    ):
        with tifffile.TiffWriter(folder / name) as writer:
            for factor in (1, 2):
                writer.write(
                    np.asarray(picture.reduce(factor)), photometric="rgb", tile=(256, 256), compression="zlib", metadata=None,
                    resolution=tuple(value / factor for value in per_cm), resolutionunit="CENTIMETER", subfiletype=factor - 1,
                )  # fmt: skip
    return open_slide(folder / "square.tif"), open_slide(folder / "tall.tif")


def test_pixels_that_are_not_square_are_resampled_and_said(cases_dir: Path) -> None:
    slide = open_slide(cases_dir / "slides/mpp_anisotropic_x05_y025.tif")
    assert (slide.width_l0_px, slide.height_l0_px, slide.known_spacing_um_px) == (2240, 896, 0.25)
    assert any("0.5 µm wide and 0.25 µm high" in notice for notice in slide.notices)
    assert slide.plane.to_file_px(448, 448) == (224, 448)


def test_pixels_that_are_not_square_are_as_coarse_as_their_longer_side(stretched: tuple[Slide, Slide]) -> None:
    square, tall = stretched
    assert tall.known_spacing_um_px == pytest.approx(0.25)
    assert tall.coarser_side_um_px == pytest.approx(0.5)
    assert square.coarser_side_um_px == square.known_spacing_um_px


def test_the_model_sees_the_same_tissue_through_stretched_pixels(stretched: tuple[Slide, Slide], bundle: Bundle) -> None:
    square, tall = stretched
    one, other = plan_slide(square, bundle).grid, plan_slide(tall, bundle).grid
    assert other.effective_spacing_um_px == one.effective_spacing_um_px == 0.5
    places = set(zip((other.x_l0_px // 2).tolist(), (other.y_l0_px // 2).tolist(), strict=True))
    both = places & set(zip(one.x_l0_px.tolist(), one.y_l0_px.tolist(), strict=True))
    assert len(both) >= 0.9 * max(len(one), len(other))
    for x, y in both:
        a = square.read_tile(x, y, one.level, one.size_level_px, 224).astype(int)
        b = tall.read_tile(2 * x, 2 * y, other.level, other.size_level_px, 224).astype(int)
        assert np.abs(a - b).mean() < 6
    whole, again = (np.asarray(slide.overview(4 * factor)[0], int) for slide, factor in ((square, 1), (tall, 2)))
    assert whole.shape == again.shape
    assert np.abs(whole - again).mean() < 3


def test_exports_of_stretched_pixels_are_in_those_of_the_file(
    stretched: tuple[Slide, Slide], bundle: Bundle, tmp_path: Path
) -> None:
    score = score_slide(stretched[1], bundle)
    boxes = corners_in(write_export("geojson", score, stretched[1], bundle.session_of("tile"), tmp_path, "slide"))
    assert set(np.unique(boxes[:, 2] - boxes[:, 0])) == {224}
    assert set(np.unique(boxes[:, 3] - boxes[:, 1])) == {448}
    assert (boxes[:, 2:] <= (900, 1400)).all()
    assert any("not square" in notice for notice in score.summary.notices)


def test_a_scale_that_the_user_gives_is_of_square_pixels(cases_dir: Path) -> None:
    slide = open_slide(cases_dir / "slides/mpp_anisotropic_x05_y025.tif", spacing_um_px=0.5)
    assert (slide.width_l0_px, slide.height_l0_px, slide.plane.square) == (1120, 896, True)
    assert any("used for both sides, although the file states two" in notice for notice in slide.notices)
    assert not any("resampled" in notice for notice in slide.notices)


@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.7331)])
def test_places_go_to_qupath_and_come_back(factors: tuple[float, float]) -> None:
    plane = FilePlane(
        bounds_x_px=512, bounds_y_px=300, bounds_width_px=1024, bounds_height_px=768,
        file_px_per_l0_px_x=factors[0], file_px_per_l0_px_y=factors[1],
    )  # fmt: skip
    assert plane.from_qupath_px(*plane.to_qupath_px(1234, 987)) == pytest.approx((1234, 987))
    left, top, width, height = plane.bounds_l0_px
    assert min(plane.to_qupath_px(left, top)) >= 0
    x, y = plane.to_qupath_px(left + width, top + height)
    assert (x, y) <= (1024, 768)


def test_everything_is_the_scanned_part(bounded: Slide, bundle: Bundle) -> None:
    plan = plan_slide(bounded, bundle, everywhere=True)
    assert len(plan.grid) == 5 * 4
    assert plan.tissue.area_mm2(0.5) == pytest.approx(1024 * 768 * 0.25e-6)
    assert plan.grid.x_l0_px.min() == 512
    assert plan.grid.x_l0_px.max() + 224 == 512 + 1024
