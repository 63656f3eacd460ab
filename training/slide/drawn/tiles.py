"""Drawn tissue as tiles: fields of one tissue, so many of each class, and as a source among real ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.slides.drawn.look import Look, looks
from cervix.slides.drawn.slides import SPACING_UM_PX
from cervix.slides.drawn.stains import as_seen
from cervix.slides.drawn.tissues import TISSUES
from training.data.tissue.sources import Source, SourceTiles, Tissue
from training.data.tissue.tiles import TileSet

FIELD_TILES = (4, 2)
"""Rows and columns of tiles in a field: from the surface of the mucosa, where there is one, into the stroma."""
TISSUES_OF_A_CLASS: dict[str, tuple[str, ...]] = {
    "benign": ("squamous-mucosa", "glandular-mucosa"), "scc": ("squamous-carcinoma",), "ac": ("adenocarcinoma",),
}  # fmt: skip
DRAWN = Source(
    id="drawn",
    title="Drawn tissue",
    index="none",
    laboratory="drawn",
    spacing_um_px=SPACING_UM_PX,
    licence="this project's own",
    citation="cervix/slides/drawn",
    grouped_by="field drawn at once",
    organs=["none: drawn"],
    caution="Drawn by rules; no image was used.",
    tissue=[Tissue.model_validate({"label": name, "class": name, "type": f"drawn {name}"}) for name in TISSUES_OF_A_CLASS],
)
"""Its types of tissue are its own, so that no drawn tile sets a limit of what is recognised."""


def drawn_tiles(tissue: str, look: Look, seed: int, size_px: int) -> NDArray[np.uint8]:
    """A field of one tissue, cut into tiles: ``(rows * columns, size, size, 3)`` uint8 RGB at 0.5 µm per pixel."""
    rows, columns = FIELD_TILES
    shape = (rows * size_px, columns * size_px)
    field = as_seen(TISSUES[tissue](np.random.default_rng(seed), look, np.ones(shape, np.bool_)))
    return np.asarray(
        field.reshape(rows, size_px, columns, size_px, 3).swapaxes(1, 2).reshape(rows * columns, size_px, size_px, 3)
    )


def tiles_by_class(tiles_per_class: int, size_px: int, seed: int) -> TileSet:
    """So many drawn tiles of each class that a tissue is drawn for; a field is a group."""
    pixels, labels, groups = [], [], []
    for label, tissues in TISSUES_OF_A_CLASS.items():
        left, number = tiles_per_class, 0
        while left > 0:
            tissue = tissues[number % len(tissues)]
            field = drawn_tiles(tissue, looks()[tissue], seed + number, size_px)[:left]
            pixels.append(field)
            labels += [label] * len(field)
            groups += [f"drawn {tissue} {number}"] * len(field)
            left, number = left - len(field), number + 1
    paths = [f"{group}/{place}" for place, group in enumerate(groups)]
    return TileSet(np.concatenate(pixels), np.array(labels), np.array(groups), np.array(paths), [])


def with_drawn(
    known: SourceTiles, assigned: NDArray[np.str_], recipe: Mapping[str, Any]
) -> tuple[SourceTiles, NDArray[np.str_]]:
    """The tiles of a recipe and the split of each, with ``tiles_per_class`` of its ``[drawn]`` more to train on."""
    count = recipe["drawn"]["tiles_per_class"]
    if not count:
        return known, assigned
    more = tiles_by_class(count, recipe["tiles"]["size_px"], recipe["seed"])
    here = known.tiles
    joined = TileSet(
        pixels=np.concatenate([here.pixels, more.pixels]),
        labels=np.append(here.labels, more.labels),
        groups=np.append(here.groups, more.groups),
        paths=np.append(here.paths, more.paths),
        skipped=here.skipped,
    )
    of_each = {"source": DRAWN.id, "laboratory": DRAWN.laboratory, "organ": DRAWN.organs[0]}
    columns = {name: np.append(getattr(known, name), np.full(len(more.labels), value)) for name, value in of_each.items()}
    together = replace(
        known,
        tiles=joined,
        tissue=np.append(known.tissue, np.char.add("drawn ", more.labels)),
        spacing_um_px=np.append(known.spacing_um_px, np.full(len(more.labels), DRAWN.spacing_um_px)),
        sources=[*known.sources, DRAWN],
        **columns,
    )
    return together, np.append(assigned, np.full(len(more.labels), "train"))
