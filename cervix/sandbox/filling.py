"""Fill an empty home: cases, their scores, labels of the scripted readers, and the candidate that learned from them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cervix.bundle import Bundle
from cervix.errors import LabelRefused
from cervix.labels import LabelStore, Score, open_store
from cervix.labels.gathering.rescoring import rescore
from cervix.labels.store.cases import KINDS
from cervix.samples.slides import SAMPLES, sample_slide
from cervix.sandbox.readers import CLASSES, READER_A, READER_B, SLIDES, SampleTile, answers, sample_tiles
from cervix.settings import Settings
from cervix.slides.scoring import plan_slide
from cervix.sources.opening import open_slide

MADE_BY = "Sample trainer (made up)"
MADE = "Made up for a try: drawn tiles, scripted readers."

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Filled:
    """What lies in a home that was filled.

    Attributes
    ----------
    cases, labels, left : int
        Tiles in the store, answers of the two readers, and tiles that nobody has read.
    candidate : Path, optional
        Folder of the candidate; None where there is none.
    note : str
        Why there is none, in a sentence; empty otherwise.
    """

    cases: int
    labels: int
    left: int
    candidate: Path | None
    note: str


def fill(settings: Settings, bundle: Bundle, tell: Tell) -> Filled:
    """Fill a home with made-up labels of drawn tiles, and with the candidate that was retrained from them beforehand.

    The same again changes nothing. All of it says that it is made up: readers, comments and the audit trail.

    Parameters
    ----------
    settings : Settings
        Whose home is filled: of a sandbox, or any home without labels of others.
    bundle : Bundle
        The active one, which scores the tiles.
    tell : callable
        Gets a short sentence at the beginning of each step.

    Raises
    ------
    LabelRefused
        If the label store holds cases of somebody else, or the bundle's model lacks a class that the readers tell apart.
    LabelStoreUnavailable
        If the store does not answer.
    SlideNotReadable
        If a drawn slide cannot be read back.
    """
    _require_classes(bundle)
    tiles: list[SampleTile] = []
    for slide_id in SLIDES:
        sample = next(sample for sample in SAMPLES if sample.id == slide_id)
        tell(f"{sample.title}: drawing it, and cutting tiles")
        slide = open_slide(sample_slide(sample, settings))
        tiles += sample_tiles(slide_id, slide, plan_slide(slide, bundle))
    with open_store(settings.label_store_url) as store:
        _require_own(store, tiles)
        new = store.add_cases(tile.case for tile in tiles)
        tell(f"Scoring {len(tiles)} tiles")
        _score(store, bundle)
        tell("Two made-up readers label them")
        labels = answers(tiles, _scores(store, bundle))
        before = store.last_event_id()
        store.record_all(labels)
        if new or store.last_event_id() != before:
            detail = {"cases": len(tiles), "answers": len(labels), "readers": [READER_A, READER_B], "note": MADE}
            store.audit_append(MADE_BY, "fill with samples", bundle.label, detail)
    left = sum(not tile.said for tile in tiles)
    return Filled(len(tiles), len(labels), left, None, "No candidate ships with this bundle.")


def _require_classes(bundle: Bundle) -> None:
    known = bundle.session_of("tile").model.class_ids
    if not set(CLASSES) <= set(known):
        raise LabelRefused(
            "The sample readers tell classes apart that the active slide model does not have",
            expected=", ".join(CLASSES),
            found=", ".join(known),
            action="Roll back to the bundle that ships with the app.",
        )


def _require_own(store: LabelStore, tiles: list[SampleTile]) -> None:
    """Made-up labels never come among those of others."""
    there = set(store.cases()["source"])
    if there and not there & {tile.case.source for tile in tiles}:
        raise LabelRefused(
            "This home holds cases already, and made-up labels do not go among them",
            expected="a home without labels",
            found=f"cases of {len(there)} {KINDS['tile'].groups} or tables",
            action="Play the demo: it has a home of its own.",
        )


def _score(store: LabelStore, bundle: Bundle) -> None:
    if waiting := store.unscored(bundle.sha256, "tile"):
        rescore(store, "tile", waiting, bundle, MADE_BY)


def _scores(store: LabelStore, bundle: Bundle) -> dict[str, Score]:
    model_id = bundle.session_of("tile").model.id
    table = store.scores(bundle.sha256, "tile")
    return {
        str(case_id): Score(str(case_id), model_id, bundle.sha256, bundle.manifest.version, dict(probabilities))
        for case_id, probabilities in zip(table["case_id"].tolist(), table["probabilities"].tolist(), strict=True)
    }
