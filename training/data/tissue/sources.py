"""Tiles of many laboratories by one declared table: what each label means, where it comes from and what is kept apart."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.data.splits import FOLDS, grouped_split
from training.data.tissue.tiles import TileFolderError, TileSet, read_pixels

PREMALIGNANT, LEFT_OUT, DOUBTFUL = "premalignant", "left out", "doubtful"
"""What is no class of the model: dysplasia, hyperplasia and serrated adenoma; tissue that is not read; labels not trusted."""
APART = "apart"
"""The split of tiles that are in none."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Tissue(_Strict):
    """What one kind of label of a source means."""

    label: str
    organ: list[str] = []
    """Which organs it speaks of; empty for all."""
    note: str = ""
    """How the note of its tiles begins."""
    of_class: str = Field(alias="class")
    type: str


class Source(_Strict):
    """One data set of one laboratory."""

    id: str
    title: str
    index: str
    """CSV with ``path, label, source_group`` and, where it holds several sources, ``dataset``; paths are relative to it."""
    laboratory: str
    organs: list[str] = []
    """Where every tile is from: one organ, or several that the source does not tell apart. Else the index says it of each."""
    renamed_organs: dict[str, str] = {}
    """Words of the index for an organ -> its name."""
    spacing_um_px: float = Field(gt=0)
    """Estimated, within a quarter of it."""
    tiles_per_group: int = Field(default=1000, gt=0)
    """The most that are read of a source group, the first ones."""
    licence: str
    citation: str
    grouped_by: str
    caution: str
    """What to know of its tiles or labels before trusting them, as sentences."""
    doubtful: str | None = None
    """What the note of a tile holds whose label is not trusted."""
    squeezed: str | None = None
    """How the note of a tile begins that was pressed together from left to right ``squeezed_by`` times."""
    squeezed_by: float = 1.0
    same: list[list[str]] = []
    """Source groups that show one photograph under several names; they are one group, that of the first name."""
    tissue: list[Tissue] = Field(min_length=1)

    def tissue_of(self, tile: "pd.Series[Any]") -> Tissue:
        """The line of the table that speaks of a row of the index.

        Raises
        ------
        TileFolderError
            If none does: a label that nobody has placed must not be guessed.
        """
        for line in self.tissue:
            if (
                line.label == tile["label"]
                and (not line.organ or tile["organ"] in line.organ)
                and tile["note"].startswith(line.note)
            ):
                return line
        raise TileFolderError(
            f"The table of sources does not say what {tile['path']} is",
            expected=f"a line of {self.id} for its label, organ and note",
            found=f"{tile['label']}, {tile['organ']}, {tile['note'][:40]}",
        )


@dataclass(frozen=True)
class SourceTiles:
    """Tiles of many sources.

    Attributes
    ----------
    tiles : TileSet
        ``labels`` are classes of the model, ``premalignant`` or ``doubtful``; ``paths`` are those of each source's index.
    source, laboratory, tissue, organ : (n,)
        Of each tile: id of the source, its laboratory, type of tissue, organ (several joined by " and ").
    spacing_um_px : (n,)
    sources : what is declared of them
    """

    tiles: TileSet
    source: NDArray[np.str_]
    laboratory: NDArray[np.str_]
    tissue: NDArray[np.str_]
    organ: NDArray[np.str_]
    spacing_um_px: NDArray[np.float64]
    sources: list[Source]

    def of(self, positions: NDArray[np.integer]) -> "SourceTiles":
        """The tiles at these positions, in their order."""
        return SourceTiles(
            self.tiles.of(positions), self.source[positions], self.laboratory[positions], self.tissue[positions],
            self.organ[positions], self.spacing_um_px[positions], self.sources,
        )  # fmt: skip


def read_sources(path: Path) -> list[Source]:
    """The declared table.

    Raises
    ------
    TileFolderError
        If it says too little, too much or another kind of thing.
    """
    try:
        return [Source.model_validate(item) for item in tomllib.loads(path.read_text(encoding="utf-8"))["sources"]]
    except (ValidationError, KeyError, tomllib.TOMLDecodeError) as error:
        raise TileFolderError("The table of sources is not as it must be", expected=str(path), found=str(error)) from error


