"""The labelled tiles that are brought with a model: the file ``tiles.csv``.

Its columns are ``path`` (from the folder of the file), ``label`` (id of a class), ``group`` (what must not be on two sides of a
split: the patient, else the source image), ``split`` (``validation`` or ``test``) and, where there are several, ``laboratory``.
Messages name rows, not paths: a path may hold a name.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from training.data.splits import check_no_leak, check_no_near_duplicates
from training.wrap.listed import MOST_NAMED, TEST, VALIDATION, list_of, place_of, require_filled, require_values
from training.wrap.refusal import WrapRefused

COLUMNS = ("path", "label", "group", "split")
WHAT = "tiles"
THUMBNAIL_PX = 32
"""Side of the pictures by which copies are found: saved again or turned, they hardly change."""


@dataclass(frozen=True)
class HeldOutTiles:
    """Labelled tiles in memory, none of which the model learned from; test tiles may be missing.

    Attributes
    ----------
    pixels : (n, size, size, 3) uint8 RGB
    labels, groups, split, laboratory : (n,)
    cases : (n,) name of each tile in the predictions: its row, and nothing of its path
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    split: NDArray[np.str_]
    laboratory: NDArray[np.str_]
    cases: NDArray[np.str_]

    def has(self, split: str) -> bool:
        """Whether there is a tile of a split; without test tiles nothing is measured, and the bundle says so everywhere."""
        return bool((self.split == split).any())

    def of(self, split: str) -> "HeldOutTiles":
        """The tiles of one split, in their order."""
        return HeldOutTiles(*(values[self.split == split] for values in vars(self).values()))


def read_tiles(path: Path, classes: Sequence[str], size_px: int, fewest_groups: int) -> HeldOutTiles:
    """Read the tiles and refuse what would make figures look better than they are.

    Parameters
    ----------
    classes : ids of the model's classes
    fewest_groups : of each class in each split

    Raises
    ------
    WrapRefused
        A column, a class or a split that is missing; too few groups; a tile that cannot be read or has another size; equal
        files on both sides.
    LeakError
        A group, or nearly the same picture, on both sides.
    """
    table = list_of(path, COLUMNS, WHAT)
    if "laboratory" not in table:
        table["laboratory"] = "one laboratory"
    require_filled(table, ["laboratory"], WHAT)
    require_values(table, {"label": classes, "split": (VALIDATION, TEST)}, WHAT)
    # A group is often a patient: from here on it is named by its first row.
    table["group"] = "group of row " + table.groupby("group")["row"].transform("min").astype(str)
    check_no_leak(table["split"].to_numpy(str), table["group"].to_numpy(str))
    _check_groups(table, classes, fewest_groups)
    pixels = np.stack(
        [
            _pixels(place_of(path.parent, name, row, WHAT), row, size_px)
            for row, name in zip(table["row"], table["path"], strict=True)
        ]
    )
    tiles = HeldOutTiles(
        pixels,
        table["label"].to_numpy(str),
        table["group"].to_numpy(str),
        table["split"].to_numpy(str),
        table["laboratory"].to_numpy(str),
        np.array([f"row {row}" for row in table["row"]]),
    )
    _check_equal(tiles)
    _check_near(tiles)
    return tiles


def _check_groups(table: pd.DataFrame, classes: Sequence[str], fewest: int) -> None:
    groups = table.groupby(["split", "label"])["group"].nunique()
    few = [
        f"{groups.get((split, label), 0)} of {label} in {split}"
        for split in sorted(table["split"].unique(), reverse=True)
        for label in classes
        if groups.get((split, label), 0) < fewest
    ]
    if few:
        raise WrapRefused(
            "A class has too few groups to be fitted or measured",
            expected=f"at least {fewest} groups of each class in {VALIDATION} and, where there are any, in {TEST}",
            found=", ".join(few),
            action="Add tiles of other patients or source images.",
        )


def _pixels(path: Path, row: int, size_px: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            # Before anything is decoded: a small file may declare a picture that fills the memory.
            if image.size != (size_px, size_px):
                found = f"{image.size[0]} × {image.size[1]} px in row {row}"
                raise WrapRefused("A tile has another size", expected=f"{size_px} × {size_px} px", found=found)
            if image.mode not in ("RGB", "L", "P"):
                raise WrapRefused(
                    "A tile is no RGB picture", expected="8 bits in three channels", found=f"{image.mode} in row {row}"
                )
            if image.format == "PNG" and "16" in str(image.tile[0][3]):
                # Pillow would keep the upper half of each number and say nothing.
                raise WrapRefused("A tile is no RGB picture", expected="8 bits a channel", found=f"16 bits in row {row}")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise WrapRefused(
            "A tile cannot be read", expected="a picture such as PNG or JPEG", found=f"{type(error).__name__} in row {row}"
        ) from error


def _check_equal(tiles: HeldOutTiles) -> None:
    """Refuse equal pictures on both sides: the model would be measured on what it was fitted on."""
    frame = pd.DataFrame({"case": tiles.cases, "group": tiles.groups, "split": tiles.split})
    frame["hash"] = [hashlib.sha256(tile.tobytes()).hexdigest() for tile in tiles.pixels]
    twice = [part for _, part in frame.groupby("hash") if part["split"].nunique() > 1]
    if twice:
        named = "; ".join(" = ".join(part["case"]) for part in twice[:MOST_NAMED])
        raise WrapRefused(
            "Equal tiles are on both sides of the split",
            expected="each picture once",
            found=f"{len(twice)} pictures on both sides, {named}",
            action="Put all copies of a picture into one group.",
        )


def _check_near(tiles: HeldOutTiles) -> None:
    """``check_no_near_duplicates`` on small pictures without their colour and contrast, in all eight positions."""
    small = np.stack(
        [
            np.asarray(Image.fromarray(tile).convert("L").resize((THUMBNAIL_PX,) * 2, Image.Resampling.BOX), np.float64)
            for tile in tiles.pixels
        ]
    )
    small -= small.mean(axis=(1, 2), keepdims=True)
    spread = small.std(axis=(1, 2), keepdims=True)
    # A tile without any pattern is like every other such tile and says nothing of copies.
    patterned = spread[:, 0, 0] > 1.0
    small = (small / np.maximum(spread, 1e-6))[patterned]
    split, cases = tiles.split[patterned], tiles.cases[patterned]
    if set(split) != {VALIDATION, TEST}:
        return
    held = split == TEST
    for turns in range(4):
        for mirrored in (False, True):
            turned = np.rot90(small[held], turns, axes=(1, 2))
            pictures = small.copy()
            pictures[held] = turned[:, :, ::-1] if mirrored else turned
            check_no_near_duplicates(pictures.reshape(len(pictures), -1), split, cases)
