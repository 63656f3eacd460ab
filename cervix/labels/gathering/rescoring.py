"""Scores of the current bundle for cases that an earlier one scored: without them its queue does not hold these cases."""

from collections.abc import Callable, Sequence
from threading import Event

import numpy as np

from cervix.bundle import Bundle
from cervix.errors import Cancelled
from cervix.labels.gathering.tiles import TILES_AT_ONCE
from cervix.labels.gathering.women import score_women
from cervix.labels.store.cases import PATIENT_LABELS, Kind, Score, case_pixels
from cervix.labels.store.label_store import LabelStore

WOMEN_AT_ONCE = 200
OUTPUTS = ["probabilities", "embedding", "novelty"]


def rescore(
    store: LabelStore,
    kind: Kind,
    case_ids: Sequence[str],
    bundle: Bundle,
    who: str,
    *,
    declare: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: Event | None = None,
) -> int:
    """Score cases from what the store holds of them, and keep the scores batch by batch; returns how many.

    Cases can be labelled as whatever the bundle's model can answer, from then on: it may know a class more than the one before.
    Not so where it is not to ``declare`` them, as for a bundle that is only compared.

    What was kept before a stop stays. Tiles take as long as scoring them on a slide.

    Parameters
    ----------
    case_ids : ids, of one kind
        As ``LabelStore.unscored`` gives them.
    on_progress : (done, total) -> None

    Raises
    ------
    Cancelled
        If ``cancel`` was set.
    LabelRefused
        If a tile has another size than the bundle's model reads.
    LabelStoreUnavailable
        If the store does not answer.
    """
    if declare:
        store.declare_classes(kind, bundle.session_of("tile").model.class_ids if kind == "tile" else PATIENT_LABELS)
    at_once = TILES_AT_ONCE if kind == "tile" else WOMEN_AT_ONCE
    for at in range(0, len(case_ids), at_once):
        if cancel is not None and cancel.is_set():
            raise Cancelled("Scoring cases again was stopped")
        some = case_ids[at : at + at_once]
        store.add_scores(_tiles(store, some, bundle) if kind == "tile" else _women(store, some, bundle))
        if on_progress is not None:
            on_progress(at + len(some), len(case_ids))
    store.audit_append(who, f"score {kind}s again", bundle.label, {"cases": len(case_ids)})
    return len(case_ids)


def _tiles(store: LabelStore, case_ids: Sequence[str], bundle: Bundle) -> list[Score]:
    session = bundle.session_of("tile")
    told = session.run({"tiles": case_pixels(map(store.case, case_ids), session.model)}, OUTPUTS)
    probabilities, embedding, novelty = (np.asarray(told[name], np.float32) for name in OUTPUTS)
    return [
        Score(
            case,
            session.model.id,
            bundle.sha256,
            bundle.manifest.version,
            dict(zip(session.model.class_ids, probabilities[row].tolist(), strict=True)),
            embedding[row],
            float(novelty[row]),
        )
        for row, case in enumerate(case_ids)
    ]


def _women(store: LabelStore, case_ids: Sequence[str], bundle: Bundle) -> list[Score]:
    return score_women(case_ids, [store.case(case).content for case in case_ids], bundle)
