"""A slide head finds the bags that hold carcinoma, by looking at the tiles that are carcinoma."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from cervix.bundle.head_contract import ATTENTION, EMBEDDINGS, POSITIONS, PROBABILITIES, require_sound_answers  # noqa: E402
from cervix.bundle.sessions import Arrays  # noqa: E402
from tests.bundle.made.tiles import SHIPPED_CLASSES  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.shared.declared import read_recipe  # noqa: E402
from training.slide.head.bags import (  # noqa: E402
    Bag,
    EmbeddedTiles,
    block_bags,
    blocks_of,
    drawn_bags,
    laboratories_of,
    usable_tiles,
)
from training.slide.head.graph import head_graph, run_head  # noqa: E402
from training.slide.head.recipe import FittedHead, Split, checked_scores, predictions_of, rule_table  # noqa: E402
from training.slide.head.weights import HeadWeights  # noqa: E402
from training.slide.slide_level import Calling, ScoredTiles  # noqa: E402

SIZE, SIGNAL = 8, 3
CALLING = Calling(SHIPPED_CLASSES, 0.5, 10.0)
BAGS = {"slides": 5, "sizes": [6, 12], "tiles_per_field": 3, "carcinoma_from": 0.3}
TRAIN = {
    "hidden": 4, "dropout": 0.0, "learning_rate": 0.02, "weight_decay": 0.0, "batch_size": 10, "epochs": 25, "patience": 25,
}  # fmt: skip
TILES_A_GROUP = 2


@pytest.fixture(scope="module")
def tiles() -> EmbeddedTiles:
    """Two laboratories with benign tissue and squamous carcinoma, one with benign tissue alone; other tissue in the first.

    Carcinoma differs in one number of eight, whose mean is 2 spreads higher.
    """
    rng = np.random.default_rng(1)
    cells = {
        ("north", "benign"): 12, ("north", "scc"): 12, ("north", "other"): 4, ("south", "benign"): 12, ("south", "scc"): 12,
        ("east", "benign"): 5,
    }  # fmt: skip
    named = [(lab, label, f"{lab}_{label}_{group}") for (lab, label), count in cells.items() for group in range(count)]
    rows = [row for row in named for _ in range(TILES_A_GROUP)]
    laboratory, labels, groups = (np.array(column) for column in zip(*rows, strict=True))
    embedding = rng.normal(size=(len(rows), SIZE)).astype(np.float32)
    embedding[labels == "scc", SIGNAL] += 4
    shares = np.select([labels[:, None] == item.id for item in SHIPPED_CLASSES], [np.eye(4)[at][None] for at in range(4)])
    return EmbeddedTiles(ScoredTiles(0.8 * shares + 0.05, np.ones(len(rows)), labels, groups, laboratory), embedding)


def weights(seed: int = 0) -> HeadWeights:
    """A head that nobody fitted."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (SIZE,), "spread": (SIZE,), "tanh_kernel": (SIZE, 4), "tanh_bias": (4,), "gate_kernel": (SIZE, 4),
        "gate_bias": (4,), "score_kernel": (4, 1), "answer_kernel": (SIZE, 1), "answer_bias": (1,),
    }  # fmt: skip
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return HeadWeights(**arrays | {"spread": np.ones(SIZE, np.float32)})


def slide(count: int, seed: int = 2) -> Arrays:
    rng = np.random.default_rng(seed)
    return {EMBEDDINGS: np.float32(rng.normal(size=(count, SIZE))), POSITIONS: np.float32(rng.uniform(0, 9000, (count, 2)))}


class TestBags:
    def test_are_of_laboratories_that_have_both_and_of_no_other_tissue(self, tiles: EmbeddedTiles) -> None:
        usable = usable_tiles(tiles, CALLING)
        assert set(tiles.scored.laboratory[usable]) == {"north", "south"}
        assert set(tiles.scored.labels[usable]) == {"benign", "scc"}

    def test_laboratories_are_told_by_how_groups_are_named(self) -> None:
        told = laboratories_of(np.array(["lung_1", "endo_2", "nobody_3"]), {"LC25000": ["lung_", "lc_"], "Sun": ["endo_"]})
        assert told.tolist() == ["LC25000", "Sun", ""]

    def test_hold_carcinoma_or_none_and_know_their_share(self, tiles: EmbeddedTiles) -> None:
        of = tiles.of(usable_tiles(tiles, CALLING))
        bags = drawn_bags(of, CALLING, BAGS, 3)
        assert len(bags) == 2 * 2 * BAGS["slides"]
        for bag in bags:
            carcinoma = of.scored.labels[bag.tiles] == "scc"
            assert carcinoma.any() == bag.cancerous
            assert bag.share == pytest.approx(carcinoma.mean())

    def test_are_made_of_accepted_tiles_and_there_is_none_without(self, tiles: EmbeddedTiles) -> None:
        of = tiles.of(usable_tiles(tiles, CALLING))
        strange = of.scored.labels == "benign"
        novelty = np.where(strange, CALLING.novelty_limit + 1, 1.0)
        far = replace(of, scored=replace(of.scored, novelty=novelty))
        bags = drawn_bags(far, CALLING, BAGS, 3)
        assert all(bag.cancerous for bag in bags)
        assert not any(strange[bag.tiles].any() for bag in bags)

    def test_of_two_blocks_share_no_source_group(self, tiles: EmbeddedTiles) -> None:
        of = tiles.of(usable_tiles(tiles, CALLING))
        assert len(np.unique(blocks_of(of, CALLING, 4, 5))) == 2 * 3
        bags = block_bags(of, CALLING, BAGS, 4, 5)
        owner: dict[str, str] = {}
        for bag in bags:
            for group in of.scored.groups[bag.tiles]:
                assert owner.setdefault(group, bag.block) == bag.block
        assert len({bag.block for bag in bags}) == 6


