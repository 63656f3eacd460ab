"""Cases that an earlier bundle gathered are scored by the one at work, from what the store holds of them."""

from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest

from cervix.bundle import Bundle
from cervix.errors import Cancelled, LabelRefused
from cervix.labels import LabelEvent, LabelStore, open_store
from cervix.labels.gathering.rescoring import rescore
from cervix.labels.gathering.tiles import keep_cases
from cervix.labels.gathering.women import gather_patients
from cervix.labels.store.cases import PATIENT_LABELS, tile_case
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from cervix.slides.phantom import phantom_region

EARLIER = "e" * 64


@pytest.fixture
def store(url: str) -> Iterator[LabelStore]:
    """An empty one."""
    with open_store(url) as opened:
        yield opened


def test_women_get_the_scores_that_gathering_gave_them(store: LabelStore, bundle: Bundle) -> None:
    cases, scores = gather_patients(read_visits(sample_visits_csv(30).encode()), "a" * 64, bundle, 20)
    store.declare_classes("patient", PATIENT_LABELS)
    store.add_cases(cases)
    assert store.unscored(bundle.sha256, "patient") == sorted(case.id for case in cases)
    seen: list[tuple[int, int]] = []
    waiting = store.unscored(bundle.sha256, "patient")
    assert rescore(store, "patient", waiting, bundle, "ann", on_progress=lambda *step: seen.append(step)) == len(cases)
    assert seen[-1] == (len(cases), len(cases))
    found = store.scores(bundle.sha256, "patient").set_index("case_id")
    for score in scores:
        row = found.loc[score.case_id]
        assert row["probabilities"] == pytest.approx(dict(score.probabilities), abs=1e-6)
        assert np.allclose(row["embedding"], score.embedding, atol=1e-6)
        assert row["disagreement"] == pytest.approx(score.disagreement, abs=1e-9)
    assert store.unscored(bundle.sha256, "patient") == []
    assert store.unscored(EARLIER, "patient") == waiting
    assert store.audit_trail()["what"].iloc[0] == "score patients again"


def test_tiles_are_scored_from_their_pictures_and_a_stop_keeps_what_is_done(store: LabelStore, bundle: Bundle) -> None:
    tiles = [phantom_region(224, 224, seed=seed, tissue_share=0.9) for seed in range(20)]
    cases = [tile_case("f" * 64, 224 * number, 0, 224, 0.5, pixels) for number, pixels in enumerate(tiles)]
    keep_cases(store, "tile", ["benign", "scc", "ac"], (cases, []), "ann")
    stop = Event()
    with pytest.raises(Cancelled):
        rescore(
            store, "tile", store.unscored(bundle.sha256, "tile"), bundle, "ann",
            on_progress=lambda *_: stop.set(), cancel=stop,
        )  # fmt: skip
    left = store.unscored(bundle.sha256, "tile")
    assert 0 < len(left) < len(cases)
    rescore(store, "tile", left, bundle, "ann")
    found = store.scores(bundle.sha256, "tile").set_index("case_id")
    assert len(found) == len(cases)
    told = bundle.session_of("tile").run({"tiles": np.stack(tiles[:4])}, ["probabilities", "novelty"])
    for row, case in enumerate(cases[:4]):
        answers = [found.loc[case.id, "probabilities"][label] for label in bundle.session_of("tile").model.class_ids]
        assert answers == pytest.approx(told["probabilities"][row].tolist(), abs=1e-4)
        assert found.loc[case.id, "novelty"] == pytest.approx(float(told["novelty"][row]), abs=1e-2)


def test_a_bundle_with_one_class_more_lets_tiles_be_labelled_as_that_from_its_scores_on(
    store: LabelStore, bundle: Bundle
) -> None:
    case = tile_case("f" * 64, 0, 0, 224, 0.5, phantom_region(224, 224, seed=1))
    keep_cases(store, "tile", ["benign", "scc", "ac"], ([case], []), "ann")
    with pytest.raises(LabelRefused, match="There is no such class"):
        store.record(LabelEvent(case.id, "ann", "label", "other"))
    rescore(store, "tile", [case.id], bundle, "ann")
    assert store.classes("tile") == ["benign", "scc", "ac", "other"]
    store.record(LabelEvent(case.id, "ann", "label", "other"))
    assert store.truths("tile")["label"].tolist() == ["other"]


def test_tiles_of_another_size_than_the_model_reads_are_kept_and_not_scored(store: LabelStore, bundle: Bundle) -> None:
    case = tile_case("f" * 64, 0, 0, 256, 0.5, phantom_region(256, 256, seed=1))
    keep_cases(store, "tile", bundle.session_of("tile").model.class_ids, ([case], []), "ann")
    assert store.case(case.id).picture.shape == (256, 256, 3)
    with pytest.raises(LabelRefused, match="another size than the slide model reads: expected .* found 256 × 256 px"):
        rescore(store, "tile", [case.id], bundle, "ann")
