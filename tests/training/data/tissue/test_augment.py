"""A variation keeps the class: it turns, scales, stains, blurs and compresses as asked, and the seed decides it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2hed, rgb2lab

from training.data.tissue.augment import Tile, augmented, blurred, recast, recoloured, recompressed, rescaled, restained, turned

# One tile a class; the second and third lie partly outside what haematoxylin and eosin alone can mix.
NAMES = ("lung_n/lungn2256.jpeg", "lung_aca/lungaca2684.jpeg", "lung_scc/lungscc1473.jpeg")
SIZE_PX = 224
STRONG: dict[str, Any] = {
    "scale_low": 0.75,
    "scale_high": 1.33,
    "stain_gain": 0.2,
    "stain_shift": 0.01,
    "cast_share": 0.5,
    "cast_shift": 8.0,
    "cast_gain": 0.25,
    "brightness": 0.15,
    "contrast": 0.2,
    "blur_share": 0.5,
    "blur_px": 1.5,
    "jpeg_share": 0.5,
    "jpeg_quality_low": 40,
}
NONE: dict[str, Any] = dict.fromkeys(STRONG, 0.0) | {"scale_low": 1.0, "scale_high": 1.0, "jpeg_quality_low": 95}
UNCHANGED = np.ones(3)
UNSHIFTED = np.zeros(3)


def read(path: Path) -> Tile:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def tiles(data_dir: Path) -> Tile:
    """One real tile of each class."""
    return np.stack([read(data_dir / "tiles/lc25000_lung" / name) for name in NAMES])


@pytest.fixture(scope="module")
def tile(tiles: Tile) -> Tile:
    return tiles[0]


def gap(one: Tile, other: Tile) -> NDArray[np.int64]:
    """Grey levels between two tiles, per pixel and channel."""
    return np.abs(one.astype(np.int64) - other)


def sorted_colours(tile: Tile) -> NDArray[np.int64]:
    return np.sort(tile.reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1]))


def sharpness(tile: Tile) -> float:
    """Mean step between neighbouring pixels."""
    return float(np.abs(np.diff(tile.astype(np.float64), axis=1)).mean())


class TestCast:
    def test_mean_and_spread_of_lightness_and_colour_move_as_asked(self, tile: Tile) -> None:
        before, after = (
            rgb2lab(found).reshape(-1, 3) for found in (tile, recast(tile, np.array([-5.0, 4, 3]), np.full(3, 0.8)))
        )
        np.testing.assert_allclose(after.mean(axis=0) - before.mean(axis=0), [-5, 4, 3], atol=0.3)
        np.testing.assert_allclose(after.std(axis=0) / before.std(axis=0), 0.8, atol=0.03)

    def test_nothing_asked_changes_nothing(self, tile: Tile) -> None:
        assert gap(recast(tile, UNSHIFTED, UNCHANGED), tile).max() <= 1


class TestVariation:
    def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(self, tiles: Tile) -> None:
        first, again, other = (augmented(tiles, STRONG, seed) for seed in (7, 7, 8))
        np.testing.assert_array_equal(first, again)
        assert all(gap(one, two).mean() > 1 for one, two in zip(first, other, strict=True))

    def test_a_tiles_variation_does_not_depend_on_the_other_tiles(self, tiles: Tile) -> None:
        among = augmented(tiles, STRONG, 7)
        np.testing.assert_array_equal(augmented(tiles[:1], STRONG, 7)[0], among[0])
        np.testing.assert_array_equal(augmented(np.stack([tiles[2], tiles[1], tiles[0]]), STRONG, 7)[1], among[1])

    def test_a_tile_that_was_taken_too_small_is_magnified_up_to_its_scale(self, tiles: Tile) -> None:
        still = NONE | {"scale_low": 2.0, "scale_high": 1.0}
        large = augmented(tiles, still, 7, np.full(3, 2.0))
        assert all(sharpness(one) < 0.8 * sharpness(other) for one, other in zip(large, tiles, strict=True))
        np.testing.assert_array_equal(augmented(tiles, STRONG, 7, np.full(3, 0.5)), augmented(tiles, STRONG, 7))

    def test_equal_tiles_of_one_batch_vary_differently(self, tile: Tile) -> None:
        one, two, three = augmented(np.stack([tile] * 3), STRONG, 7)
        assert min(gap(one, two).mean(), gap(two, three).mean(), gap(one, three).mean()) > 1

    def test_tiles_stay_uint8_of_the_same_shape_and_are_left_alone_themselves(self, tiles: Tile) -> None:
        before = tiles.copy()
        found = augmented(tiles, STRONG, 7)
        assert (found.dtype, found.shape) == (np.uint8, tiles.shape)
        np.testing.assert_array_equal(tiles, before)

    def test_settings_without_strength_leave_one_of_the_eight_symmetries(self, tiles: Tile) -> None:
        for tile, found in zip(tiles, augmented(tiles, NONE, 7), strict=True):
            assert min(int(gap(found, turned(tile, which)).max()) for which in range(8)) <= 1

    def test_all_eight_symmetries_are_drawn(self, tile: Tile) -> None:
        found = augmented(np.stack([tile[:32, :32]] * 60), NONE, 7)
        nearest = {int(np.argmin([gap(one, turned(tile[:32, :32], which)).mean() for which in range(8)])) for one in found}
        assert nearest == set(range(8))

    @pytest.mark.parametrize(
        ("strength", "measure"),
        [
            ({"brightness": 0.5}, lambda found: found.mean()),
            ({"contrast": 0.5}, lambda found: found.std()),
            ({"stain_gain": 0.5}, lambda found: found.mean()),
            ({"stain_shift": 0.02}, lambda found: found.mean()),
            ({"blur_share": 1.0, "blur_px": 4.0}, sharpness),
            ({"jpeg_share": 1.0, "jpeg_quality_low": 5}, lambda found: gap(found[:, 7:-1:8], found[:, 8::8]).mean()),
            ({"scale_low": 0.5, "scale_high": 2.0}, sharpness),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_each_setting_makes_tiles_differ_in_what_it_names(
        self, tile: Tile, strength: dict[str, float], measure: Any
    ) -> None:
        same = np.stack([tile] * 8)
        spread = np.ptp([float(measure(found)) for found in augmented(same, NONE | strength, 7)])
        assert spread > 2 * np.ptp([float(measure(found)) for found in augmented(same, NONE, 7)])


class TestSymmetries:
    def test_the_eight_are_distinct_and_keep_every_pixel(self, tile: Tile) -> None:
        eight = [turned(tile, which) for which in range(8)]
        assert len({one.tobytes() for one in eight}) == 8
        for one in eight:
            np.testing.assert_array_equal(sorted_colours(one), sorted_colours(tile))

    def test_the_first_four_are_quarter_turns_and_the_fifth_is_the_mirror(self, tile: Tile) -> None:
        for which in range(4):
            np.testing.assert_array_equal(turned(tile, which), np.rot90(tile, which))
        np.testing.assert_array_equal(turned(tile, 4), tile[:, ::-1])


class TestScale:
    def test_a_factor_of_1_changes_nothing(self, tiles: Tile) -> None:
        for tile in tiles:
            np.testing.assert_array_equal(rescaled(tile, 1.0), tile)

    @pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.0), (0.2, 0.9)])
    def test_a_factor_of_1_leaves_nothing_to_choose_a_place_in(self, tile: Tile, place: tuple[float, float]) -> None:
        np.testing.assert_array_equal(rescaled(tile, 1.0, np.array(place)), tile)

    def test_a_factor_of_2_shows_the_middle_half_twice_as_large(self, tile: Tile) -> None:
        middle = Image.fromarray(tile[56:168, 56:168]).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)
        assert gap(rescaled(tile, 2.0), np.asarray(middle)).mean() < 0.2

    @pytest.mark.parametrize(
        ("place", "left", "top"), [((0, 0), 0, 0), ((1, 0), 112, 0), ((0, 1), 0, 112), ((0.5, 0.25), 56, 28)]
    )
    def test_the_place_moves_the_crop(self, tile: Tile, place: tuple[float, float], left: int, top: int) -> None:
        crop = Image.fromarray(tile[top : top + 112, left : left + 112]).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)
        assert gap(rescaled(tile, 2.0, np.array(place, float)), np.asarray(crop)).mean() < 0.2

    def test_a_factor_below_1_shows_the_whole_tile_small_amid_its_mirror_image(self, tile: Tile) -> None:
        found = rescaled(tile, 0.5)
        small = np.asarray(Image.fromarray(tile).resize((112, 112), Image.Resampling.BICUBIC))
        assert gap(found[57:167, 57:167], small[1:-1, 1:-1]).mean() < 0.2
        beside, above = found[56:168, 8:56], found[8:56, 56:168]
        inside_left, inside_top = found[56:168, 56:104], found[56:104, 56:168]
        assert gap(beside, inside_left[:, ::-1]).mean() < gap(beside, inside_left).mean() / 3  # mirrored half a pixel off
        assert gap(above, inside_top[::-1]).mean() < gap(above, inside_top).mean() / 3

    @pytest.mark.parametrize("factor", [0.5, 0.75, 0.99])
    def test_what_a_factor_below_1_leaves_bare_is_never_black(self, factor: float) -> None:
        bright = np.random.default_rng(0).integers(150, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        for place in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.5)):
            assert rescaled(bright, factor, np.array(place)).min() > 100

    @pytest.mark.parametrize("factor", [0.6, 0.99, 1.01, 1.7])
    def test_every_scale_keeps_the_size_and_type(self, tile: Tile, factor: float) -> None:
        found = rescaled(tile, factor, np.array([0.3, 0.99]))
        assert (found.shape, found.dtype) == (tile.shape, np.uint8)


class TestStain:
    @pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
    def test_gain_1_and_shift_0_leave_a_real_tile_as_it_is(self, tiles: Tile, index: int) -> None:
        assert gap(restained(tiles[index], UNCHANGED, UNSHIFTED), tiles[index]).max() <= 2

    def test_more_haematoxylin_makes_nuclei_darker_and_bluer(self, tile: Tile) -> None:
        nuclei = rgb2hed(tile)[..., 0] >= np.quantile(rgb2hed(tile)[..., 0], 0.9)
        plain = restained(tile, UNCHANGED, UNSHIFTED)[nuclei].mean(axis=0)
        more = restained(tile, np.array([1.3, 1.0, 1.0]), UNSHIFTED)[nuclei].mean(axis=0)
        assert (more < plain - 5).all()
        assert more[2] / more.sum() > plain[2] / plain.sum() + 0.01

    def test_more_haematoxylin_darkens_nuclei_more_than_stroma(self, tile: Tile) -> None:
        amount = rgb2hed(tile)[..., 0]
        plain, more = (restained(tile, np.array([gain, 1, 1]), UNSHIFTED).astype(float).mean(axis=2) for gain in (1.0, 1.4))
        loss = plain - more
        assert loss[amount >= np.quantile(amount, 0.9)].mean() > 1.5 * loss[amount <= np.quantile(amount, 0.5)].mean()

    def test_more_eosin_takes_green_and_hardly_any_red(self, tile: Tile) -> None:
        """Eosin absorbs green (Ruifrok & Johnston 2001: optical density 0.07, 0.99, 0.11)."""
        plain = restained(tile, UNCHANGED, UNSHIFTED).astype(float).mean(axis=(0, 1))
        more = restained(tile, np.array([1.0, 1.3, 1.0]), UNSHIFTED).mean(axis=(0, 1))
        assert plain[1] - more[1] > 3
        assert plain[0] - more[0] < (plain[1] - more[1]) / 3

    def test_a_shift_adds_stain_where_there_was_none(self) -> None:
        white = np.full((16, 16, 3), 255, np.uint8)
        assert restained(white, UNCHANGED, UNSHIFTED).min() >= 254
        red, green, blue = restained(white, UNCHANGED, np.array([0.05, 0.0, 0.0]))[0, 0].astype(int)
        assert max(red, green) < blue < 255

    def test_a_gain_of_0_takes_the_stain_away(self, tile: Tile) -> None:
        bleached = restained(tile, np.zeros(3), UNSHIFTED)
        assert bleached.min() >= 254
        assert (bleached.dtype, bleached.shape) == (np.uint8, tile.shape)


class TestColour:
    def test_brightness_scales_every_value_and_stops_at_white(self, tile: Tile) -> None:
        np.testing.assert_array_equal(recoloured(tile, brightness=0.5), np.round(tile.astype(np.float32) * 0.5))
        np.testing.assert_array_equal(recoloured(tile, brightness=1.5), np.round(np.minimum(tile * np.float32(1.5), 255)))

    def test_contrast_scales_the_spread_about_the_mean_of_each_channel(self, tile: Tile) -> None:
        found = recoloured(tile, contrast=0.5)
        np.testing.assert_allclose(found.mean(axis=(0, 1)), tile.mean(axis=(0, 1)), atol=0.5)  # rounded to whole levels
        np.testing.assert_allclose(found.std(axis=(0, 1)), tile.std(axis=(0, 1)) / 2, atol=0.5)

    def test_a_contrast_of_0_leaves_the_mean_colour_alone(self, tile: Tile) -> None:
        expected = np.broadcast_to(np.round(tile.mean(axis=(0, 1))), tile.shape)
        np.testing.assert_array_equal(recoloured(tile, contrast=0.0), expected)

    def test_neither_changes_nothing(self, tile: Tile) -> None:
        np.testing.assert_array_equal(recoloured(tile), tile)


class TestFocusAndCompression:
    def test_blur_takes_detail_and_keeps_the_mean(self, tile: Tile) -> None:
        sharp, soft, softer = (blurred(tile, sigma_px) for sigma_px in (0.0, 1.0, 2.0))
        np.testing.assert_array_equal(sharp, tile)
        assert sharpness(softer) < sharpness(soft) < 0.8 * sharpness(tile)
        np.testing.assert_allclose(softer.mean(axis=(0, 1)), tile.mean(axis=(0, 1)), atol=0.5)

    def test_blur_does_not_mix_the_channels(self) -> None:
        red = np.zeros((32, 32, 3), np.uint8)
        red[12:20, 12:20, 0] = 255
        found = blurred(red, 2.0)
        assert found[10, 16, 0] > 0
        assert not found[..., 1:].any()

    def test_a_lower_jpeg_quality_loses_more(self, tile: Tile) -> None:
        fine, coarse = gap(recompressed(tile, 95), tile).mean(), gap(recompressed(tile, 20), tile).mean()
        assert 0 < fine < 2.5
        assert coarse > 1.5 * fine

    def test_compression_keeps_the_size_and_type(self, tile: Tile) -> None:
        assert (recompressed(tile, 50).shape, recompressed(tile, 50).dtype) == (tile.shape, np.uint8)