class TestGraph:
    def test_answers_as_the_weights_do_and_as_a_slide_head_must(self) -> None:
        graph = head_graph(weights(), 0.7)
        asked = slide(9)
        (told,) = run_head(graph, [asked])
        odds, attention = weights().log_odds(asked[EMBEDDINGS])
        assert told[PROBABILITIES][0, 1] == pytest.approx(1 / (1 + np.exp(-0.7 * odds)), abs=1e-6)
        assert told[ATTENTION] == pytest.approx(attention, abs=1e-6)
        require_sound_answers(lambda inputs: run_head(graph, [inputs])[0], asked, "the graph")

    def test_one_tile_gets_all_attention(self) -> None:
        (told,) = run_head(head_graph(weights(), 1.0), [slide(1)])
        assert told[ATTENTION].tolist() == [1.0]

    def test_an_empty_bag_is_refused(self) -> None:
        with pytest.raises(ValueError, match="without a tile"):
            weights().log_odds(slide(0)[EMBEDDINGS])

    def test_a_graph_that_differs_from_the_fit_is_refused(self, tiles: EmbeddedTiles) -> None:
        of = Split(tiles, [Bag(np.arange(5), True, 0.2, "north 1")])
        assert len(checked_scores(head_graph(weights(), 1.0), FittedHead(weights(), 1.0, 0.5), of)) == 1
        with pytest.raises(RuntimeError, match="differs from the fitted one"):
            checked_scores(head_graph(weights(1), 1.0), FittedHead(weights(), 1.0, 0.5), of)


def test_predictions_hold_the_rule_on_the_same_bags(tiles: EmbeddedTiles) -> None:
    of = Split(tiles, block_bags(tiles.of(usable_tiles(tiles, CALLING)), CALLING, BAGS, 4, 5))
    frame = predictions_of(of, CALLING, np.array([float(bag.cancerous) for bag in of.bags]))
    assert frame["share__p_carcinoma"].tolist() == pytest.approx([bag.share for bag in of.bags])
    assert set(frame["by_laboratory"]) == {"north", "south"}
    table = rule_table(frame, ["carcinoma"])
    assert table["AUROC"].str.startswith("1.000").sum() >= 2
    assert "60 pseudo-slides" in table["n"][0]
    assert "6 blocks" in table["n"][0]


def test_the_recipe_declares_a_whole_entry_and_its_card() -> None:
    recipe = read_recipe(RECIPES_DIR / "head.toml")
    assert set(recipe["card"]) >= {"workflow", "population", "safety_goal"}
    assert recipe["bags"]["sizes"][0] > 0


@pytest.mark.slow
def test_forty_bags_teach_it_where_to_look(tiles: EmbeddedTiles) -> None:
    from training.slide.head.network import fit_head

    of = tiles.of(usable_tiles(tiles, CALLING))
    settings: dict[str, Any] = BAGS | {"slides": 10}
    train, validation = (drawn_bags(of, CALLING, settings, seed) for seed in (1, 2))
    said: list[str] = []
    fitted = fit_head(of.embedding, train, validation, TRAIN, 7, said.append)
    right = [(fitted.log_odds(of.embedding[bag.tiles])[0] > 0) == bag.cancerous for bag in validation]
    assert np.mean(right) >= 0.9
    holding = [bag for bag in validation if bag.cancerous]
    looked = [fitted.log_odds(of.embedding[bag.tiles])[1][of.scored.labels[bag.tiles] == "scc"].sum() for bag in holding]
    share = np.mean([bag.share for bag in holding])
    assert np.mean(looked) > share, "more of it than there is carcinoma"
    assert "validation bags" in said[0]
    with pytest.raises(ValueError, match="all alike"):
        fit_head(of.embedding, [bag for bag in train if bag.cancerous], validation, TRAIN, 7, said.append)
