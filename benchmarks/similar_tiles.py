"""Which distance between embeddings finds tiles of the same label: what ADR 0043 rests on."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle import ModelSession, load_bundle
from cervix.labels.similar.labelled import NEAREST
from cervix.settings import get_settings
from cervix.slides.embedding import embeddings_of

TILES_AT_ONCE = 8
A_SOURCE, A_CLASS_AND_SET = 2, 60
"""At most so many tiles: sources have a few alike, and sets differ in size."""

Floats = NDArray[np.float64]


def similar_tiles(runs: int) -> pd.DataFrame:  # noqa: ARG001 - nothing is timed
    """Share of the twelve nearest tiles, of other sources or other data sets, with the tile's own label."""
    root = Path(os.environ["CERVIX_DATA"]) / "tiles"
    tiles = pd.read_csv(root / "multi_organ.csv").sample(frac=1, random_state=0).groupby("source_group").head(A_SOURCE)
    tiles = tiles.groupby(["label", "dataset"]).head(A_CLASS_AND_SET).reset_index(drop=True)
    vectors = _embedded([root / path for path in tiles["path"]], load_bundle(get_settings().bundle_dir).session_of("tile"))
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    ways: dict[str, tuple[Callable[[Floats], Floats], Floats]] = {
        "cosine": (_cosine, vectors),
        "Euclidean": (_euclidean, vectors),
        "cosine of standardised": (_cosine, standard),
        "Euclidean of standardised": (_euclidean, standard),
    }
    label = tiles["label"].to_numpy(str)
    rows = []
    for name, (distance, of) in ways.items():
        apart = distance(of)
        shares = {
            f"same label, other {words}": round(float(_same_label(apart, label, tiles[column].to_numpy(str))), 3)
            for words, column in (("source", "source_group"), ("data set", "dataset"))
        }
        rows.append({"distance": name, "tiles": len(tiles), "data sets": tiles["dataset"].nunique(), **shares})
    return pd.DataFrame(rows)


def _embedded(paths: list[Path], session: ModelSession) -> Floats:
    assert session.model.tiles is not None, "a tile model declares its tiles"
    side = session.model.tiles.size_px
    made = []
    for at in range(0, len(paths), TILES_AT_ONCE):
        pictures = [Image.open(path).convert("RGB") for path in paths[at : at + TILES_AT_ONCE]]
        sized = [np.asarray(picture.resize((side, side), Image.Resampling.BOX)) for picture in pictures]
        made.append(embeddings_of(np.stack(sized), session))
    return np.concatenate(made).astype(np.float64)


def _cosine(vectors: Floats) -> Floats:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(1 - unit @ unit.T, np.float64)


def _euclidean(vectors: Floats) -> Floats:
    squares = (vectors**2).sum(axis=1)
    return np.asarray(squares[:, None] + squares - 2 * vectors @ vectors.T, np.float64)


def _same_label(apart: Floats, label: NDArray[np.str_], group: NDArray[np.str_]) -> float:
    far = np.where(group[:, None] == group, np.inf, apart)
    nearest = np.argsort(far, axis=1)[:, :NEAREST]
    return float((label[nearest] == label[:, None]).mean())
