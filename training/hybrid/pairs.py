"""Made-up pairs for the hybrid: the biopsy of a simulated woman, and a real tile of the class that it shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.sessions import CPU_BATCH_SIZE, CPU_PROVIDER, open_session
from cervix.patients.joint import HIDDEN_AT_VISIT
from cervix.patients.sequences import Histories
from training.data.tissue.sources import tiles_of_recipe
from training.data.tissue.tiles import first_of_groups
from training.history.data import HistoryData
from training.shared.stages import Log, Stages, array_digest

CLASSES = ("benign", "squamous", "glandular")
"""Truth at the biopsy: less than CIN2; CIN2 or worse, squamous; the same, glandular."""
TILE_SPLIT_OF = {"train": "train", "validation": "validation", "calibration": "validation", "test": "test"}
LESIONS = ("CIN2", "CIN3", "cancer")


@dataclass(frozen=True)
class EmbeddedTiles:
    """Real tiles by the slide model: ``embedding (n, 512)``, class, source image and split of each."""

    embedding: NDArray[np.float32]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    split: NDArray[np.str_]


@dataclass(frozen=True)
class Pairs:
    """One biopsy visit of each woman, and the tile that represents it.

    Attributes
    ----------
    histories : Histories
        The women's visits up to that one, without its histology and treatment.
    truth : (n,) index into ``CLASSES`` of the true lesion, found or missed
    embedding : (n, 512)
    tile_group : (n,) source image of the tile
    split : (n,)
    """

    histories: Histories
    truth: NDArray[np.int64]
    embedding: NDArray[np.float32]
    tile_group: NDArray[np.str_]
    split: NDArray[np.str_]


def embedded_tiles(
    tiles_dir: Path, recipe_path: Path, slide_recipe: Mapping[str, Any], slide_onnx: bytes, tiles_per_group: int,
    stages: Stages, log: Log,
) -> EmbeddedTiles:  # fmt: skip
    """Embed a few tiles of every source image with the exported slide model.

    The split is that of the slide model, so neither model has seen a test tile.
    """
    found, split = tiles_of_recipe(recipe_path, slide_recipe, tiles_dir)
    tiles = found.tiles
    chosen = first_of_groups(tiles.groups, tiles_per_group)
    pixels = tiles.pixels[chosen]

    def embed() -> dict[str, NDArray[Any]]:
        session = open_session(slide_onnx, CPU_PROVIDER)
        parts = []
        for start in range(0, len(pixels), CPU_BATCH_SIZE):
            parts.append(session.run(["embedding"], {"tiles": pixels[start : start + CPU_BATCH_SIZE]})[0])
            if start % (40 * CPU_BATCH_SIZE) == 0:
                log(f"embedded {start:,} of {len(pixels):,} tiles")
        return {"embedding": np.concatenate(parts)}

    depends_on = {"pixels": array_digest(pixels), "model": array_digest(np.frombuffer(slide_onnx, np.uint8))}
    embedding = stages.arrays("embeddings", depends_on, embed)["embedding"]
    return EmbeddedTiles(embedding, tiles.labels[chosen], tiles.groups[chosen], split[chosen])


def make_pairs(
    data: HistoryData, names: list[str], tiles: EmbeddedTiles, shown_by: Mapping[str, list[str]], seed: int
) -> Pairs:
    """Pair one random biopsy visit of every woman who had one with a random tile of her split.

    Parameters
    ----------
    shown_by : tile class -> histology codes that it represents
    """
    rng = np.random.default_rng(seed)
    column = names.index("histology")
    rows = np.flatnonzero(~np.isnan(data.histories.features[:, column]) & data.latent["histology"].ne("").to_numpy())
    woman = np.searchsorted(data.histories.first, rows, side="right") - 1
    rows, woman = rows[~data.again[woman]], woman[~data.again[woman]]
    order = rng.permutation(len(rows))
    _, first = np.unique(woman[order], return_index=True)
    rows, woman = rows[order[first]], woman[order[first]]
    features = data.histories.features.copy()
    for name in HIDDEN_AT_VISIT:
        features[rows, names.index(name)] = np.nan
    histories = replace(data.histories.prefixes(rows), features=features)
    class_of = {code: name for name, codes in shown_by.items() for code in codes}
    shown = np.array([class_of[code] for code in data.latent["histology"].to_numpy(str)[rows]])
    tile = np.empty(len(rows), np.int64)
    for split, side in TILE_SPLIT_OF.items():
        for name in shown_by:
            members = np.flatnonzero((data.split[woman] == split) & (shown == name))
            tile[members] = rng.choice(np.flatnonzero((tiles.split == side) & (tiles.labels == name)), len(members))
    latent = data.latent.iloc[rows]
    lesion = latent["state_at_visit"].isin(LESIONS).to_numpy()
    glandular = lesion & (latent["glandular_at_visit"] == "yes").to_numpy()
    truth = np.where(glandular, 2, np.where(lesion, 1, 0))
    return Pairs(histories, truth, tiles.embedding[tile], tiles.groups[tile], data.split[woman])
