"""Fill an empty home: cases, their scores, labels of the scripted readers, and the candidate that learned from them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cervix.bundle import Bundle
from cervix.errors import BundleError, LabelRefused
from cervix.intake.shelf import THUMBNAIL_PX, remember, seen_slide
from cervix.labels import LabelStore, Score, open_store
from cervix.labels.gathering.rescoring import rescore
from cervix.own_process import LOG_NAME
from cervix.retraining.command import order_of
from cervix.retraining.log import read_log
from cervix.retraining.runs import Run, read_run, write_run
from cervix.samples.slides import SAMPLES, sample_slide
from cervix.sandbox.candidate import SampleCandidate, candidate_of, sample_candidate, shipped_scores
from cervix.sandbox.readers import CLASSES, READER_A, READER_B, SLIDES, SampleTile, answers, sample_tiles
from cervix.settings import Settings
from cervix.slides.scoring import plan_slide
from cervix.sources.opening import open_slide

MADE_BY = "Sample trainer (made up)"
FILL = "fill with samples"
MADE = "Made up for a try: drawn tiles, scripted readers."
CANDIDATE_FOLDER = "sample-candidate"
"""Its name under ``Settings.bundles_dir``."""
CUT, SCORED, LABELLED = 0.3, 0.5, 0.6
"""Share of the filling after its steps, where the package holds the scores."""

Tell = Callable[[float, str], object]
"""Told the share of the filling that is done, 0 to 1, and what comes now, in words."""


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
        Gets the share that is done and a short sentence at the beginning of each step, from whatever thread called this.

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
    with open_store(settings.label_store_url) as store:
        _begin(store, bundle)
        tiles: list[SampleTile] = []
        for place, slide_id in enumerate(SLIDES):
            sample = next(sample for sample in SAMPLES if sample.id == slide_id)
            tell(place / len(SLIDES) * CUT, f"{sample.title}: cutting tiles")
            slide = open_slide(sample_slide(sample, settings))
            if seen_slide(settings.shelf_dir, slide.sha256) is None:
                # Readers are shown the tissue around a tile of a slide that was seen.
                remember(settings.shelf_dir, slide, slide.overview(slide.width_l0_px / THUMBNAIL_PX)[0])
            tiles += sample_tiles(slide_id, slide, plan_slide(slide, bundle))
        tell(CUT, f"Scoring {len(tiles)} tiles")
        store.declare_classes("tile", bundle.session_of("tile").model.class_ids)
        store.add_cases(tile.case for tile in tiles)
        _score(store, tiles, bundle)
        tell(SCORED, "Two made-up readers label them")
        labels = answers(tiles, _scores(store, bundle))
        store.record_all(labels)
        tell(LABELLED, "The candidate that was retrained from their labels beforehand")
        candidate, note = _candidate(settings, bundle, store)
    tell(1.0, "Filled")
    return Filled(len(tiles), len(labels), sum(not tile.said for tile in tiles), candidate, note)


def _require_classes(bundle: Bundle) -> None:
    known = bundle.session_of("tile").model.class_ids
    if not set(CLASSES) <= set(known):
        raise LabelRefused(
            "The sample readers tell classes apart that the active slide model does not have",
            expected=", ".join(CLASSES),
            found=", ".join(known),
            action="Roll back to the bundle that ships with the app.",
        )


def _begin(store: LabelStore, bundle: Bundle) -> None:
    """Write down, before anything else, that labels here are made up; they never come among those of others."""
    if FILL in set(store.audit_trail()["what"]):
        return
    if there := len(store.cases()):
        raise LabelRefused(
            "This home holds cases already, and made-up labels do not go among them",
            expected="a home without labels",
            found=f"{there:,} {'case' if there == 1 else 'cases'}",
            action="Play the demo: it has a home of its own.",
        )
    detail = {"slides": list(SLIDES), "readers": [READER_A, READER_B], "note": MADE}
    store.audit_append(MADE_BY, FILL, bundle.label, detail)


def _score(store: LabelStore, tiles: list[SampleTile], bundle: Bundle) -> None:
    """By what the package holds, and the rest live."""
    waiting = set(store.unscored(bundle.sha256, "tile"))
    store.add_scores(shipped_scores(bundle, {tile.case.id: tile.pixels_sha256 for tile in tiles if tile.case.id in waiting}))
    if waiting := set(store.unscored(bundle.sha256, "tile")):
        rescore(store, "tile", sorted(waiting), bundle, MADE_BY)


def _candidate(settings: Settings, bundle: Bundle, store: LabelStore) -> tuple[Path | None, str]:
    """The folder of the candidate, with the record of its training; or None and why."""
    folder = settings.bundles_dir / CANDIDATE_FOLDER
    try:
        sample = sample_candidate()
        folder = candidate_of(bundle, folder)
    except BundleError as error:
        return None, str(error)
    runs = settings.retraining_dir / f"{sample.manifest.created:%Y%m%d-%H%M%S}-sample"
    if read_run(runs) is None:
        detail = {
            "folder": folder.name,
            "recipe": sample.model.recipe,
            "lineage": {sample.model.id: sample.lineage.model_dump()},
            "note": MADE,
        }
        store.audit_append(MADE_BY, "retrain", sample.label, detail)
        _write_run(runs, folder, bundle, sample)
    return folder, ""


def _write_run(runs: Path, folder: Path, bundle: Bundle, sample: SampleCandidate) -> None:
    """The run that made the candidate, as if it had been ordered here, with what the trainer said then."""
    order = order_of(bundle, [sample.model.id], sample.model.recipe, sample.lineage.seed, MADE_BY)
    ended = sample.manifest.created
    runs.mkdir(parents=True, exist_ok=True)
    (runs / LOG_NAME).write_text(sample.log, encoding="utf-8")
    took_s = max((line.elapsed_s or 0.0 for line in read_log(runs / LOG_NAME).lines), default=0.0)
    write_run(
        runs,
        Run(
            id=runs.name,
            order=order,
            candidate_dir=folder.absolute(),
            started=ended - timedelta(seconds=took_s),
            state="done",
            ended=ended,
            candidate=sample.label,
        ),
    )


def _scores(store: LabelStore, bundle: Bundle) -> dict[str, Score]:
    model_id = bundle.session_of("tile").model.id
    table = store.scores(bundle.sha256, "tile")
    return {
        str(case_id): Score(str(case_id), model_id, bundle.sha256, bundle.manifest.version, dict(probabilities))
        for case_id, probabilities in zip(table["case_id"].tolist(), table["probabilities"].tolist(), strict=True)
    }
