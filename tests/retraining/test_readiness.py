"""Labels are counted by class, and whether they suffice is one sentence."""

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.labels import LabelStore, open_store
from cervix.retraining import RECIPES, LabelCounts, count_labels, obstacle
from cervix.retraining.readiness import FEWEST, FEWEST_A_CLASS
from cervix.settings import PROJECT_ROOT
from tests.labels.making import TILES, adjudicate, filled, label

TITLES = {"benign": "Benign", "scc": "Squamous", "ac": "Adeno"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}") as opened:
        yield filled(opened)


def counted(store: LabelStore, since: datetime | None = None) -> LabelCounts:
    return count_labels(store.truths("tile"), "tile", TITLES, since or datetime.now(UTC))


def say(store: LabelStore, said: list[str]) -> None:
    for case, what in zip(TILES, said, strict=False):
        label(store, case, "Dr Reed", what)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "No tiles have a label that counts yet."),
        (["unsure", "unusable", "skip"], "No tiles have a label that counts yet."),
        (["scc", "scc", "scc"], "All 3 labelled tiles are “Squamous”: one class teaches no difference."),
        (
            ["scc", "ac", "benign"],
            "Too few labelled tiles: a run takes 10 with 3 of each of two classes, "
            "and there are 1 “Benign”, 1 “Squamous”, 1 “Adeno”.",
        ),
        (
            ["scc"] * 10 + ["ac"] * 2,
            "Too few labelled tiles: a run takes 10 with 3 of each of two classes, and there are 10 “Squamous”, 2 “Adeno”.",
        ),
        (["scc"] * 7 + ["ac"] * 3, ""),
    ],
    ids=["none", "no label", "one class", "three", "one of two classes", "enough"],
)
def test_why_a_model_cannot_be_retrained_is_said_in_a_sentence(store: LabelStore, said: list[str], why: str) -> None:
    say(store, said)
    assert counted(store).why_not == why


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_and_the_trainer_ask_for_the_same_number_of_labels(recipe: str) -> None:
    text = (PROJECT_ROOT / f"training/recipes/{recipe}.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["labels"] == {"at_least": FEWEST, "of_each_of_two_classes": FEWEST_A_CLASS}


def test_a_model_whose_bundle_carries_no_rehearsal_cannot_be_retrained_however_many_labels_there_are(
    store: LabelStore, bundle: Bundle
) -> None:
    say(store, ["scc"] * 7 + ["ac"] * 3)
    model = bundle.manifest.model("slide")
    assert obstacle(model, counted(store)) == ""
    assert "carries no rehearsal" in obstacle(model.model_copy(update={"rehearsal": None}), counted(store))


def test_classes_are_counted_in_the_order_of_the_store_with_their_slides(store: LabelStore) -> None:
    for case in (TILES[0], TILES[6], TILES[7]):
        label(store, case, "Dr Reed", "scc")
    label(store, TILES[1], "Dr Reed", "unsure")
    counts = counted(store)
    assert counts.by_class[["label", "cases", "groups"]].to_numpy().tolist() == [["benign", 0, 0], ["scc", 3, 2], ["ac", 0, 0]]
    assert counts.open_cases == 1


def test_only_what_was_settled_since_a_moment_is_new_also_when_a_label_was_changed_or_adjudicated(store: LabelStore) -> None:
    say(store, ["scc", "scc", "scc"])
    assert counted(store, datetime.now(UTC) - timedelta(hours=1)).by_class["new"].tolist() == [0, 3, 0]
    between = datetime.now(UTC)
    assert counted(store, between).by_class["new"].tolist() == [0, 0, 0]
    label(store, TILES[0], "Dr Reed", "ac")
    adjudicate(store, TILES[1], "benign")
    assert counted(store, between).by_class[["cases", "new"]].to_numpy().tolist() == [[1, 1], [1, 0], [1, 1]]
