"""Outputs of the frozen blocks for every tile, computed once, so that block 5 can be fine-tuned on a CPU."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from training.data.tissue import augment
from training.data.tissue.tiles import TileSet
from training.shared.stages import Arrays, Log, Stages, array_digest
from training.slide.vgg16 import frozen_blocks

BATCH_SIZE = 16
LOG_EVERY_TILES = 320
Halves = NDArray[np.float16]
_Float = TypeVar("_Float", bound=np.floating)


@dataclass(frozen=True)
class Activations:
    """Outputs of block 4 after its pool, in half precision.

    Attributes
    ----------
    clean : (n, 14, 14, 512)
        Of every original tile.
    varied : list of (n, 14, 14, 512)
        Of an augmented copy of every tile, one array per copy.
    """

    clean: Halves
    varied: list[Halves]


def cached_activations(
    network: keras.Model, tiles: TileSet, settings: Mapping[str, Any], stages: Stages, log: Log,
    magnify: NDArray[np.float64] | None = None,
) -> Activations:  # fmt: skip
    """Run the frozen blocks over all tiles, and over ``settings["copies"]`` augmented copies of them.

    Parameters
    ----------
    settings : the ``[augment]`` table of the recipe, or one with ``copies = 0``
    magnify : (n,), as ``augmented`` takes it
    """
    frozen = frozen_blocks(network)
    inputs = {
        "weights": array_digest(*frozen.get_weights()),
        "precision": frozen.layers[-1].compute_dtype,
        "pixels": array_digest(tiles.pixels),
    }
    code = array_digest(np.frombuffer(Path(augment.__file__).read_bytes(), np.uint8))
    how = {key: value for key, value in settings.items() if key != "copies"}
    of_copies = {"augment": how, "code": code, "magnify": "none" if magnify is None else array_digest(magnify)}
    clean = stages.arrays("activations", inputs, lambda: _run(frozen, tiles.pixels, "tiles as they are", log))["block4"]
    varied = []
    for copy in range(settings["copies"]):
        varied.append(
            stages.arrays(
                f"activations-copy{copy + 1}",
                {**inputs, **of_copies, "copy": copy},
                lambda seed=settings["seed"] + copy, name=f"augmented copy {copy + 1}": _run(  # type: ignore[misc]
                    frozen, augment.augmented(tiles.pixels, dict(settings), seed, magnify), name, log
                ),
            )["block4"]
        )
    return Activations(clean, varied)


def outputs_for_tiles(
    network: keras.Model, pixels: NDArray[np.uint8], dtype: type[_Float], name: str, log: Log
) -> NDArray[_Float]:
    """What a network that begins as the backbone does makes of tiles ``(n, 224, 224, 3)``, batch by batch: ``(n, ...)``."""
    found = np.empty((len(pixels), *network.output_shape[1:]), dtype)
    for start in range(0, len(pixels), BATCH_SIZE):
        batch = keras.applications.vgg16.preprocess_input(pixels[start : start + BATCH_SIZE].astype(np.float32))
        found[start : start + len(batch)] = network.predict_on_batch(batch)
        if start % LOG_EVERY_TILES == 0:
            log(f"{name}: {start + len(batch)}/{len(pixels)}")
    return found


def _run(frozen: keras.Model, pixels: NDArray[np.uint8], name: str, log: Log) -> Arrays:
    return {"block4": outputs_for_tiles(frozen, pixels, np.float16, f"blocks 1–4 on {name}", log)}
