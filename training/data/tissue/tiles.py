"""Labelled tiles from a folder with an ``index.csv``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cervix.errors import CervixError

INDEX_COLUMNS = ("path", "label", "source_group")
# With more unreadable files than this, it is the wrong folder or a broken copy.
UNREADABLE_SHARE_LIMIT = 0.01


class TileFolderError(CervixError, OSError, code="tile-folder-not-readable"):
    """Raised when a folder does not contain the labelled tiles that a recipe needs."""


@dataclass(frozen=True)
class TileSet:
    """Labelled tiles in memory.

    Attributes
    ----------
    pixels : (n, size, size, 3) uint8 RGB
    labels : (n,) class names of the recipe
    groups : (n,) source image of each tile; tiles of one group are copies of each other
    paths : (n,) path inside the folder
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    paths: NDArray[np.str_]
    skipped: list[str]

    def of(self, positions: NDArray[np.integer]) -> "TileSet":
        """The tiles at these positions, in their order."""
        return TileSet(
            self.pixels[positions], self.labels[positions], self.groups[positions], self.paths[positions], self.skipped
        )


def load_tile_folder(folder: Path, classes: dict[str, str], size_px: int) -> TileSet:
    """Read the tiles whose label is one of ``classes`` (our name -> the folder's label).

    Raises
    ------
    TileFolderError
        If the index is missing or lacks columns or a class, if a tile has another size, or if more than 1 % of the files
        cannot be read. Fewer unreadable files are skipped and listed in ``TileSet.skipped``.
    """
    index_path = folder / "index.csv"
    if not index_path.is_file():
        raise TileFolderError("No index of labelled tiles", expected=str(index_path), found="no such file")
    index = pd.read_csv(index_path, dtype=str)
    if missing := set(INDEX_COLUMNS) - set(index.columns):
        raise TileFolderError(
            "The tile index lacks columns",
            expected=", ".join(INDEX_COLUMNS),
            found=f"no {', '.join(sorted(missing))}",
        )
    ours = {label: name for name, label in classes.items()}
    if absent := set(ours) - set(index["label"]):
        raise TileFolderError(
            "The tile index has no tile of a class",
            expected=", ".join(ours),
            found=f"no {', '.join(sorted(absent))}",
        )
    index = index[index["label"].isin(list(ours))].reset_index(drop=True)
    pixels, readable = read_pixels([folder / name for name in index["path"]], size_px)
    skipped = index.loc[~readable, "path"].tolist()
    index = index[readable]
    return TileSet(
        pixels=pixels[readable],
        labels=np.array([ours[label] for label in index["label"]]),
        groups=index["source_group"].to_numpy(dtype=str),
        paths=index["path"].to_numpy(dtype=str),
        skipped=skipped,
    )


def read_pixels(paths: Sequence[Path], size_px: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Tiles ``(n, size, size, 3)`` uint8 RGB, and which of them could be read ``(n,)``.

    Raises
    ------
    TileFolderError
        If a tile has another size, or if more than 1 % of the files cannot be read.
    """
    pixels = np.empty((len(paths), size_px, size_px, 3), np.uint8)
    readable = np.ones(len(paths), bool)
    for position, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                tile = np.asarray(image.convert("RGB"))
        except OSError:
            readable[position] = False
            continue
        if tile.shape != pixels.shape[1:]:
            raise TileFolderError(
                f"{path.parent.name}/{path.name} has another size", expected=f"{size_px} px square", found=str(tile.shape)
            )
        pixels[position] = tile
    lost = np.flatnonzero(~readable)
    if len(lost) > UNREADABLE_SHARE_LIMIT * max(len(paths), 1):
        raise TileFolderError(
            "Too many tiles cannot be read",
            expected="at most 1 %",
            found=f"{len(lost)} of {len(paths)}, e.g. {paths[lost[0]].parent.name}/{paths[lost[0]].name}",
        )
    return pixels, readable


def first_of_groups(groups: NDArray[np.str_], most: int) -> NDArray[np.int64]:
    """Positions of the first ``most`` tiles of each group, in their order, so that no source image decides."""
    return np.flatnonzero(pd.Series(groups).groupby(groups).cumcount().to_numpy() < most)


def colour_statistics(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean and standard deviation of R, G and B, ``(n, 6)``: the only input of the colour baseline."""
    flat = pixels.reshape(len(pixels), -1, 3)
    return np.concatenate([[tile.mean(axis=0), tile.std(axis=0)] for tile in flat]).reshape(len(pixels), 6)
