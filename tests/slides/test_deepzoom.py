"""The slide as a map: pixels and scores land where they belong."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cervix.slides.deepzoom import MAP_TILE_PX, OVERZOOM, WorldMap, heat_layer, render_slide_tile
from cervix.sources.opening import open_slide


def world_tile_of(world: WorldMap, x_l0_px: float, y_l0_px: float) -> tuple[int, int, int, int]:
    """Map tile at the deepest zoom that holds a level-0 pixel, and the pixel's place in it."""
    left, top = world.origin_px
    x, y = x_l0_px + left, y_l0_px + top
    return int(x // MAP_TILE_PX), int(y // MAP_TILE_PX), int(x % MAP_TILE_PX), int(y % MAP_TILE_PX)


def test_longitude_and_latitude_follow_web_mercator() -> None:
    world = WorldMap(1000, 800)
    left, top = world.origin_px
    lon, lat = world.lon_lat(world.world_px / 2 - left, world.world_px / 2 - top)
    assert (float(lon), float(lat)) == pytest.approx((0.0, 0.0))
    lon, lat = world.lon_lat(-left, -top)
    assert (float(lon), float(lat)) == pytest.approx((-180.0, 85.0511287798))


def test_the_slide_fills_at_most_half_of_the_world() -> None:
    for size in ((100, 100), (4096, 4096), (200_000, 90_000)):
        world = WorldMap(*size)
        assert 2 * max(size) <= world.world_px < 4 * max(*size, MAP_TILE_PX)


def test_at_the_deepest_zoom_a_map_pixel_is_a_slide_pixel(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    tile_x, tile_y, px, py = world_tile_of(world, 700, 550)
    jpeg = render_slide_tile(slide, world.max_zoom, tile_x, tile_y)
    assert jpeg is not None
    with Image.open(io.BytesIO(jpeg)) as tile:
        shown = np.asarray(tile, float)[max(0, py - 20) : py + 20, max(0, px - 20) : px + 20]
    true = np.asarray(slide.read(700 - min(20, px), 550 - min(20, py), 0, shown.shape[1], shown.shape[0]), float)
    assert np.abs(shown - true).mean() < 6.0


@pytest.mark.parametrize("zoom_out", [0, 1, 2])
def test_tiles_of_every_zoom_show_the_whole_slide_once(phantom_slide: Path, zoom_out: int) -> None:
    slide = open_slide(phantom_slide)
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    zoom = world.max_zoom - zoom_out
    mosaic = Image.new("RGB", (MAP_TILE_PX * 2**zoom,) * 2, "white")
    for x in range(2**zoom):
        for y in range(2**zoom):
            jpeg = render_slide_tile(slide, zoom, x, y)
            if jpeg is not None:
                with Image.open(io.BytesIO(jpeg)) as tile:
                    mosaic.paste(tile, (x * MAP_TILE_PX, y * MAP_TILE_PX))
    left, top = (round(value / 2**zoom_out) for value in world.origin_px)
    width, height = slide.width_l0_px // 2**zoom_out, slide.height_l0_px // 2**zoom_out
    shown = np.asarray(mosaic.crop((left, top, left + width, top + height)), float)
    whole = slide.read(0, 0, 0, slide.width_l0_px, slide.height_l0_px).resize((width, height), Image.Resampling.BILINEAR)
    assert np.abs(shown - np.asarray(whole, float)).mean() < 8.0


def test_outside_the_slide_there_is_no_tile(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    zoom = WorldMap(slide.width_l0_px, slide.height_l0_px).max_zoom
    assert render_slide_tile(slide, zoom, 0, 0) is None
    assert render_slide_tile(slide, zoom + OVERZOOM + 1, 2**zoom, 2**zoom) is None


def test_beyond_full_resolution_the_slide_is_enlarged_not_lost(phantom_slide: Path) -> None:
    slide = open_slide(phantom_slide)
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    tile_x, tile_y, _, _ = world_tile_of(world, 700, 550)
    jpeg = render_slide_tile(slide, world.max_zoom + OVERZOOM, tile_x * 2**OVERZOOM, tile_y * 2**OVERZOOM)
    assert jpeg is not None
    left, top, edge = world.region(world.max_zoom, tile_x, tile_y)
    with Image.open(io.BytesIO(jpeg)) as tile:
        shown = np.asarray(tile, float)
    true = slide.read(int(left), int(top), 0, int(edge) // 8, int(edge) // 8).resize((256, 256), Image.Resampling.BILINEAR)
    assert np.abs(shown - np.asarray(true, float)).mean() < 8.0


def test_heat_cells_lie_over_their_tiles_and_nowhere_else() -> None:
    world = WorldMap(1120, 896)
    tiles = pd.DataFrame({"x_l0_px": [224, 672], "y_l0_px": [448, 0], "size_l0_px": 224})
    layer = heat_layer(tiles, np.array([1.0, 0.3]), "#D55E00")

    def alpha_at(x_l0_px: float, y_l0_px: float) -> int:
        tile_x, tile_y, px, py = world_tile_of(world, x_l0_px, y_l0_px)
        with Image.open(io.BytesIO(layer.render_tile(world, world.max_zoom, tile_x, tile_y))) as tile:
            return int(tile.getpixel((px, py))[3])

    strong, weak = alpha_at(336, 560), alpha_at(784, 112)
    assert strong > weak > 0
    assert alpha_at(226, 450) == alpha_at(446, 670) == strong
    assert alpha_at(222, 450) == alpha_at(336, 674) == alpha_at(10, 10) == alpha_at(1100, 880) == 0


def test_the_cell_of_a_tile_moved_in_ends_at_the_border() -> None:
    world = WorldMap(1000, 900)
    tiles = pd.DataFrame({"x_l0_px": [32, 256, 776], "y_l0_px": [48, 272, 272], "size_l0_px": 224})
    layer = heat_layer(tiles, np.array([1.0, 0.5, 0.8]), "#D55E00")

    def alpha_at(x_l0_px: float, y_l0_px: float) -> int:
        tile_x, tile_y, px, py = world_tile_of(world, x_l0_px, y_l0_px)
        with Image.open(io.BytesIO(layer.render_tile(world, world.max_zoom, tile_x, tile_y))) as tile:
            return int(tile.getpixel((px, py))[3])

    # Cells begin at 32, 48 as the scanned part does; the last column begins at 928 and is cut off at 1000.
    assert alpha_at(34, 50) == alpha_at(254, 270) > alpha_at(300, 300) > 0
    assert alpha_at(930, 400) == alpha_at(998, 400) > alpha_at(300, 300)
    assert alpha_at(30, 50) == alpha_at(900, 400) == alpha_at(1002, 400) == alpha_at(950, 500) == 0


@pytest.mark.parametrize("size", [(60_000, 40_000), (2_220, 2_967), (300, 260), (100_000, 9_000)])
def test_the_slide_lies_on_the_grid_of_map_tiles_in_the_middle_half_of_the_world(size: tuple[int, int]) -> None:
    world = WorldMap(*size)
    for origin, edge in zip(world.origin_px, size, strict=True):
        assert origin % MAP_TILE_PX == 0
        assert world.world_px / 8 <= origin
        assert origin + edge <= world.world_px * 7 / 8
    if max(size) > 20_000:
        assert all(origin % (MAP_TILE_PX * 16) == 0 for origin in world.origin_px)
