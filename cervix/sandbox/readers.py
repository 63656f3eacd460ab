"""Two scripted readers: which tiles of the drawn slides they are given, and what they say of them.

They know what was drawn where. One of them errs now and then, and they part where a tile holds some of both, so that there is
something to agree and to disagree about. Everything follows from fixed seeds: a second filling is the same.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cervix.labels import Case, LabelEvent, Score, tile_case
from cervix.labels.store.events import Action
from cervix.slides.drawn.slides import tumour_of_mixed
from cervix.slides.scoring import SlidePlan
from cervix.sources.slide import Slide

READER_A, READER_B = "Reader A (made up)", "Reader B (made up)"
CLASSES = ("benign", "scc", "ac")
"""What the readers tell apart, by the ids of the classes."""
SLIDES = ("mixed", "glandular")
"""The drawn slides whose tiles they are given."""
COMMENT = "Made up: a script, no reader."
TISSUE_AT_LEAST = 0.5
"""Of a tile, so that there is something to say of it."""
TILES_A_SLIDE = 44
READ_BY_BOTH, READ_BY_A = 32, 4
"""Of each slide; the others are left for whoever tries the app."""
MOSTLY = 0.75
"""From this share of carcinoma on a tile is called that, below one minus it benign; in between the two readers part."""
SLIPS = 0.2
"""How often Reader B says something else than was drawn."""
TAKEN_FOR = {"benign": "scc", "scc": "benign", "ac": "scc"}
"""What Reader B says then."""
UNSURE = 0.05
"""How often Reader A is unsure."""
SECONDS = {READER_A: 6.0, READER_B: 9.0}
"""Their median time a tile."""
SPREAD = 0.45
"""Standard deviation of the logarithm of their times."""
NAMESPACE = uuid.UUID("5c1f4f0e-5d0b-5a6e-9d5c-0c0a2f6a9b11")
"""Of the keys of their answers: the same answer has the same key in every home."""


@dataclass(frozen=True)
class SampleTile:
    """A tile that is given to the readers.

    Attributes
    ----------
    place : str
        Slide and corner, which do not depend on how the slide's file was written.
    pixels_sha256 : str
        Of its pixels, which do not depend on how its picture was written.
    said : reader -> class, or "unsure"
        Of those who read it.
    """

    case: Case
    place: str
    pixels_sha256: str
    said: dict[str, str]


def sample_tiles(slide_id: str, slide: Slide, plan: SlidePlan) -> list[SampleTile]:
    """Tiles of a drawn slide as cases, with what the readers say of each."""
    grid = plan.grid
    places = np.flatnonzero(grid.tissue_fraction >= TISSUE_AT_LEAST)
    rng = np.random.default_rng([20261130, SLIDES.index(slide_id)])
    chosen = rng.permutation(places[np.lexsort((grid.x_l0_px[places], grid.y_l0_px[places]))])[:TILES_A_SLIDE]
    carcinoma = _share_of_carcinoma(slide_id, grid.x_l0_px[chosen], grid.y_l0_px[chosen], grid.size_l0_px)
    tiles = []
    for at, place in enumerate(chosen):
        x, y = int(grid.x_l0_px[place]), int(grid.y_l0_px[place])
        pixels = slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px)
        case = tile_case(slide.sha256, x, y, grid.size_l0_px, grid.effective_spacing_um_px, pixels, slide.plane)
        readers = (READER_A, READER_B) if at < READ_BY_BOTH else (READER_A,) if at < READ_BY_BOTH + READ_BY_A else ()
        said = _said(slide_id, float(carcinoma[at]), rng)
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        tiles.append(SampleTile(case, f"{slide_id}:{x}:{y}", digest, {reader: said[reader] for reader in readers}))
    return tiles


def answers(tiles: Sequence[SampleTile], scores: dict[str, Score]) -> list[LabelEvent]:
    """What the readers say of tiles, in the order of the tiles, one reader after the other.

    Parameters
    ----------
    scores : id of a case -> what the model made of it
    """
    events = []
    for reader, median_s in SECONDS.items():
        rng = np.random.default_rng([20261130, list(SECONDS).index(reader)])
        for tile in tiles:
            seconds = float(median_s * np.exp(SPREAD * rng.normal()))
            if (said := tile.said.get(reader)) is None:
                continue
            score = scores[tile.case.id]
            action: Action = "unsure" if said == "unsure" else "label"
            events.append(
                LabelEvent(
                    tile.case.id,
                    reader,
                    action,
                    said if action == "label" else None,
                    key=str(uuid.uuid5(NAMESPACE, f"{reader}:{tile.place}")),
                    seconds_taken=round(seconds, 1),
                    comment=COMMENT,
                    bundle_sha256=score.bundle_sha256,
                    bundle_version=score.bundle_version,
                    probabilities=score.probabilities,
                )
            )
    return events


def _share_of_carcinoma(
    slide_id: str, x_px: NDArray[np.integer], y_px: NDArray[np.integer], size_px: int
) -> NDArray[np.float64]:
    """How much of each tile is carcinoma as the slide was drawn, ``(n,)``."""
    if slide_id != "mixed":
        return np.ones(len(x_px))
    tumour = tumour_of_mixed()
    return np.array([tumour[y : y + size_px, x : x + size_px].mean() for x, y in zip(x_px, y_px, strict=True)])


def _said(slide_id: str, carcinoma: float, rng: np.random.Generator) -> dict[str, str]:
    """What both readers say of a tile."""
    slips, unsure = rng.random(2)
    malignant = "ac" if slide_id == "glandular" else "scc"
    if 1 - MOSTLY < carcinoma < MOSTLY:
        return {READER_A: malignant, READER_B: "benign"}
    drawn = malignant if carcinoma >= MOSTLY else "benign"
    return {READER_A: "unsure" if unsure < UNSURE else drawn, READER_B: TAKEN_FOR[drawn] if slips < SLIPS else drawn}
