"""Bags of embedded tiles: the pseudo-slides on which a slide head is fitted and measured.

They are put together as those of the slide rule (``training.slide.slide_level``), so that rule and head answer the same
slides. For fitting, slides of a laboratory are drawn from all its source groups. For testing, the groups of a laboratory are
first dealt out into blocks that share none, and slides are drawn within a block: intervals over blocks count no group twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.slide.slide_level import Calling, ScoredTiles, pseudo_slides

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddedTiles:
    """Tiles with what the encoder makes of them.

    Attributes
    ----------
    scored : probabilities, novelty, labels, groups and laboratories of the tiles
    embedding : (n, size)
    """

    scored: ScoredTiles
    embedding: Floats

    def of(self, here: NDArray[np.bool_]) -> "EmbeddedTiles":
        """The tiles that are marked, in their order."""
        return EmbeddedTiles(self.scored.of(here), self.embedding[here])


@dataclass(frozen=True)
class Bag:
    """One pseudo-slide.

    Attributes
    ----------
    tiles : (t,) places of its accepted tiles, in the ``EmbeddedTiles`` it was made of; a tile may come several times
    cancerous : whether carcinoma is among what it was put together from
    share : of all its tiles, those called cancerous: what the slide rule goes by
    block : whose source groups it was drawn from
    """

    tiles: NDArray[np.int64]
    cancerous: bool
    share: float
    block: str


def laboratories_of(groups: NDArray[np.str_], prefixes: Mapping[str, Sequence[str]]) -> NDArray[np.str_]:
    """The laboratory of each tile by how the name of its source group begins: ``(n,)``, empty where none fits."""
    owner = {prefix: name for name, begins in prefixes.items() for prefix in begins}
    return np.array([next((name for prefix, name in owner.items() if group.startswith(prefix)), "") for group in groups])


def usable_tiles(tiles: EmbeddedTiles, calling: Calling) -> NDArray[np.bool_]:
    """Which tiles may stand in bags: benign or malignant ones of a laboratory that has both, ``(n,)``.

    A laboratory with one of them alone would teach which laboratory it is.
    """
    roles = np.array([calling.role(label) for label in tiles.scored.labels])
    there = np.zeros(len(roles), np.bool_)
    for name in np.unique(tiles.scored.laboratory[tiles.scored.laboratory != ""]):
        here = tiles.scored.laboratory == name
        if {"benign", "malignant"} <= set(roles[here]):
            there |= here & (roles != "other")
    return there


def drawn_bags(tiles: EmbeddedTiles, calling: Calling, settings: Mapping[str, Any], seed: int, block: str = "") -> list[Bag]:
    """Bags of these tiles, equally many of every class of every laboratory; those without an accepted tile are left out.

    Parameters
    ----------
    settings : as ``training.slide.slide_level.pseudo_slides`` takes them; nothing strange is mixed in
    """
    known, called = calling.known(tiles.scored), calling.called(tiles.scored)
    made = pseudo_slides(tiles.scored, calling, {**settings, "strange_slides": 0.0, "strange_up_to": 0.0}, seed)
    bags = (
        Bag(
            slide.tiles[known[slide.tiles]],
            calling.role(slide.of_class) == "malignant",
            float(called[slide.tiles].mean()),
            block or slide.laboratory,
        )
        for slide in made
    )
    return [bag for bag in bags if len(bag.tiles)]


def blocks_of(tiles: EmbeddedTiles, calling: Calling, groups_a_block: int, seed: int) -> NDArray[np.str_]:
    """The block of each tile ``(n,)``: source groups dealt out within each laboratory and class, none to two blocks.

    A laboratory has as many blocks as its rarer role, benign or malignant, has groups for.
    """
    rng = np.random.default_rng(seed)
    block = np.full(len(tiles.embedding), "", dtype="<U64")
    roles = np.array([calling.role(label) for label in tiles.scored.labels])
    for name in np.unique(tiles.scored.laboratory):
        here = tiles.scored.laboratory == name
        smallest = min(len(np.unique(tiles.scored.groups[here & (roles == role)])) for role in ("benign", "malignant"))
        count = max(1, smallest // groups_a_block)
        # A group may hold tiles of several classes: the whole of it goes where the first of them is dealt to.
        place: dict[str, int] = {}
        for label in np.unique(tiles.scored.labels[here]):
            found = np.unique(tiles.scored.groups[here & (tiles.scored.labels == label)])
            fresh = [group for group in rng.permutation(found) if group not in place]
            place |= {group: number % count for number, group in enumerate(fresh)}
        for at in np.flatnonzero(here):
            block[at] = f"{name} {place[tiles.scored.groups[at]] + 1}"
    return block


def block_bags(
    tiles: EmbeddedTiles, calling: Calling, settings: Mapping[str, Any], groups_a_block: int, seed: int
) -> list[Bag]:  # fmt: skip
    """Bags drawn within blocks, so that bags of two blocks share no source group; ``tiles`` are their places in ``tiles``."""
    return list(_within_blocks(tiles, calling, settings, blocks_of(tiles, calling, groups_a_block, seed), seed))


def _within_blocks(
    tiles: EmbeddedTiles, calling: Calling, settings: Mapping[str, Any], block: NDArray[np.str_], seed: int
) -> Iterator[Bag]:
    for number, name in enumerate(np.unique(block)):
        places = np.flatnonzero(block == name)
        for bag in drawn_bags(tiles.of(block == name), calling, settings, seed + number, str(name)):
            yield Bag(places[bag.tiles], bag.cancerous, bag.share, bag.block)
