"""Explain one tile: its pixels, its scores and where in it the score comes from."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import Model, ModelSession
from cervix.slides.decision import answered_tiles, tile_probabilities
from cervix.slides.scoring import SlideScore, SlideSummary
from cervix.sources.slide import Slide

# Cividis is monotone in lightness and reads the same with red-green deficiency (Nuñez et al. 2018). Anchors at
# 0, 1/4, 1/2, 3/4 and 1.
CIVIDIS = np.array([[0, 34, 78], [63, 78, 109], [124, 123, 120], [185, 172, 112], [254, 232, 56]], np.float64)


GALLERY_TILE_PX = 160


@dataclass(frozen=True)
class TileExplanation:
    """One tile as the model saw it.

    Attributes
    ----------
    pixels : (size, size, 3) uint8 RGB
    probabilities : class -> probability
    novelty : float
    recognised : bool
        Whether the model recognises it; probabilities and Grad-CAM of a tile that it does not recognise mean nothing.
    cam : class -> (14, 14) float32
        Grad-CAM, non-negative, in units of the logit; zero where nothing supports the class.
    embedding : (dimensions,) float32
    """

    pixels: NDArray[np.uint8]
    probabilities: dict[str, float]
    novelty: float
    recognised: bool
    cam: dict[str, NDArray[np.float32]]
    embedding: NDArray[np.float32]

    def overlay(self, label: str, opacity: float = 0.5) -> NDArray[np.uint8]:
        """The tile with the Grad-CAM of one class over it, scaled to that map's own maximum."""
        return overlay_cam(self.pixels, self.cam[label], opacity)


def explain_tile(slide: Slide, summary: SlideSummary, x_l0_px: int, y_l0_px: int, session: ModelSession) -> TileExplanation:
    """Read one scored tile again and run it with its Grad-CAM.

    Parameters
    ----------
    x_l0_px, y_l0_px : int
        Level-0 corner of the tile, as in ``SlideScore.tiles``.
    """
    tiles = session.model.tiles
    if tiles is None:
        raise ValueError("the slide model declares no tiles")
    pixels = slide.read_tile(x_l0_px, y_l0_px, summary.level, summary.size_level_px, tiles.size_px)
    out = session.run({"tiles": pixels[None]}, ["probabilities", "novelty", "cam", "embedding"])
    probabilities, novelty = (np.asarray(out[name], np.float32) for name in ("probabilities", "novelty"))
    return TileExplanation(
        pixels=pixels,
        probabilities={label: float(p) for label, p in zip(session.model.class_ids, probabilities[0], strict=True)},
        novelty=float(novelty[0]),
        recognised=bool(session.model.is_recognised(novelty, probabilities)[0]),
        cam={label: out["cam"][0, index] for index, label in enumerate(session.model.class_ids)},
        embedding=np.asarray(out["embedding"][0], np.float32),
    )


def cancer_probability(tiles: pd.DataFrame, model: Model) -> NDArray[np.float64]:
    """Probability that a tile is cancerous, of each row of a tile table: ``(n,)``."""
    return np.asarray(tiles[[f"p_{label}" for label in model.cancer_task.positive]].sum(axis=1), np.float64)


def most_suspicious(tiles: pd.DataFrame, model: Model, count: int) -> NDArray[np.int64]:
    """Rows of the tiles most probably cancerous among those that have an answer, the most probable first: at most ``count``."""
    answered = np.flatnonzero(answered_tiles(tiles, model))
    return answered[np.argsort(-cancer_probability(tiles, model)[answered], kind="stable")][:count]


@dataclass(frozen=True)
class GalleryTile:
    """A tile worth looking at, with its pixels.

    Attributes
    ----------
    row : its place in ``SlideScore.tiles``
    probability : of the class it is shown for
    """

    row: int
    pixels: NDArray[np.uint8]
    probability: float


def gallery(
    slide: Slide, score: SlideScore, model: Model, label: str, *, count: int = 6
) -> tuple[list[GalleryTile], list[GalleryTile]]:
    """The tiles of one class the model is most certain and most doubtful of, among those that have an answer.

    A tile belongs to its most probable class; the doubtful ones are those whose two best classes lie closest together.
    Raises ``SlideNotReadable`` where the file is gone or damaged.
    """
    tiles = score.tiles
    probability = tile_probabilities(tiles, model)
    of_class = np.flatnonzero(answered_tiles(tiles, model) & (probability.argmax(axis=1) == model.class_ids.index(label)))
    ranked = np.sort(probability[of_class], axis=1)
    by_margin = of_class[np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")]
    certain, doubtful = by_margin[::-1][:count], by_margin[: min(count, len(by_margin) // 2)]

    def looked_at(index: int) -> GalleryTile:
        x, y = int(tiles["x_l0_px"].iloc[index]), int(tiles["y_l0_px"].iloc[index])
        pixels = slide.read_tile(x, y, score.summary.level, score.summary.size_level_px, GALLERY_TILE_PX)
        return GalleryTile(index, pixels, float(probability[index, model.class_ids.index(label)]))

    return [looked_at(int(index)) for index in certain], [looked_at(int(index)) for index in doubtful]


def overlay_cam(pixels: NDArray[np.uint8], cam: NDArray[np.floating], opacity: float) -> NDArray[np.uint8]:
    """Lay a map ``(h, w)`` over an image ``(H, W, 3)`` in cividis; an all-zero map leaves it as it is."""
    peak = float(cam.max())
    if peak <= 0:
        return pixels
    height, width = pixels.shape[:2]
    scaled = Image.fromarray((cam / peak).astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    level = np.clip(np.asarray(scaled, np.float64), 0.0, 1.0)
    colour = np.stack([np.interp(level, np.linspace(0, 1, len(CIVIDIS)), CIVIDIS[:, c]) for c in range(3)], axis=2)
    weight = opacity * level[..., None] ** 0.5
    return np.asarray(np.round(pixels * (1 - weight) + colour * weight), np.uint8)
