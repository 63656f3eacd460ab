"""The slide rule is fitted on slides that are put together as slides are, and promises no more than they show."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import SlideRule
from cervix.intervals import wilson_interval
from tests.bundle.made import SHIPPED_CLASSES
from training.slide.slide_level import (
    BY_CLUSTERS,
    PRESENT,
    SHIPPED,
    STRANGE,
    TOUCHING,
    Calling,
    ScoredTiles,
    design_effect,
    false_positives,
    fit_and_compare,
    intraclass_correlation,
    largest_cluster,
    pseudo_slides,
    with_new_head,
)

CLASSES: tuple[ClassInfo, ...] = SHIPPED_CLASSES
CALLING = Calling(CLASSES, called_at=0.5, novelty_limit=10.0)
SETTINGS: dict[str, Any] = {
    "slides": 12, "sizes": [8, 120], "tiles_per_field": 6, "carcinoma_from": 0.05, "strange_slides": 0.25, "strange_up_to": 0.6,
    "goals": {"benign_called": 0.02, "cancer_cleared": 0.02, "other_answered": 0.02}, "minimum_tiles": [8, 16],
    "novel_share_limit": [0.5, 0.7, 0.9], "missed_share_limit": [0.1, 0.3, 0.5],
}  # fmt: skip
ROWS = {"benign": (0.97, 0.01, 0.01, 0.01), "scc": (0.02, 0.9, 0.05, 0.03), "ac": (0.02, 0.05, 0.9, 0.03)}
ROWS |= {"other": (0.1, 0.1, 0.1, 0.7), STRANGE: (0.25, 0.25, 0.25, 0.25)}
CELLS = {("A", "benign"): 30, ("A", "scc"): 20, ("B", "benign"): 20, ("B", "ac"): 20, ("C", "ac"): 15, ("D", "other"): 15}


def scored(
    cells: Mapping[tuple[str, str], int] = CELLS, *, called: Mapping[str, float] | None = None, seed: int = 0, each: int = 3
) -> ScoredTiles:
    """Tiles of so many groups of each laboratory and class; ``called`` is the share of benign groups called carcinoma."""
    rng = np.random.default_rng(seed)
    names = [(lab, name, f"{lab}-{name}-{at}") for (lab, name), count in cells.items() for at in range(count)]
    names += [(STRANGE, STRANGE, f"picture-{at}") for at in range(5)]
    shown = ["scc" if name == "benign" and rng.random() < (called or {}).get(lab, 0) else name for lab, name, _ in names]
    novelty = np.array([20.0 if name in ("other", STRANGE) else 1.0 for _, name, _ in names])
    columns = [np.repeat(np.array(column), each) for column in zip(*names, strict=True)]
    return ScoredTiles(
        np.repeat([ROWS[name] for name in shown], each, axis=0), np.repeat(novelty, each), columns[1], columns[2], columns[0]
    )


def fields_of(tiles: NDArray[np.str_]) -> list[str]:
    """Groups in the order in which they begin."""
    return [str(tiles[0]), *(str(later) for earlier, later in pairwise(tiles) if earlier != later)]


class TestPseudoSlides:
    def test_there_are_equally_many_of_every_class_of_every_laboratory_and_none_of_pictures(self) -> None:
        made = pseudo_slides(scored(), CALLING, SETTINGS, 1)
        kinds, counts = np.unique([f"{slide.laboratory} {slide.of_class}" for slide in made], return_counts=True)
        assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {f"{lab} {name}": 12 for lab, name in CELLS}

    def test_a_slide_is_of_one_laboratory_and_carcinoma_lies_among_its_own_benign_tissue(self) -> None:
        tiles = scored()
        for slide in pseudo_slides(tiles, CALLING, SETTINGS, 1):
            assert 8 <= len(slide.tiles) <= 120
            assert set(tiles.laboratory[slide.tiles]) <= {slide.laboratory, STRANGE}
            beside = {"benign"} if slide.of_class in ("scc", "ac") and slide.laboratory != "C" else set()
            assert slide.of_class in set(tiles.labels[slide.tiles])
            assert set(tiles.labels[slide.tiles]) <= {slide.of_class, STRANGE} | beside

    def test_some_slides_have_pictures_among_their_tiles_and_those_of_other_tissue_none(self) -> None:
        tiles = scored()
        made = pseudo_slides(tiles, CALLING, SETTINGS | {"slides": 60}, 1)
        odd = {name: [] for name in ROWS}  # type: ignore[var-annotated]
        for slide in made:
            odd[slide.of_class].append(float((tiles.labels[slide.tiles] == STRANGE).mean()))
        assert 0.1 < np.mean(np.array(odd["benign"]) > 0) < 0.4
        assert 0.3 < max(odd["benign"]) <= 0.6
        assert max(odd["other"]) == 0

    def test_tiles_lie_in_fields_of_one_group_with_repetition(self) -> None:
        tiles = scored({("A", "benign"): 10}, each=2)
        slide = max(pseudo_slides(tiles, CALLING, SETTINGS | {"strange_slides": 0}, 1), key=lambda one: len(one.tiles))
        groups = tiles.groups[slide.tiles]
        assert len(set(fields_of(groups)[:10])) == 10, "no group comes twice while there are others"
        assert len(fields_of(groups)) == pytest.approx(len(groups) / 6, abs=1)
        assert len(set(slide.tiles.tolist())) < len(slide.tiles)

    def test_the_same_seed_makes_the_same_slides_and_another_makes_others(self) -> None:
        first, again, other = (pseudo_slides(scored(), CALLING, SETTINGS, seed) for seed in (1, 1, 2))
        assert all(np.array_equal(one.tiles, two.tiles) for one, two in zip(first, again, strict=True))
        assert not all(np.array_equal(one.tiles, two.tiles) for one, two in zip(first, other, strict=True))


class TestDesignEffect:
    def test_the_correlation_of_groups_is_found_again(self) -> None:
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(400), 4)
        values = rng.normal(0, 1, 400)[groups] + rng.normal(0, np.sqrt(3), 1600)
        cells = np.repeat(["A", "B"], 800)
        assert intraclass_correlation(values, cells, groups.astype(str)) == pytest.approx(0.25, abs=0.05)
        shifted = values + 10.0 * (cells == "B")
        assert intraclass_correlation(shifted, cells, groups.astype(str)) == pytest.approx(0.25, abs=0.05)

    def test_tiles_that_have_nothing_in_common_count_each_and_groups_of_one_tell_nothing(self) -> None:
        values = np.random.default_rng(0).normal(size=600)
        cells = np.full(600, "A")
        assert intraclass_correlation(values, cells, np.repeat(np.arange(300), 2).astype(str)) < 0.1
        assert intraclass_correlation(values, cells, np.arange(600).astype(str)) == 0.0
        assert intraclass_correlation(np.ones(600), cells, np.repeat(np.arange(300), 2).astype(str)) == 0.0

    def test_copies_of_one_tile_count_as_one(self) -> None:
        assert design_effect(scored(called={"A": 0.3}), CALLING, 6) == pytest.approx(6)


class TestFalsePositives:
    def test_the_laboratory_where_they_can_be_ruled_out_least_decides(self) -> None:
        groups = np.array([f"g{at}" for at in range(60)])
        laboratory = np.repeat(["A", "B", "few"], [40, 15, 5])
        called = np.arange(60) >= 55  # all of the five of the last one, which are too few to have a figure
        found = false_positives(called, np.ones(60, bool), groups, laboratory)
        assert found == (wilson_interval(0, 15, confidence=TOUCHING).high, 0.0, 15, "B")
        called[:8] = True
        found = false_positives(called, np.ones(60, bool), groups, laboratory)
        assert found == (wilson_interval(8, 40, confidence=TOUCHING).high, 0.2, 40, "A")

    def test_a_group_counts_once_however_many_tiles_it_has(self) -> None:
        groups = np.array(["one"] * 90 + [f"g{at}" for at in range(10)])
        found = false_positives(groups == "one", np.ones(100, bool), groups, np.full(100, "A"))
        assert (found.share, found.groups) == (pytest.approx(1 / 11), 11)

    def test_tiles_that_are_not_benign_are_no_false_positives(self) -> None:
        groups, benign = np.arange(40).astype(str), np.arange(40) < 20
        assert false_positives(~benign, benign, groups, np.full(40, "A")).share == 0

    def test_laboratories_of_few_groups_are_taken_as_one(self) -> None:
        groups, laboratory = np.arange(16).astype(str), np.repeat(["A", "B"], 8)
        assert false_positives(groups == "0", np.ones(16, bool), groups, laboratory)[1:] == (1 / 16, 16, "all")


@pytest.mark.parametrize(
    ("called", "size"),
    [([0, 0, 0], 0), ([1, 1, 0, 1], 3), ([1, 0, 1, 0, 1, 0, 1, 0, 1], 1), ([0, 1, 0, 0, 1, 0, 0, 1, 0], 3)],
)
def test_clusters_lie_on_a_square_to_and_fro(called: list[int], size: int) -> None:
    assert largest_cluster(np.array(called, bool)) == size


class TestTheFit:
    def test_good_answers_are_called_and_cleared_and_other_tissue_is_refused(self) -> None:
        rule, table = fit_and_compare(scored(), {"here": scored(seed=1)}, CALLING, SETTINGS, 1)
        shipped = table[(table["rule"] == SHIPPED) & (table["pseudo-slides of"] == "here")].iloc[0]
        assert shipped["right or refused"].startswith("100.0 %")
        assert shipped["benign called cancer"].startswith("0.0 %")
        assert shipped["other tissue answered"].startswith("0.0 %")
        assert float(shipped["answered"].split()[0]) > 60
        assert shipped["n"].startswith("72 slides")
        assert rule.false_positive_share == wilson_interval(0, 20, confidence=TOUCHING).high
        assert rule.share_of == "read"
        assert "20 source groups of B, the laboratory with the highest" in rule.chosen_by

    def test_every_rule_is_compared_in_every_world_and_the_last_world_laboratory_by_laboratory(self) -> None:
        worlds = {"here": scored(seed=1), "elsewhere": scored(called={"B": 0.9}, seed=2)}
        _, table = fit_and_compare(scored(), worlds, CALLING, SETTINGS, 1)
        assert table["pseudo-slides of"].tolist()[:10] == ["here"] * 5 + ["elsewhere"] * 5
        assert table["rule"].tolist()[0] == PRESENT
        assert table["rule"].tolist()[4] == BY_CLUSTERS
        assert table["pseudo-slides of"].tolist()[10] == "elsewhere: B", "the most wrong first"
        assert sorted(table["pseudo-slides of"][10:]) == [f"elsewhere: {name}" for name in "ABCD"]

    def test_more_false_positives_in_one_laboratory_make_the_rule_stricter(self) -> None:
        good, bad = (
            fit_and_compare(tiles, {"here": scored(seed=1)}, CALLING, SETTINGS, 1)[0]
            for tiles in (scored(), scored(called={"B": 0.3}))
        )
        assert bad.false_positive_share > good.false_positive_share + 0.1
        assert bad.design_effect > good.design_effect >= 1

    def test_where_nothing_is_good_enough_the_strictest_is_taken_and_said_so(self) -> None:
        hopeless = scored({**CELLS, ("E", "other"): 30})
        hopeless.novelty[hopeless.laboratory == "E"] = 1.0
        hopeless.probabilities[hopeless.laboratory == "E"] = ROWS["scc"]
        rule, _ = fit_and_compare(hopeless, {"here": scored(seed=1)}, CALLING, SETTINGS, 1)
        assert (rule.novel_share_limit, rule.missed_share_limit, rule.minimum_tiles) == (0.5, 0.1, 16)
        assert "no setting was good enough" in rule.chosen_by


def test_a_new_head_makes_the_rule_stricter_or_leaves_it() -> None:
    rule = SlideRule(minimum_tiles=8, false_positive_share=0.2, novel_share_limit=0.5, chosen_by="Judged.")
    same, worse = (with_new_head(rule, scored(called=called), CALLING) for called in ({}, {"A": 0.5, "B": 0.5}))
    assert same.false_positive_share == 0.2
    assert worse.false_positive_share > 0.4
    assert worse.minimum_tiles == 8
    assert worse.chosen_by.startswith("Judged. After the head had learned from labels")
