"""What the tile model of a bundle says of the patients' slides."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model, ModelSession
from training.data.tissue.slide_tiles import CutSlide, tile_paths
from training.data.tissue.tiles import read_pixels
from training.molecular.data import Cohort
from training.molecular_slide.pairs import GLANDULAR, SQUAMOUS, PairsRefused, places_of
from training.shared.stages import Arrays, Log, Stages

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
LEAST_PROBABILITY = 1e-6
"""So that the log odds of a slide on which one kind is never seen are finite."""


@dataclass(frozen=True)
class SlidesSay:
    """The tile model's answers by patient of the cohort, all slides of a patient together.

    Attributes
    ----------
    slides, tiles, accepted : (n,) how many; accepted are the tiles that the model recognises. No slide: all 0
    glandular, squamous : (n,) mean probability among accepted tiles, NaN without any
    """

    slides: Counts
    tiles: Counts
    accepted: Counts
    glandular: Floats
    squamous: Floats

    def log_odds(self, accepted_at_least: int) -> Floats:
        """Glandular against squamous ``(n,)``, NaN where so few tiles are accepted that the slides give no answer."""
        odds = np.maximum(self.glandular, LEAST_PROBABILITY) / np.maximum(self.squamous, LEAST_PROBABILITY)
        return np.asarray(np.where(self.accepted >= max(accepted_at_least, 1), np.log(odds), np.nan), np.float64)


def tile_session(bundle: Bundle) -> ModelSession:
    """The bundle's tile model; ``PairsRefused`` as ``require_witness``."""
    session = bundle.session_of("tile")
    require_witness(session.model)
    return session


def require_witness(model: Model) -> None:
    """Refuse a tile model that cannot bear witness of these patients.

    Raises
    ------
    PairsRefused
        If it does not tell the two kinds apart, or learned from cervical slides: nothing excludes that these were among them.
    """
    if lacking := {SQUAMOUS, GLANDULAR} - set(model.class_ids):
        raise PairsRefused(
            "The tile model does not know a kind", expected=f"classes {SQUAMOUS} and {GLANDULAR}",
            found=f"no {', '.join(sorted(lacking))}", action="Name another bundle with --bundle.",
        )  # fmt: skip
    if model.saw_cervix:
        raise PairsRefused(
            "The tile model learned from cervical slides, perhaps from these", expected="one that saw none of the patients",
            found=f"cervix among the organs of {model.id}", action="Name another bundle with --bundle.",
        )  # fmt: skip


def score_slides(
    bundle: Bundle, cut: Sequence[CutSlide], folder: Path, cohort: Cohort, stages: Stages, log: Log
) -> SlidesSay:  # fmt: skip
    """Score every tile that was cut; a slide that was scored before by this bundle is read back.

    Parameters
    ----------
    cut : slides of patients of the cohort; one without tiles counts as a slide and gives nothing
    folder : where their tiles lie
    """
    session = tile_session(bundle)
    places = places_of([slide.source_group for slide in cut], cohort)
    count = len(cohort.patients)
    slides, tiles, accepted = (np.zeros(count, np.int64) for _ in range(3))
    summed = np.zeros((2, count))
    for number, (slide, place) in enumerate(zip(cut, places, strict=True), start=1):
        slides[place] += 1
        if not slide.tiles:
            continue
        depends_on = {
            "bundle": bundle.sha256, "precision": session.variant.precision, "file": slide.file, "tiles": slide.tiles,
            "cutting": asdict(slide.cutting),
        }  # fmt: skip
        paths = tile_paths(slide, folder)
        name = f"answers-{slide.folder.replace('/', '-')}"
        told = stages.arrays(name, depends_on, partial(_answers, session, paths, slide.cutting.size_px))
        log(f"{number} of {len(cut)}: {int(told['accepted'].sum())} of {len(told['accepted'])} tiles recognised")
        tiles[place] += len(told["accepted"])
        accepted[place] += int(told["accepted"].sum())
        summed[:, place] += told["kinds"][told["accepted"]].sum(axis=0)
    mean = np.full((2, count), np.nan)
    np.divide(summed, accepted, out=mean, where=accepted > 0)
    return SlidesSay(slides, tiles, accepted, glandular=mean[0], squamous=mean[1])


def _answers(session: ModelSession, paths: list[Path], size_px: int) -> Arrays:
    """``kinds (n, 2)``, probability of glandular and squamous, and ``accepted (n,)`` of the tiles that can be read."""
    pixels, readable = read_pixels(paths, size_px)
    parts = [session.run({"tiles": batch}, ["probabilities", "novelty"]) for batch in _batches(pixels[readable], session)]
    probabilities = np.concatenate([part["probabilities"] for part in parts]).astype(np.float64)
    novelty = np.concatenate([part["novelty"] for part in parts]).astype(np.float64)
    at = [session.model.class_ids.index(kind) for kind in (GLANDULAR, SQUAMOUS)]
    return {"kinds": probabilities[:, at], "accepted": session.model.is_recognised(novelty, probabilities)}


def _batches(pixels: NDArray[np.uint8], session: ModelSession) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pixels), session.batch_size):
        yield pixels[start : start + session.batch_size]
