"""Tissue, physical scale and scoring order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cervix.bundle.manifest import TileInput
from cervix.errors import NoTissue, SlideNotSuitable, SlideScaleUnknown
from cervix.slides.grid import lay_grid, sweep_order
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.tissue import find_tissue, outline, whole_area
from cervix.sources.opening import open_slide

TILES = TileInput(size_px=224, spacing_um_px=0.5, spacing_source="test", steps_in_graph=[])


def test_tissue_is_found_where_it_was_drawn(phantom_slide: Path) -> None:
    tissue = find_tissue(open_slide(phantom_slide))
    assert tissue.mask.mean() == pytest.approx(0.6, abs=0.06)
    assert tissue.area_mm2(0.5) == pytest.approx(0.6 * 1400 * 1100 * 0.25 / 1e6, rel=0.1)


def test_glass_holds_no_tissue_and_the_sentence_says_so(glass_slide: Path) -> None:
    slide = open_slide(glass_slide)
    tissue = find_tissue(slide)
    assert not tissue.mask.any()
    with pytest.raises(SlideNotSuitable, match="No tissue was found.*tiles of glass"):
        lay_grid(slide, tissue, TILES)


def test_the_outline_marks_the_border_of_tissue(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    drawn = np.asarray(outline(find_tissue(slide)))
    assert (drawn == (0, 114, 178)).all(axis=2).sum() > 500


def test_tiles_lie_on_tissue_inside_the_slide_on_one_lattice(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    grid = lay_grid(slide, find_tissue(slide), TILES)
    assert grid.size_l0_px == 224
    assert grid.level == 0
    assert (grid.x_l0_px + grid.size_l0_px <= slide.width_l0_px).all()
    assert (grid.y_l0_px + grid.size_l0_px <= slide.height_l0_px).all()
    corners = set(zip(grid.x_l0_px.tolist(), grid.y_l0_px.tolist(), strict=True))
    assert len(corners) == len(grid)
    # 1400 = 6 x 224 + 56 and 1100 = 4 x 224 + 204: the last column and row end at the border.
    assert all(x % 224 == 0 or x == 1400 - 224 for x, _ in corners)
    assert all(y % 224 == 0 or y == 1100 - 224 for _, y in corners)
    assert {(x == 1176, y == 876) for x, y in corners} >= {(True, False), (False, True)}


def test_a_finer_scan_is_read_from_the_level_that_fits_the_model(tmp_path: Path) -> None:
    path = tmp_path / "fine.tiff"
    write_pyramid(path, phantom_region(2000, 2000, seed=2), 0.25)
    slide = open_slide(path)
    grid = lay_grid(slide, find_tissue(slide), TILES)
    assert (grid.size_l0_px, grid.level, grid.size_level_px) == (448, 1, 224)
    assert grid.effective_spacing_um_px == pytest.approx(0.5)


def test_a_somewhat_coarser_scan_is_enlarged_to_the_model_s_scale(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide, spacing_um_px=0.75)
    grid = lay_grid(slide, find_tissue(slide), TILES)
    assert (grid.size_l0_px, grid.size_level_px) == (149, 149)
    tile = slide.read_tile(int(grid.x_l0_px[0]), int(grid.y_l0_px[0]), grid.level, grid.size_level_px, grid.size_px)
    assert tile.shape == (224, 224, 3)


def test_a_picture_too_coarse_for_the_model_is_refused_and_told_what_to_bring(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide, spacing_um_px=1.38)
    with pytest.raises(
        SlideNotSuitable, match="too coarse.*at most 0.75 µm.*found 1.38 µm.*makes up no detail.*20x"
    ) as refused:
        lay_grid(slide, find_tissue(slide), TILES)
    assert not isinstance(refused.value, NoTissue), "scoring everywhere is no way round"


def test_the_bundle_may_say_how_much_is_enlarged(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide, spacing_um_px=0.7)
    with pytest.raises(SlideNotSuitable, match="at most 0.6 µm"):
        lay_grid(slide, find_tissue(slide), TILES.model_copy(update={"enlarged_at_most": 1.2}))


def test_a_spacing_within_5_percent_is_read_without_resampling(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    grid = lay_grid(slide, find_tissue(slide), TILES)
    assert grid.size_l0_px == grid.size_level_px == 224
    assert grid.effective_spacing_um_px == pytest.approx(0.499)


def test_an_image_smaller_than_a_tile_says_how_large_it_must_be(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/odd/tiny_16px.svs")
    with pytest.raises(SlideNotSuitable, match="smaller than one tile: expected at least 224 × 224 px.*found 16 × 16 px"):
        lay_grid(slide, find_tissue(slide), TILES)


def test_no_grid_is_laid_without_a_scale(unscaled_slide: Path) -> None:
    slide = open_slide(unscaled_slide)
    with pytest.raises(SlideScaleUnknown):
        lay_grid(slide, find_tissue(slide), TILES)


def test_tissue_fraction_is_the_mean_of_the_mask(phantom_slide: Path) -> None:
    tissue = find_tissue(open_slide(phantom_slide))
    one_to_one = replace(tissue, l0_px_per_mask_px=1.0)
    fraction = one_to_one.fraction_in(np.array([10, 30]), np.array([5, 20]), 16)
    assert fraction == pytest.approx([tissue.mask[5:21, 10:26].mean(), tissue.mask[20:36, 30:46].mean()])


@pytest.mark.parametrize("count", [1, 2, 7, 64, 500])
def test_the_sweep_visits_every_cell_once(count: int) -> None:
    rng = np.random.default_rng(count)
    order = sweep_order(rng.integers(0, 40, count), rng.integers(0, 40, count))
    assert sorted(order) == list(range(count))


def test_every_prefix_of_the_sweep_covers_all_quadrants_evenly() -> None:
    column, row = (axis.ravel() for axis in np.meshgrid(np.arange(32), np.arange(32)))
    first = sweep_order(column, row)[:64]
    quadrant = (column[first] >= 16) * 2 + (row[first] >= 16)
    assert np.bincount(quadrant, minlength=4).tolist() == [16, 16, 16, 16]


@pytest.mark.parametrize("size", [(440, 440), (448, 448), (449, 300), (1000, 230)])
def test_every_pixel_lies_in_a_tile_and_its_area_counts_once(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "slide.tif"
    write_pyramid(path, phantom_region(*size, seed=5, tissue_share=1.0), 0.5)
    slide = open_slide(path)
    grid = lay_grid(slide, whole_area(slide), TILES)
    covered = np.zeros((size[1], size[0]), bool)
    for x, y in zip(grid.x_l0_px, grid.y_l0_px, strict=True):
        assert 0 <= x <= size[0] - 224
        assert 0 <= y <= size[1] - 224
        covered[y : y + 224, x : x + 224] = True
    assert covered.all()
    assert (grid.tissue_fraction * 224**2).sum() == pytest.approx(size[0] * size[1])


def test_tissue_at_the_border_is_scored(cases_dir: Path) -> None:
    slide = open_slide(cases_dir / "slides/tissue_at_right_border.tif")
    tissue = find_tissue(slide)
    grid = lay_grid(slide, tissue, TILES)
    assert set(grid.x_l0_px.tolist()) == {1000 - 224}
    assert grid.y_l0_px.tolist() == [0]  # the one wisp of tissue, 100 px wide, at y 110 to 190
    area = (grid.tissue_fraction * (224 * 0.5 / 1000) ** 2).sum()
    assert area == pytest.approx(tissue.area_mm2(0.5), rel=0.15)  # cells of the mask are 16 px wide


def test_no_tissue_of_the_real_slide_lies_beyond_the_last_tile(data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    tissue = find_tissue(slide)
    grid = lay_grid(slide, tissue, TILES)
    beyond = tissue.mask.copy()
    scale = tissue.l0_px_per_mask_px
    beyond[: round(2912 / scale), : round(2016 / scale)] = False  # 13 and 9 whole tiles
    assert beyond.sum() > 0.03 * tissue.mask.sum()
    for x, y in zip(grid.x_l0_px, grid.y_l0_px, strict=True):
        beyond[int(y / scale) : int(-(-(y + 224) // scale)), int(x / scale) : int(-(-(x + 224) // scale))] = False
    assert not beyond.any()


def test_other_tiles_are_another_order(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    grid = lay_grid(slide, find_tissue(slide), TILES)
    assert grid.sha256 == lay_grid(slide, find_tissue(slide), TILES).sha256
    moved = replace(grid, x_l0_px=grid.x_l0_px[::-1])
    assert moved.sha256 != grid.sha256
