"""The part of its training tiles that retraining the slide model needs: features and labels, no pixels."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervix.errors import BundleError
from training.data.splits import SPLITS
from training.data.tissue.tiles import TileSet
from training.shared.manifest_parts import write_arrays
from training.shared.stages import Log
from training.slide.graph import SlideGraph, TileFeatures, batches

Floats = NDArray[np.float32]
SHIPPED, REFERENCE = "int8", "fp16"
"""The variant whose features a head is fitted on, and the one used in place of fp32, which no bundle contains."""
TWENTIETHS = 20.0


@dataclass(frozen=True)
class SlideRehearsal:
    """Features of every tile by the int8 variant, and of the test tiles by fp16 too.

    Attributes
    ----------
    split, label, group : (n,)
        Of each tile: training, validation or test; class; source image.
    embedding : (n, 512)
        In half precision on disk.
    texture_logits : (n, classes)
    distance : (n,) to the nearest type of tissue, which another head does not change
    test_embedding, test_texture_logits
        Of the test tiles in their order, by fp16.
    test_texture : (8 tests, 512)
        Standardised mean of block 4, which fine-tuning did not change, of each test tile in eight orientations: reveals
        copies of test tiles. In twentieths on disk.
    test_sha256 : (tests,)
        Of the raw pixels.
    texture_mean, texture_spread : (512,)
        Over all tiles.
    """

    split: NDArray[np.str_]
    label: NDArray[np.str_]
    group: NDArray[np.str_]
    embedding: Floats
    texture_logits: Floats
    distance: Floats
    test_embedding: Floats
    test_texture_logits: Floats
    test_texture: Floats
    test_sha256: NDArray[np.str_]
    texture_mean: Floats
    texture_spread: Floats

    def of(self, split: str) -> NDArray[np.int64]:
        """Positions of the tiles in a split."""
        return np.flatnonzero(self.split == split)


def write_slide_rehearsal(
    path: Path, variants: Mapping[str, bytes], tiles: TileSet, assigned: NDArray[np.str_], log: Log
) -> None:  # fmt: skip
    """Run both variants up to their pooled features and write what retraining needs, completely or not at all.

    Parameters
    ----------
    variants : precision -> graph
    assigned : (n,) split of each tile
    """
    test = tiles.pixels[assigned == "test"]
    shipped = SlideGraph(variants[SHIPPED])
    every = shipped.features(batches(tiles.pixels))
    log(f"rehearsal: {SHIPPED} features of {len(tiles.pixels)} tiles")
    turned = [shipped.features(batches(pixels)).texture for pixels in orientations(test)]
    log(f"rehearsal: {len(test)} test tiles in {len(turned)} orientations")
    reference = SlideGraph(variants[REFERENCE]).features(batches(test))
    log(f"rehearsal: {REFERENCE} features of {len(test)} test tiles")
    write_arrays(path, rehearsal_arrays(every, np.concatenate(turned), reference, tiles, assigned))


def rehearsal_arrays(
    every: TileFeatures, turned: Floats, reference: TileFeatures, tiles: TileSet, assigned: NDArray[np.str_]
) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    """The arrays as stored: pooled means in half precision, which changes a probability by less than 0.001."""
    test = np.flatnonzero(assigned == "test")
    mean, spread = every.texture.mean(axis=0), np.maximum(every.texture.std(axis=0), 1e-6)
    return {
        "split": assigned,
        "label": tiles.labels,
        "group": tiles.groups,
        "embedding": every.embedding.astype(np.float16),
        "texture_logits": every.texture_logits,
        "distance": every.distance,
        "test_embedding": reference.embedding.astype(np.float16),
        "test_texture_logits": reference.texture_logits,
        "test_texture": np.clip(np.round(TWENTIETHS * (turned - mean) / spread), -127, 127).astype(np.int8),
        "test_sha256": np.array([pixels_sha256(tiles.pixels[index]) for index in test]),
        "texture_mean": mean,
        "texture_spread": spread,
    }


def read_slide_rehearsal(content: bytes) -> SlideRehearsal:
    """Read the output of ``write_slide_rehearsal``; ``BundleError`` if the content is something else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in SlideRehearsal.__dataclass_fields__}
    except (KeyError, ValueError, OSError) as error:
        raise BundleError("The rehearsal of the slide model cannot be read", found=str(error)) from error
    if set(arrays["split"]) != set(SPLITS):
        raise BundleError("The rehearsal of the slide model lacks a split", expected=", ".join(SPLITS))
    halves = {name: values.astype(np.float32) for name, values in arrays.items() if values.dtype == np.float16}
    texture = arrays["test_texture"].astype(np.float32) / TWENTIETHS
    return SlideRehearsal(**{**arrays, **halves, "test_texture": texture})


def orientations(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Tiles ``(n, size, size, 3)`` in the eight orientations (quarter turns and mirror images), the original first."""
    for quarters in range(4):
        turned = np.rot90(pixels, quarters, (1, 2))
        yield from (np.ascontiguousarray(turned), np.ascontiguousarray(turned[:, :, ::-1]))


def pixels_sha256(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of a tile's raw pixels, whatever its file format."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
