"""Is Grad-CAM about the model, and about what the model looks at?

Two checks that a saliency map must pass: it changes when the weights are random (Adebayo et al. 2018,
arXiv:1810.03292), and removing what it marks hurts the score more than removing places at random (deletion curve,
Petsiuk et al. 2018, arXiv:1806.07421).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from cervix.evaluation.comparison import decimal
from cervix.evaluation.metrics import bootstrap_mean
from cervix.intervals import Interval
from training.slide.checks.robustness import Scorer

DELETED_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# Blurring keeps the stain and removes the cells; a black patch would be a new pattern.
ERASER_SIGMA_PX = 12.0


def map_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Spearman correlation of each pair of maps ``(n, 14, 14)``; 0 where one of them is flat."""
    found = []
    for one, other in zip(first, second, strict=True):
        flat = np.ptp(one) == 0 or np.ptp(other) == 0
        found.append(0.0 if flat else float(spearmanr(one.ravel(), other.ravel()).statistic))
    return np.array(found)


def deletion_curve(
    pixels: NDArray[np.uint8], order: NDArray[np.int64], target: NDArray[np.int64], score: Scorer
) -> NDArray[np.float64]:
    """Probability of the target class while more and more of a tile is erased: ``(n, len(DELETED_SHARES))``.

    Parameters
    ----------
    order : (n, 196)
        Cells of the 14 x 14 map in the order of erasing.
    target : (n,) class index
    """
    size = pixels.shape[1]
    cell = size // 14
    erased = np.stack([gaussian_filter(tile.astype(np.float32), (ERASER_SIGMA_PX, ERASER_SIGMA_PX, 0)) for tile in pixels])
    curve = np.empty((len(pixels), len(DELETED_SHARES)))
    for step, share in enumerate(DELETED_SHARES):
        gone = np.zeros((len(pixels), 196), bool)
        np.put_along_axis(gone, order[:, : round(196 * share)], True, axis=1)
        mask = gone.reshape(-1, 14, 14).repeat(cell, axis=1).repeat(cell, axis=2)[..., None]
        changed = np.where(mask, erased, pixels).astype(np.uint8)
        curve[:, step] = score(changed)["probabilities"][np.arange(len(pixels)), target]
    return curve


def cam_table(
    pixels: NDArray[np.uint8], groups: NDArray[np.str_], score: Scorer, score_randomised: Scorer, seed: int
) -> pd.DataFrame:
    """Both checks on test tiles: figure, interval over source images, n, and the expected value.

    Parameters
    ----------
    score, score_randomised
        The model, and the same graph with random block 5 and head; both have the output ``cam (n, classes, 14, 14)``.
    """
    found = score(pixels)
    target = found["probabilities"].argmax(axis=1)
    here = np.arange(len(pixels))
    cam = found["cam"][here, target]
    randomised = score_randomised(pixels)["cam"][here, target]
    rng = np.random.default_rng(seed)
    flat = cam.reshape(len(cam), -1)
    by_cam = np.lexsort((rng.random(flat.shape), -flat), axis=1)  # equal cells in random order
    at_random = np.stack([rng.permutation(196) for _ in pixels])
    curves = {name: deletion_curve(pixels, order, target, score) for name, order in (("cam", by_cam), ("random", at_random))}
    gain = (curves["random"] - curves["cam"]).mean(axis=1)
    n = f"{len(pixels)} tiles, {len(np.unique(groups))} source images"
    return pd.DataFrame(
        [
            _row("Rank correlation of the map with that of random weights", bootstrap_mean(
                map_correlation(cam, randomised), groups), "near 0: the map depends on what was learnt", n),
            _row("Mean probability while the marked cells are erased", bootstrap_mean(
                curves["cam"].mean(axis=1), groups), "low", n),
            _row("Mean probability while random cells are erased", bootstrap_mean(
                curves["random"].mean(axis=1), groups), "higher than with the marked cells", n),
            _row("Difference of the two (deletion gain)", bootstrap_mean(gain, groups),
                 "above 0: the marked cells matter more than others", n),
        ]
    )  # fmt: skip


def _row(check: str, figure: Interval, wanted: str, n: str) -> dict[str, str]:
    return {"check": check, "figure": decimal(figure), "should be": wanted, "n": n}
