"""Two bundles' scores of one slide are laid on one raster: areas and shares that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.slides.agreement import (
    CELL_UM,
    KINDS,
    MALIGNANT,
    NO_ANSWER,
    NOT_MALIGNANT,
    NOT_SCORED,
    Agreement,
    Raster,
    compare_scores,
    tile_states,
)
from cervix.slides.deepzoom import WorldMap
from cervix.slides.grid import TileLattice
from cervix.slides.layers import agreement_layer
from cervix.slides.scoring import SlideScore, score_slide
from cervix.slides.tissue import whole_area
from cervix.sources.opening import open_slide

BAND_MM2 = 2 * 5 * (224 * 0.5 / 1000) ** 2
"""Each class of the slide has a band of 2 x 5 tiles."""


def tiles_at(corners: list[tuple[int, int]], size: int) -> pd.DataFrame:
    return pd.DataFrame([{"x_l0_px": x, "y_l0_px": y, "size_l0_px": size} for x, y in corners])


class TestRaster:
    def test_squares_end_at_the_border_and_their_areas_add_up(self) -> None:
        raster = Raster((10, 20, 100, 50), 32.0, 0.5)
        assert raster.edges(0).tolist() == [10, 42, 74, 106, 110]
        assert raster.edges(1).tolist() == [20, 52, 70]
        assert raster.cell_mm2.shape == (2, 4)
        assert raster.cell_mm2.sum() == pytest.approx(0.050 * 0.025)
        assert raster.cell_mm2[0, 0] == pytest.approx(0.016**2)

    def test_a_square_has_the_value_of_the_tile_that_holds_its_middle(self) -> None:
        raster = Raster((0, 0, 100, 50), 25.0, 1.0)
        tiles = tiles_at([(0, 0), (50, 0)], 50)
        laid = raster.laid_on(np.array([MALIGNANT, NO_ANSWER]), tiles, TileLattice(0, 0, 100, 50, 50), none=NOT_SCORED)
        assert laid.tolist() == [[MALIGNANT, MALIGNANT, NO_ANSWER, NO_ANSWER]] * 2

    def test_a_tile_moved_in_from_the_border_has_only_what_no_tile_before_it_holds(self) -> None:
        raster = Raster((0, 0, 70, 50), 10.0, 1.0)
        laid = raster.laid_on(
            np.array([MALIGNANT, NOT_MALIGNANT]),
            tiles_at([(0, 0), (20, 0)], 50),
            TileLattice(0, 0, 70, 50, 50),
            none=NOT_SCORED,
        )
        assert laid[0].tolist() == [MALIGNANT] * 5 + [NOT_MALIGNANT] * 2

    def test_grids_of_other_sizes_meet_on_it(self) -> None:
        raster, lattice = Raster((0, 0, 120, 120), 20.0, 1.0), TileLattice(0, 0, 120, 120, 60)
        coarse = raster.laid_on(np.array([MALIGNANT]), tiles_at([(0, 0)], 60), lattice, none=NOT_SCORED)
        fine = raster.laid_on(np.array([MALIGNANT]), tiles_at([(40, 0)], 40), TileLattice(0, 0, 120, 120, 40), none=NOT_SCORED)
        assert (coarse != NOT_SCORED).sum() == 9
        assert (fine != NOT_SCORED).sum() == 4
        assert ((coarse != NOT_SCORED) & (fine != NOT_SCORED)).sum() == 2, "one column of two squares is in both"


class TestFigures:
    AREA = np.zeros((4, 4))
    AREA[MALIGNANT, MALIGNANT], AREA[NOT_MALIGNANT, NOT_MALIGNANT] = 2.0, 5.0
    AREA[MALIGNANT, NOT_MALIGNANT], AREA[NOT_MALIGNANT, MALIGNANT] = 1.0, 2.0
    AREA[NO_ANSWER, MALIGNANT], AREA[NOT_MALIGNANT, NO_ANSWER], AREA[NO_ANSWER, NO_ANSWER] = 4.0, 8.0, 16.0
    AREA[NOT_SCORED, MALIGNANT] = 32.0

    def made(self, same_class_mm2: float | None = None) -> Agreement:
        squares = np.zeros((1, 1), np.int8)
        return Agreement(Raster((0, 0, 1, 1), 1.0, 1.0), (squares, squares), self.AREA, (40, 40), 20.0, same_class_mm2)

    def test_the_share_is_of_the_tissue_on_which_both_answer(self) -> None:
        agreement = self.made()
        assert agreement.both_answer_mm2 == 10.0
        assert agreement.same_role is not None
        # Wilson at 14 of 20: (0.7 + 0.09604 ± 1.96 sqrt(0.7 * 0.3 / 20 + 0.0024009)) / 1.19207
        assert agreement.same_role == pytest.approx((0.7, 0.4810, 0.8545), abs=1e-4)
        assert agreement.same_class is None
        assert self.made(4.0).same_class == pytest.approx((0.4, 0.2188, 0.6134), abs=1e-4)

    def test_every_kind_has_its_area_and_every_pair_of_states_one_kind(self) -> None:
        areas = {kind.id: self.made().of_kind(kind) for kind in KINDS}
        assert areas == {
            "both-malignant": 2.0, "both-not": 5.0, "only-a": 1.0, "only-b": 2.0, "malignant-or-silent": 4.0,
            "not-or-silent": 8.0, "both-silent": 16.0, "one-scored": 32.0,
        }  # fmt: skip
        pairs = [pair for kind in KINDS for pair in kind.states]
        assert len(pairs) == len(set(pairs)) == 4 * 4 - 1
        assert self.made().facts["area_mm2"] == areas

    def test_without_tissue_on_which_both_answer_there_is_no_share(self) -> None:
        squares = np.zeros((1, 1), np.int8)
        nothing = Agreement(Raster((0, 0, 1, 1), 1.0, 1.0), (squares, squares), np.zeros((4, 4)), (1, 1), 0.0, 0.0)
        assert (nothing.same_role, nothing.same_class) == (None, None)


class TestTwoBundles:
    @pytest.fixture(scope="class")
    def scores(self, four_class_slide: Path, four_class_bundle: Bundle, two_class_bundle: Bundle) -> list[SlideScore]:
        slide = open_slide(four_class_slide)
        return [score_slide(slide, bundle) for bundle in (four_class_bundle, two_class_bundle)]

    @pytest.fixture(scope="class")
    def agreement(
        self, scores: list[SlideScore], four_class_slide: Path, four_class_bundle: Bundle, two_class_bundle: Bundle
    ) -> Agreement:
        models = [bundle.session_of("tile").model for bundle in (four_class_bundle, two_class_bundle)]
        sides = list(zip(scores, models, strict=True))
        return compare_scores(sides[0], sides[1], whole_area(open_slide(four_class_slide)))

    def test_bundles_of_other_classes_are_compared_by_what_they_mean(self, agreement: Agreement) -> None:
        areas = {kind.id: agreement.of_kind(kind) for kind in KINDS if agreement.of_kind(kind) > 0}
        # Normal: both benign. Dysplasia, which A does not call malignant, is tumour to B. B knows nothing of the other bands.
        assert areas == pytest.approx({"both-not": BAND_MM2, "only-b": BAND_MM2, "malignant-or-silent": 2 * BAND_MM2}, rel=0.02)
        assert agreement.same_role is not None
        assert agreement.same_role.value == pytest.approx(0.5, abs=0.02)
        assert agreement.independent == pytest.approx(20, rel=0.02)
        assert agreement.same_class is None, "their classes are others"

    def test_a_bundle_agrees_with_itself_in_role_and_class(
        self, scores: list[SlideScore], four_class_slide: Path, four_class_bundle: Bundle
    ) -> None:
        side = (scores[0], four_class_bundle.session_of("tile").model)
        agreement = compare_scores(side, side, whole_area(open_slide(four_class_slide)))
        assert agreement.same_role is not None
        assert agreement.same_class is not None
        assert (agreement.same_role.value, agreement.same_class.value) == pytest.approx((1.0, 1.0))

    def test_a_slide_without_an_answer_has_none_anywhere_and_an_unread_tile_is_not_scored(
        self, scores: list[SlideScore], two_class_bundle: Bundle
    ) -> None:
        model, tiles = two_class_bundle.session_of("tile").model, scores[1].tiles.copy()
        tiles.loc[0, [name for name in tiles if str(name).startswith("p_")] + ["novelty"]] = np.nan
        assert tile_states(tiles, model)[0] == NOT_SCORED
        strange = tiles.assign(novelty=1e6)
        assert set(tile_states(strange.iloc[1:], model)) == {NO_ANSWER}

    def test_scores_of_two_slides_are_not_compared(
        self, scores: list[SlideScore], four_class_slide: Path, four_class_bundle: Bundle
    ) -> None:
        model = four_class_bundle.session_of("tile").model
        other = scores[0].summary.model_copy(update={"slide_sha256": "0" * 64})
        stranger = SlideScore(scores[0].tiles, other, scores[0].rows)
        with pytest.raises(ValueError, match="other slides"):
            compare_scores((scores[0], model), (stranger, model), whole_area(open_slide(four_class_slide)))

    def test_the_layer_shows_each_kind_in_its_colour(self, agreement: Agreement, scores: list[SlideScore]) -> None:
        summary = scores[0].summary
        layer = agreement_layer(agreement, "v")
        assert layer.cell_l0_px == CELL_UM / summary.spacing_um_px
        world = WorldMap(summary.width_l0_px, summary.height_l0_px)
        drawn = np.asarray(layer._drawn(world, world.max_zoom, *(edge // 256 for edge in world.origin_px)))
        assert tuple(drawn[128, 128]) == (0x00, 0x72, 0xB2, 215), "the left band: both say not malignant"
