"""Drawn tissue: the same for the same seed, and of what it is meant to be."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from cervix.slides.drawn.look import looks, read_table
from cervix.slides.drawn.patterns import border_distance, pixel_grid, scattered_points, smooth_field
from cervix.slides.drawn.slides import DRAWN_SLIDES, island
from cervix.slides.drawn.stains import GLASS_OD, LIGHT, as_seen, density_of
from cervix.slides.drawn.tissues import TISSUES
from cervix.slides.pyramid import write_pyramid
from cervix.sources.opening import open_slide

SHAPE = (800, 240)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """A strip of each tissue, 240 x 800 px."""
    everywhere = np.ones(SHAPE, bool)
    return {name: as_seen(draw(np.random.default_rng(5), looks()[name], everywhere)) for name, draw in TISSUES.items()}


def test_a_seed_draws_the_same_and_another_draws_another(drawn: dict[str, np.ndarray]) -> None:
    name, draw = next(iter(TISSUES.items()))
    again, other = (as_seen(draw(np.random.default_rng(seed), looks()[name], np.ones(SHAPE, bool))) for seed in (5, 6))
    assert np.array_equal(again, drawn[name])
    assert not np.array_equal(other, drawn[name])


def test_carcinoma_has_more_nuclei_than_normal_tissue(drawn: dict[str, np.ndarray]) -> None:
    # Nuclei absorb red light, and neither eosin nor red cells do.
    nuclei = {name: float((pixels[..., 0] < 130).mean()) for name, pixels in drawn.items()}
    assert nuclei["squamous-carcinoma"] > 1.5 * nuclei["squamous-mucosa"]
    assert nuclei["adenocarcinoma"] > 1.5 * nuclei["glandular-mucosa"]


def test_squamous_epithelium_matures_from_a_dark_basal_row_to_a_pale_surface(drawn: dict[str, np.ndarray]) -> None:
    red = drawn["squamous-mucosa"][..., 0].astype(float)
    surface, basal, stroma = red[20:120].mean(), red[380:560].mean(), red[700:].mean()
    assert basal < surface - 15
    assert basal < stroma - 5


def test_points_keep_their_distance_and_leave_no_room_for_another() -> None:
    points = scattered_points(np.random.default_rng(1), (300, 500), 20)
    assert cKDTree(points).query(points, k=2)[0][:, 1].min() >= 20
    x, y = pixel_grid((300, 500))
    farthest = cKDTree(points).query(np.stack([x, y], -1).reshape(-1, 2))[0].max()
    assert farthest < 2 * 20


def test_a_border_lies_halfway_between_two_cells() -> None:
    x, y = pixel_grid((20, 40))
    distance = border_distance(np.array([[10.0, 10.0], [30.0, 10.0]]), x, y)
    assert distance[10, 20] < 2 < 15 < distance[10, 10]


@pytest.mark.parametrize("sigma_px", [0.7, 5.0, 30.0, 150.0])
def test_a_field_is_as_smooth_as_it_was_asked_to_be(sigma_px: float) -> None:
    field = smooth_field(np.random.default_rng(2), (1200, 1500), sigma_px)
    assert field.shape == (1200, 1500)
    near = np.corrcoef(field[:, :-1].ravel(), field[:, 1:].ravel())[0, 1]
    assert near == pytest.approx(np.exp(-1 / (4 * sigma_px**2)), abs=0.03)


def test_light_falls_tenfold_with_each_unit_of_density() -> None:
    one = np.zeros((1, 1, 3), np.float32)
    assert as_seen(one)[0, 0, 0] == round(LIGHT * 10**-GLASS_OD)
    assert as_seen(one + 1)[0, 0, 0] == pytest.approx(LIGHT * 10 ** -(1 + GLASS_OD), abs=0.5)


def test_amounts_of_stains_add_up_as_densities() -> None:
    none, some = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    both = density_of(some, some, none, 0.5)
    assert both == pytest.approx(density_of(some, none, none, 0.5) + density_of(none, some, none, 0.5))
    assert density_of(some, none, none, 0.0)[0, 0].argmax() == 1, "haematoxylin absorbs green most"


def test_every_slide_is_an_island_with_glass_at_every_border() -> None:
    for seed in range(6):
        inside = island(np.random.default_rng(seed), (432, 576))
        assert not inside[[0, -1]].any()
        assert not inside[:, [0, -1]].any()
        assert 0.4 < inside.mean() < 0.8


def test_slides_have_names_of_their_own_and_settings_say_what_they_were_tuned_to() -> None:
    assert len({slide.file_name for slide in DRAWN_SLIDES}) == len(DRAWN_SLIDES) == 5
    assert read_table()["tuned_to"]


def test_a_jpeg_pyramid_is_a_tenth_as_large_and_nearly_the_same(tmp_path: Path, drawn: dict[str, np.ndarray]) -> None:
    pixels = np.tile(drawn["squamous-mucosa"], (1, 3, 1))
    write_pyramid(tmp_path / "whole.tiff", pixels, 0.5)
    write_pyramid(tmp_path / "jpeg.tiff", pixels, 0.5, jpeg_quality=85)
    whole, jpeg = (open_slide(tmp_path / name) for name in ("whole.tiff", "jpeg.tiff"))
    assert (tmp_path / "jpeg.tiff").stat().st_size < 0.3 * (tmp_path / "whole.tiff").stat().st_size
    assert jpeg.spacing_um_px == whole.spacing_um_px == pytest.approx(0.5)
    assert (jpeg.width_l0_px, jpeg.level_downsamples) == (whole.width_l0_px, whole.level_downsamples)
    assert np.array_equal(whole.read_tile(0, 0, 0, 224, 224), pixels[:224, :224])
    apart = jpeg.read_tile(300, 300, 0, 224, 224).astype(float) - pixels[300:524, 300:524]
    assert np.abs(apart).mean() < 4
