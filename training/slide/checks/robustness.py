"""The answers of the exported model when scanner, stain, focus or scale differ."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import rotate

from cervix.bundle.manifest import DerivedTask, within_novelty
from cervix.evaluation.comparison import percent
from cervix.evaluation.questions import task_scores
from cervix.intervals import wilson_interval
from training.data.tissue.augment import Tile, blurred, recoloured, recompressed, rescaled, restained, turned
from training.data.tissue.strange import NOT_HISTOLOGY, StrangeTiles
from training.shared.manifest_parts import add_probabilities

Scorer = Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]
"""Tiles -> ``probabilities (n, classes)`` and ``novelty (n,)`` of the exported graph."""


def _stained(tile: Tile, haematoxylin: float, eosin: float) -> Tile:
    return restained(tile, np.array([haematoxylin, eosin, 1.0]), np.zeros(3))


def _tilted(tile: Tile, degrees: float) -> Tile:
    return np.asarray(rotate(tile, degrees, reshape=False, order=1, mode="reflect"), np.uint8)


PERTURBATIONS: dict[str, Callable[[Tile], Tile]] = {
    "as it is": lambda tile: tile,
    "JPEG quality 50": partial(recompressed, quality=50),
    "blur, sigma 1 px": partial(blurred, sigma_px=1.0),
    "blur, sigma 2 px": partial(blurred, sigma_px=2.0),
    "brightness × 0.8": partial(recoloured, brightness=0.8),
    "brightness × 1.2": partial(recoloured, brightness=1.2),
    "haematoxylin × 1.3, eosin × 0.7": partial(_stained, haematoxylin=1.3, eosin=0.7),
    "haematoxylin × 0.7, eosin × 1.3": partial(_stained, haematoxylin=0.7, eosin=1.3),
    "scale × 0.8": partial(rescaled, factor=0.8),
    "scale × 1.25": partial(rescaled, factor=1.25),
    "rotated by 90°": partial(turned, which=1),
    "rotated by 30°": partial(_tilted, degrees=30.0),
}


def one_per_group(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """Position of the first tile of every group: independent cases."""
    return np.sort(np.unique(groups, return_index=True)[1])


def robustness_table(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    score: Scorer,
    classes: list[str],
    tasks: list[DerivedTask],
    thresholds: dict[str, float],
    novelty_limit: float,
) -> pd.DataFrame:
    """One row for each perturbation: accuracy of each task with interval, changed calls, share not recognised.

    Parameters
    ----------
    pixels, labels, groups : test tiles, preferably one per source image
    """
    rows, calls = [], None
    for name, change in PERTURBATIONS.items():
        found = score(np.stack([change(tile) for tile in pixels]))
        frame = pd.DataFrame({"label": labels, "group": groups})
        add_probabilities(frame, "p_", classes, found["probabilities"])
        called = found["probabilities"].argmax(axis=1)
        calls = called if calls is None else calls
        row: dict[str, str] = {"change": name}
        for task in tasks:
            row[f"{task.title}: accuracy"] = percent(task_scores(frame, task).report(thresholds[task.id]).metrics["accuracy"])
        row["class changed"] = f"{(called != calls).mean() * 100:.1f} %"
        known = within_novelty(found["novelty"], found["probabilities"], novelty_limit)
        row["flagged as novel"] = f"{(~known).mean() * 100:.1f} %"
        rows.append(row | {"n": f"{len(labels)} tiles, {len(np.unique(groups))} source images"})
    return pd.DataFrame(rows)


def novelty_table(
    tissue: NDArray[np.bool_], groups: NDArray[np.str_], strange: StrangeTiles, recognised: NDArray[np.bool_]
) -> pd.DataFrame:
    """Share not recognised: held-out tissue (should be low), then every kind of strange picture (should be high).

    Parameters
    ----------
    tissue : (n,) which test tiles, of source images ``groups``, are recognised
    recognised : (m,) which of ``strange`` are
    """
    rows = []
    for name, values, source in (
        ("held-out H&E of the trained kind", tissue, groups),
        ("not histology (pictures and patterns)", *_of_kind(NOT_HISTOLOGY, strange, recognised)),
        *((f"… {kind}", *_of_kind((kind,), strange, recognised)) for kind in NOT_HISTOLOGY),
        ("the pictures in the colours of H&E", *_of_kind(("tinted picture",), strange, recognised)),
        ("tissue in another stain (DAB)", *_of_kind(("other stain",), strange, recognised)),
    ):
        flagged, size = int((~values).sum()), len(np.unique(source))
        share = percent(wilson_interval(flagged, len(values), effective_n=size))
        rows.append({"tiles": name, "flagged as novel": share, "n": f"{len(values)} tiles, {size} sources"})
    return pd.DataFrame(rows)


def _of_kind(
    kinds: tuple[str, ...], strange: StrangeTiles, recognised: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
    chosen = np.isin(strange.kind, kinds)
    return recognised[chosen], strange.source[chosen]
