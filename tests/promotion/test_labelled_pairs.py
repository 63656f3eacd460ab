"""Two bundles meet on what readers labelled here, though they know other classes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cervix.bundle import Bundle
from cervix.labels import LabelEvent, LabelStore, open_store
from cervix.labels.gathering.rescoring import rescore
from cervix.labels.store.cases import tile_case
from cervix.patients.golden import prove_bundle
from cervix.promotion.labelled_pairs import (
    NOT_SCORED,
    OTHER_MEANING,
    UNKNOWN_CLASS,
    LabelledPair,
    cannot_share,
    labelled_pair,
    shared_kinds,
    waiting_cases,
)
from tests.bundle.made import FOUR, class_of, write_tile_bundle
from tests.bundle.made.tiles import centres_rgb, tissue_of

EACH = 4
"""Tiles of each class of ``FOUR``, of as many slides."""


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, four_class_bundle: Bundle, two_class_bundle: Bundle
) -> Iterator[LabelStore]:
    """Tiles of the four classes, labelled rightly and scored by both bundles; two more are not, one of them of another scale."""
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('labels') / 'labels.sqlite'}") as opened:
        opened.declare_classes("tile", [*(item.id for item in FOUR), "of-another-time"])
        tiles = [(item.id, tissue_of(colour, 224, 224, seed=seed)) for item, colour in zip(FOUR, centres_rgb(FOUR), strict=True)
                 for seed in range(EACH)]  # fmt: skip
        tiles += [("of-another-time", tiles[0][1])]
        for place, (label, pixels) in enumerate(tiles):
            _labelled(opened, label, pixels, place, 0.5)
        ids = list(opened.cases("tile")["case_id"])
        for bundle in (four_class_bundle, two_class_bundle):
            rescore(opened, "tile", ids, bundle, "ann", declare=False)
        for place, spacing in enumerate((0.5, 0.25), len(tiles)):
            _labelled(opened, "normal", tiles[0][1], place, spacing)
        yield opened


def _labelled(store: LabelStore, label: str, pixels: np.ndarray, place: int, spacing: float) -> None:
    slide = hashlib.sha256(f"{place % EACH}".encode()).hexdigest()
    case = tile_case(slide, 224 * place, 0, 224, spacing, pixels)
    store.add_cases([case])
    store.record(LabelEvent(case.id, "ann", "label", label))


@pytest.fixture(scope="module")
def found(store: LabelStore, four_class_bundle: Bundle, two_class_bundle: Bundle) -> LabelledPair:
    return labelled_pair(store, four_class_bundle, two_class_bundle, "tile")


def test_models_of_other_classes_are_asked_whether_it_is_malignant(found: LabelledPair) -> None:
    assert found.pair is not None
    assert (found.question, found.pair.n, found.pair.active.groups) == ("Malignant or not", 4 * EACH, EACH)
    assert found.pair.active.positives == 2 * EACH, "invasive carcinoma, squamous and glandular, by the roles of the active one"
    # The candidate calls dysplasia a tumour, which is none, and takes both carcinomas for healthy.
    assert (found.pair.active.metrics["recall"].value, found.pair.candidate.metrics["recall"].value) == (1.0, 0.0)
    assert (found.pair.active.metrics["specificity"].value, found.pair.candidate.metrics["specificity"].value) == (1.0, 0.5)
    assert found.pair.differences["recall"].value == -1.0
    assert found.pair.only_active_right == 3 * EACH


def test_what_is_left_out_or_not_recognised_is_counted(found: LabelledPair) -> None:
    assert found.left_out == {OTHER_MEANING: 0, UNKNOWN_CLASS: 1, NOT_SCORED: 2}
    assert found.unrecognised == (0, 2 * EACH), "the candidate never saw the colours of the carcinomas"
    assert "1 tiles left out: neither bundle knows the class." in found.words
    assert f"the candidate {2 * EACH}; their scores are counted all the same" in found.words
    assert found.learned == (0, 0)


def test_a_class_that_means_another_thing_to_each_decides_nothing(
    store: LabelStore, four_class_bundle: Bundle, tmp_path: Path
) -> None:
    turned = [item if item.id != "dysplasia" else class_of("dysplasia", role="malignant", colour="#E69F00") for item in FOUR]
    other = prove_bundle(write_tile_bundle(tmp_path / "turned", turned), device="cpu")
    found = labelled_pair(store, four_class_bundle, other, "tile")
    assert found.left_out[OTHER_MEANING] == EACH
    assert found.pair is None, "it has scored nothing yet"
    assert "no labelled case in common" in found.problem


def test_a_bundle_is_not_offered_tiles_of_another_scale(store: LabelStore, two_class_bundle: Bundle) -> None:
    waiting, unfit = waiting_cases(store, two_class_bundle, "tile")
    assert (len(waiting), unfit) == (1, 1)


def test_scoring_for_a_comparison_declares_no_class_to_readers(store: LabelStore) -> None:
    assert set(store.classes("tile")) == {*(item.id for item in FOUR), "of-another-time"}


def test_kinds_that_only_one_has_and_other_questions_are_not_compared(bundle: Bundle, two_class_bundle: Bundle) -> None:
    assert shared_kinds(bundle, two_class_bundle) == ["tile"]
    model = bundle.manifest.first_of("sequence")
    assert cannot_share("patient", model, model) == ""
    asked = model.model_copy(update={"outcome": "CIN3+ within five years"})
    assert "They answer other questions" in cannot_share("patient", model, asked)
    assert cannot_share("tile", model, asked) == ""
