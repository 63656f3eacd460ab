"""Wrapping a model from elsewhere: seconds of each stage, for a small Keras CNN and for an ONNX file of the same network."""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.sessions import CPU_PROVIDER, open_session
from tests.bundle.made import FOUR
from tests.training.wrap.made import FILTERS, SIZE_PX, about, kernels, write_about, write_model, write_tiles
from training.wrap.tile_model import wrap_tile_model
from training.wrap.tiles import read_tiles

GROUPS = 5
"""Of each class in each split, two tiles a group: 80 tiles. Five groups are the fewest that are wrapped."""
BATCH = 8
STAGES = ("read the model", "read and check tiles", "fit", "held-out figures and slide rule", "write, prove")
"""What lies between the lines that wrapping says of itself."""


def wrap(runs: int) -> pd.DataFrame:
    """Median seconds of each stage, beside the same tiles through a bare ONNX session in the same run."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_tiles(folder / "tiles", groups=GROUPS)
        of_onnx = write_model(folder / "network.onnx")
        of_keras = _write_keras(folder / "network.keras")
        tiles = folder / "tiles/tiles.csv"
        pixels = read_tiles(tiles, [item.id for item in FOUR], SIZE_PX, 1).pixels
        bare = statistics.median(_seconds_bare(of_onnx, pixels) for _ in range(runs))
        rows = [{"model": "ONNX", "stage": f"{len(pixels)} tiles, bare session", "median_s": bare, "times the reference": 1.0}]
        for kind, model, layout in (("ONNX", of_onnx, "NCHW"), ("Keras", of_keras, "NHWC")):
            said = write_about(folder / "about.toml", about(input__layout=layout))
            seconds = np.array([_stages(model, said, tiles, folder / f"{kind}-{at}") for at in range(runs)])
            medians = [*np.median(seconds, axis=0), float(np.median(seconds.sum(axis=1)))]
            rows += [
                {"model": kind, "stage": stage, "median_s": median, "times the reference": median / bare}
                for stage, median in zip((*STAGES, "all of it"), medians, strict=True)
            ]
    table = pd.DataFrame(rows)
    return table.assign(
        **{"median_s": table["median_s"].round(3), "times the reference": table["times the reference"].round(1)}
    )


def _stages(model: Path, said: Path, tiles: Path, out: Path) -> list[float]:
    clock = [time.perf_counter()]
    wrap_tile_model(model, said, tiles, out, lambda _: clock.append(time.perf_counter()))
    return [*np.diff(clock), time.perf_counter() - clock[-1]]


def _seconds_bare(model: Path, pixels: NDArray[np.uint8]) -> float:
    started = time.perf_counter()
    session = open_session(model.read_bytes(), CPU_PROVIDER)
    ready = (pixels / 255).astype(np.float32).transpose(0, 3, 1, 2)
    for at in range(0, len(ready), BATCH):
        session.run(None, {"pixels": ready[at : at + BATCH]})
    return time.perf_counter() - started


def _write_keras(path: Path) -> Path:
    """The network of ``write_model`` in Keras."""
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((SIZE_PX, SIZE_PX, 3)),
            layers.Conv2D(FILTERS, 3, strides=2, padding="same", use_bias=False, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(FOUR)),
        ]
    )
    filters = np.zeros((3, 3, 3, FILTERS), np.float32)
    filters[1, 1, range(3), range(3)] = 1.0
    filters[..., 3:] = np.random.default_rng(1).normal(0, 0.05, (3, 3, 3, FILTERS - 3))
    network.set_weights([filters, *kernels()])
    network.save(path)
    return path
