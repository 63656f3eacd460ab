"""Embeddings of a scored slide's most suspicious tiles, as another model reads them."""

import numpy as np
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.slides.explanation import most_suspicious
from cervix.slides.reading import Slide
from cervix.slides.scoring import SlideScore

TILES_READ = 12


def telling_embeddings(slide: Slide, score: SlideScore, session: ModelSession) -> NDArray[np.float32]:
    """Embeddings ``(n, 512)`` of the tiles most probably cancerous, at most ``TILES_READ``; none where the slide has no answer.

    Raises ``SlideNotReadable`` where the file is gone or damaged.
    """
    ranked = most_suspicious(score.tiles, session.model, TILES_READ)
    if not len(ranked):
        return np.empty((0, 0), np.float32)
    return embeddings_of(tile_pixels(slide, score, session, ranked), session)


def tile_pixels(slide: Slide, score: SlideScore, session: ModelSession, places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Tiles of a scored slide as the model saw them: ``(n, size, size, 3)`` RGB, by their rows in ``score.tiles``.

    Raises ``SlideNotReadable`` where the file is gone or damaged.
    """
    tiles = session.model.tiles
    if tiles is None:
        raise ValueError("the slide model declares no tiles")
    return np.stack(
        [
            slide.read_tile(int(x), int(y), score.summary.level, score.summary.size_level_px, tiles.size_px)
            for x, y in score.tiles.iloc[places][["x_l0_px", "y_l0_px"]].itertuples(index=False)
        ]
    )


def embeddings_of(pixels: NDArray[np.uint8], session: ModelSession) -> NDArray[np.float32]:
    """Embeddings ``(n, 512)`` of tiles ``(n, size, size, 3)``."""
    return np.asarray(session.run({"tiles": pixels}, ["embedding"])["embedding"], np.float32)
