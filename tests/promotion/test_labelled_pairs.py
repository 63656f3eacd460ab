"""Two bundles meet on what readers labelled here, though they know other classes."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.bundle.manifest import BundleFile, Lineage, manifest_text
from cervix.labels import LabelStore, open_store
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
from tests.labels.making import label as say
from tests.labels.making import label_four_classes

EACH = 4
"""Tiles of each class of ``FOUR``, of as many slides."""


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, four_class_bundle: Bundle, two_class_bundle: Bundle
) -> Iterator[LabelStore]:
    """Tiles of the four classes, labelled rightly, scored by both bundles; two more are not, one of another scale."""
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('labels') / 'labels.sqlite'}") as opened:
        label_four_classes(opened, EACH)
        opened.declare_classes("tile", ["of-another-time"])
        healthy = tissue_of(centres_rgb(FOUR)[0], 224, 224)
        _labelled(opened, "of-another-time", healthy, 100, 0.5)
        ids = list(opened.cases("tile")["case_id"])
        for bundle in (four_class_bundle, two_class_bundle):
            rescore(opened, "tile", ids, bundle, "ann", declare=False)
        for place, spacing in ((200, 0.5), (300, 0.25)):
            _labelled(opened, "normal", healthy, place, spacing)
        yield opened


def _labelled(store: LabelStore, label: str, pixels: np.ndarray, place: int, spacing: float) -> None:
    case = tile_case("a" * 64, 224 * place, 0, 224, spacing, pixels)
    store.add_cases([case])
    say(store, case.id, "ann", label)


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


def test_cases_that_one_learned_from_are_counted_and_told_apart(
    store: LabelStore, four_class_bundle: Bundle, two_class_bundle: Bundle, two_class_root: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(two_class_root, tmp_path / "taught"))
    learned = store.truths("tile").query("label == 'normal'")["case_id"].head(3)
    pd.DataFrame({"case": learned.to_numpy()}).to_parquet(root / "new-cases.parquet")
    (root / "events.csv").write_text("key,label\n", encoding="utf-8")
    contents = {name: (root / name).read_bytes() for name in ("new-cases.parquet", "events.csv")}
    listed = [
        BundleFile(path=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    ]
    lineage = Lineage(
        parent="made 0.0.1", parent_sha256="0" * 64, seed=0, labels={"healthy": 3}, left_out={}, events="events.csv",
        events_sha256="0" * 64, new_cases="new-cases.parquet", folds_by="slide",
    )  # fmt: skip
    manifest = two_class_bundle.manifest
    taught = manifest.model_copy(
        update={
            "files": [*manifest.files, *listed],
            "models": [manifest.models[0].model_copy(update={"lineage": lineage})],
        }
    )
    (root / "manifest.json").write_text(manifest_text(taught), encoding="utf-8")
    found = labelled_pair(store, four_class_bundle, replace(two_class_bundle, root=root, manifest=taught), "tile")
    assert found.learned == (0, 3)
    assert found.pair is not None
    assert found.unseen is not None
    assert found.unseen.n == found.pair.n - 3
    assert "the candidate from 3: such cases favour whichever learned from them" in found.words


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
    assert shared_kinds(bundle.manifest, two_class_bundle.manifest) == ["tile"]
    model = bundle.manifest.first_of("sequence")
    assert cannot_share("patient", model, model) == ""
    asked = model.model_copy(update={"outcome": "CIN3+ within five years"})
    assert "Its outcome is another: “CIN3+ within five years”, not “What was drawn”." in cannot_share("patient", model, asked)
    later = model.model_copy(update={"derived_tasks": model.derived_tasks[1:]})
    assert "another question: “CIN3+ within 3 years”, not “CIN2+ within 3 years”" in cannot_share("patient", model, later)
    assert cannot_share("tile", model, asked) == ""
