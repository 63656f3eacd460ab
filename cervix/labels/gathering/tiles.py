"""From a scored slide to cases that readers can label: which tiles, their pixels, scores and embeddings."""

from collections.abc import Callable, Sequence
from threading import Event

import numpy as np
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.errors import Cancelled
from cervix.labels.desk.acquisition import PoolView, by_entropy, with_controls
from cervix.labels.store.cases import Case, Kind, Score, tile_case
from cervix.labels.store.label_store import LabelStore
from cervix.slides.decision import tile_probabilities
from cervix.slides.embedding import embeddings_of, tile_pixels
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide

TILES_AT_ONCE = 16
# The store should hold more than what the model doubts, or neither a control nor another strategy has anything to draw from.
DRAWN_SHARE = 0.5


def gather_tiles(
    slide: Slide,
    score: SlideScore,
    bundle: Bundle,
    count: int,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: Event | None = None,
) -> tuple[list[Case], list[Score]]:
    """Make cases of at most ``count`` tiles: half those that the model doubts most, half drawn at random from the rest.

    Tiles of which the model gave no numbers, as those that could not be read when the slide was scored, are none. Nothing is
    stored. The scores are those of ``score``; embeddings are computed here, which takes as long as scoring.

    Parameters
    ----------
    bundle : Bundle
        The one that made the score.
    on_progress : (done, total) -> None

    Raises
    ------
    SlideNotReadable
        If the file is gone or damaged.
    Cancelled
        If ``cancel`` was set.
    """
    session = bundle.session_of("tile")
    told = tile_probabilities(score.tiles, session.model).astype(np.float64)
    scored = np.flatnonzero(np.isfinite(told).all(axis=1) & np.isfinite(score.tiles["novelty"].to_numpy(np.float64)))
    places = scored[doubted_and_drawn(told[scored], count, seed)]
    cases: list[Case] = []
    scores: list[Score] = []
    for at in range(0, len(places), TILES_AT_ONCE):
        if cancel is not None and cancel.is_set():
            raise Cancelled("Gathering tiles was stopped")
        some = places[at : at + TILES_AT_ONCE]
        pixels = tile_pixels(slide, score, session, some)
        for place, tile, embedding in zip(some, pixels, embeddings_of(pixels, session), strict=True):
            row = score.tiles.iloc[place]
            case = tile_case(
                slide.sha256,
                int(row["x_l0_px"]),
                int(row["y_l0_px"]),
                int(row["size_l0_px"]),
                score.summary.effective_spacing_um_px,
                tile,
                score.summary.plane,
            )
            cases.append(case)
            scores.append(
                Score(
                    case.id,
                    session.model.id,
                    bundle.sha256,
                    bundle.manifest.version,
                    {label: float(row[f"p_{label}"]) for label in session.model.class_ids},
                    embedding,
                    float(row["novelty"]),
                )
            )
        if on_progress is not None:
            on_progress(len(cases), len(places))
    return cases, scores


def keep_cases(
    store: LabelStore, kind: Kind, classes: Sequence[str], gathered: tuple[list[Case], list[Score]], who: str
) -> int:
    """Put gathered cases and their scores into the store, with what they can be labelled as; returns how many were new.

    Raises
    ------
    LabelStoreUnavailable
        If the store does not answer; the same again adds nothing twice but a score.
    """
    cases, scores = gathered
    store.declare_classes(kind, classes)
    new = store.add_cases(cases)
    store.add_scores(scores)
    sources = sorted({case.source for case in cases})
    store.audit_append(who, f"gather {kind}s", " ".join(sources), {"cases": len(cases), "new": new})
    return new


def doubted_and_drawn(probabilities: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """At most ``count`` rows of probabilities ``(n, classes)``: half with the widest spread, half drawn from the rest."""
    everything = np.arange(len(probabilities))
    view = PoolView(
        probabilities=probabilities,
        passes=lambda: probabilities[None],
        state=np.empty((len(everything), 0)),
        abnormal=np.zeros(len(everything), bool),
        labelled=np.empty(0, np.int64),
        open=everything,
        candidates=1,
    )
    rng = np.random.default_rng(seed)
    count = min(count, len(everything))
    return with_controls(by_entropy(view, count, rng), view, count, DRAWN_SHARE, rng)[0]
