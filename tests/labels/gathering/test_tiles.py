"""Tiles of a real scored slide become cases with the pixels, scores and embeddings of the model."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest

from cervix.bundle import Bundle
from cervix.errors import Cancelled
from cervix.labels import open_store
from cervix.labels.desk.acquisition import entropy
from cervix.labels.desk.queue import offered, queue
from cervix.labels.gathering.tiles import gather_tiles
from cervix.slides.scoring import SlideScore
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide


@pytest.fixture(scope="module")
def scored(phantom_slide: Path, phantom_score: SlideScore) -> tuple[Slide, SlideScore]:
    return open_slide(phantom_slide), phantom_score


def test_cases_hold_what_the_model_saw_and_said(scored: tuple[Slide, SlideScore], bundle: Bundle) -> None:
    slide, score = scored
    cases, scores = gather_tiles(slide, score, bundle, 6)
    assert len({case.id for case in cases}) == 6
    session = bundle.session_of("tile")
    again = session.run({"tiles": np.stack([case.picture for case in cases])})
    for place, (case, said) in enumerate(zip(cases, scores, strict=True)):
        tile = score.tiles[(score.tiles["x_l0_px"] == case.x_l0_px) & (score.tiles["y_l0_px"] == case.y_l0_px)].iloc[0]
        assert said.case_id == case.id
        assert said.probabilities == {label: pytest.approx(tile[f"p_{label}"]) for label in session.model.class_ids}
        np.testing.assert_allclose(list(said.probabilities.values()), again["probabilities"][place], atol=1e-4)
        assert said.embedding is not None
        np.testing.assert_allclose(said.embedding, again["embedding"][place], atol=1e-3)


def test_half_are_the_most_doubtful_and_half_are_drawn(scored: tuple[Slide, SlideScore], bundle: Bundle) -> None:
    slide, score = scored
    classes = bundle.session_of("tile").model.class_ids
    doubt = entropy(score.tiles[[f"p_{label}" for label in classes]].to_numpy(float))
    _, scores = gather_tiles(slide, score, bundle, 8)
    found = entropy(np.array([list(said.probabilities.values()) for said in scores]))
    assert (found >= np.sort(doubt)[-8] - 1e-6).sum() >= 4
    assert (found < np.sort(doubt)[-8] - 1e-6).any()


def test_more_than_there_are_gives_all_and_stopping_gives_none(scored: tuple[Slide, SlideScore], bundle: Bundle) -> None:
    slide, score = scored
    steps: list[tuple[int, int]] = []
    cases, _ = gather_tiles(slide, score, bundle, 1000, on_progress=lambda *step: steps.append(step))
    assert len(cases) == len(score.tiles) == steps[-1][0] == steps[-1][1]
    stop = Event()
    stop.set()
    with pytest.raises(Cancelled):
        gather_tiles(slide, score, bundle, 5, cancel=stop)


def test_gathered_tiles_are_kept_once_and_queued(scored: tuple[Slide, SlideScore], bundle: Bundle, tmp_path: Path) -> None:
    cases, scores = gather_tiles(*scored, bundle, 8)
    with open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}") as store:
        assert store.add_cases(cases) == 8
        assert store.add_cases(cases) == 0
        store.add_scores(scores)
        held = store.scores(bundle.sha256, "tile")
        assert "diverse" in offered(held)
        ranked = queue(held, [], "diverse", 8)
        assert set(ranked["case_id"]) == {case.id for case in cases}
        lease = store.lease_next(ranked["case_id"].to_list(), "Reader")
        assert lease is not None
        assert lease.case_id == ranked["case_id"].iloc[0]