def load_sources(folder: Path, table: Path, size_px: int) -> SourceTiles:
    """Read the tiles of every source of the table that stands in the folder.

    Raises
    ------
    TileFolderError
        If the table or an index is not readable, a tile has a label that the table does not place, or too many files
        cannot be read.
    """
    sources = read_sources(table)
    index = pd.concat([_index_of(source, folder) for source in sources], ignore_index=True)
    pixels, readable = read_pixels([folder / path for path in index["file"]], size_px)
    skipped = index.loc[~readable, "path"].tolist()
    index, pixels = index[readable].reset_index(drop=True), pixels[readable]
    for position in np.flatnonzero(index["squeezed_by"] > 1.0):
        pixels[position] = stretched(pixels[position], float(index["squeezed_by"][position]))
    return SourceTiles(
        tiles=TileSet(
            pixels=pixels,
            labels=index["class"].to_numpy(dtype=str),
            groups=index["source_group"].to_numpy(dtype=str),
            paths=index["path"].to_numpy(dtype=str),
            skipped=skipped,
        ),
        source=index["source"].to_numpy(dtype=str),
        laboratory=index["laboratory"].to_numpy(dtype=str),
        tissue=index["type"].to_numpy(dtype=str),
        organ=index["organ"].to_numpy(dtype=str),
        spacing_um_px=index["spacing_um_px"].to_numpy(dtype=np.float64),
        sources=sources,
    )


def tiles_of_recipe(recipe_path: Path, recipe: Mapping[str, Any], folder: Path) -> tuple[SourceTiles, NDArray[np.str_]]:
    """The tiles that a recipe's ``[data]`` asks for and the split of each, the same for everyone who asks."""
    data = recipe["data"]
    found = load_sources(folder, recipe_path.with_name(data["sources"]), recipe["tiles"]["size_px"])
    assigned = split_sources(
        found.tiles.labels, found.tiles.groups, found.laboratory, data["classes"], tenths=tuple(data["tenths"]),
        seed=recipe["seed"],
    )  # fmt: skip
    return found, assigned


def _index_of(source: Source, folder: Path) -> pd.DataFrame:
    path = folder / source.index
    if not path.is_file():
        raise TileFolderError("No index of labelled tiles", expected=str(path), found="no such file")
    index = pd.read_csv(path, dtype=str, keep_default_na=False)
    if "dataset" in index:
        index = index[index["dataset"] == source.id]
    index = index.reindex(columns=["path", "label", "source_group", "organ", "note"], fill_value="")
    index = index.groupby("source_group", sort=False).head(source.tiles_per_group).reset_index(drop=True)
    if index.empty:
        raise TileFolderError(f"No tile of {source.id}", expected="tiles of every source of the table", found=str(path))
    lines = [source.tissue_of(row) for _, row in index.iterrows()]
    index["class"], index["type"] = [line.of_class for line in lines], [line.type for line in lines]
    index["organ"] = " and ".join(source.organs) or index["organ"].replace(source.renamed_organs)
    if source.doubtful:
        index.loc[index["note"].str.contains(source.doubtful, regex=False), "class"] = DOUBTFUL
    index["source_group"] = index["source_group"].replace({name: names[0] for names in source.same for name in names})
    squeezed = index["note"].str.startswith(source.squeezed) if source.squeezed else np.zeros(len(index), bool)
    index["squeezed_by"] = np.where(squeezed, source.squeezed_by, 1.0)
    index["file"] = [str(Path(source.index).parent / name) for name in index["path"]]
    index["source"], index["laboratory"], index["spacing_um_px"] = source.id, source.laboratory, source.spacing_um_px
    return index[index["class"] != LEFT_OUT]


def stretched(tile: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """The middle of a tile, drawn out from left to right ``factor`` times: ``(size, size, 3)``."""
    size = tile.shape[1]
    margin = size * (1 - 1 / factor) / 2
    return np.asarray(
        Image.fromarray(tile).resize((size, size), Image.Resampling.BICUBIC, box=(margin, 0, size - margin, tile.shape[0]))
    )


def shared_tissue(tissue: NDArray[np.str_], laboratory: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which tiles are of a type of tissue that another laboratory has too: ``(n,)``."""
    owners = pd.Series(laboratory).groupby(tissue).transform("nunique")
    return np.asarray(owners > 1, np.bool_)


def split_sources(
    labels: NDArray[np.str_], groups: NDArray[np.str_], laboratory: NDArray[np.str_], classes: list[str], *,
    tenths: tuple[int, int, int], seed: int,
) -> NDArray[np.str_]:  # fmt: skip
    """Train, validation and test by whole source groups, every laboratory and class in proportion; ``apart`` for the rest.

    Where a class of a laboratory has fewer than ten groups its classes are dealt out together.

    Parameters
    ----------
    labels, groups, laboratory : (n,)

    Raises
    ------
    GroupError, LeakError
        As ``grouped_split``.
    """
    assigned = np.full(len(labels), APART, dtype="<U10")
    usable = np.isin(labels, classes)
    for name in np.unique(laboratory[usable]):
        here = np.flatnonzero(usable & (laboratory == name))
        few = min(len(np.unique(groups[here][labels[here] == label])) for label in np.unique(labels[here])) < FOLDS
        dealt = np.full(len(here), name) if few else labels[here]
        assigned[here] = grouped_split(dealt, groups[here], tenths=tenths, seed=seed, mixed=True)
    return assigned
