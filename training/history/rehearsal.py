"""The part of its cohort that retraining the history model needs: visits as whole numbers, outcomes, the split."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import BundleError
from cervix.patients.sequences import DAYS_A_YEAR, histories_of_steps
from training.history.data import CLASSES, SPLITS, HistoryData, Outcomes
from training.shared.manifest_parts import write_arrays

NOT_KNOWN = -1
A_MOMENT_YEARS = 1e-9
ARRAYS = ("codes", "step_days", "lengths", "split", "label", "possible", "usable", "complete")


def chosen_women(data: HistoryData, train_women: int, seed: int) -> NDArray[np.int64]:
    """All evaluated test women, all calibration women, and this number of training women drawn at random."""
    train = data.own_women("train")
    drawn = np.sort(np.random.default_rng(seed).choice(train, min(train_women, len(train)), replace=False))
    return np.concatenate([drawn, data.women("calibration"), data.evaluated("test")])


def write_history_rehearsal(path: Path, data: HistoryData, women: NDArray[np.int64]) -> None:
    """Write these women to a file, completely or not at all.

    Raises
    ------
    ValueError
        If a value is not a whole number from 0 to 127, or a time is not a whole day. They could not be read back unchanged.
    """
    rows = data.histories.rows_of(women)
    features = data.histories.features[rows]
    codes = np.where(np.isnan(features), NOT_KNOWN, features).astype(np.int8)
    if not np.array_equal(np.where(codes == NOT_KNOWN, np.nan, codes).astype(np.float32), features, equal_nan=True):
        raise ValueError("a feature is no whole number from 0 to 127")
    time_years = data.histories.time_years[rows]
    days = np.round(time_years * DAYS_A_YEAR).astype(np.int64)
    if np.abs(days / DAYS_A_YEAR - time_years).max() > A_MOMENT_YEARS:
        raise ValueError("a visit is no whole number of days after the first")
    lengths = data.histories.lengths[women]
    first = np.cumsum(lengths) - lengths
    step = np.diff(days, prepend=0)
    step[first] = 0
    write_arrays(
        path,
        {
            "codes": codes.T,  # column by column compresses to half the size
            "step_days": step.astype(np.uint16),
            "lengths": lengths.astype(np.uint8),
            "split": np.array([SPLITS.index(name) for name in data.split[women]], np.uint8),
            "label": data.outcomes.label[rows].astype(np.uint8),
            "possible": np.packbits(data.outcomes.possible[rows], axis=1),
            "usable": data.usable[rows],
            "complete": data.outcomes.complete[rows],
        },
    )


def read_history_rehearsal(content: bytes) -> HistoryData:
    """The women as from ``load_history_data``, without names and latent truth.

    Raises ``BundleError`` if the content is something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ARRAYS}
    except (KeyError, ValueError, OSError) as error:
        raise BundleError("The rehearsal of the history model cannot be read", found=str(error)) from error
    lengths = arrays["lengths"].astype(np.int64)
    codes = arrays["codes"].T.astype(np.float32)
    features = np.where(codes == NOT_KNOWN, np.float32(np.nan), codes)
    first = np.cumsum(lengths) - lengths
    total = np.cumsum(arrays["step_days"].astype(np.int64))
    days = total - np.repeat(total[first], lengths)
    nameless = np.arange(len(lengths)).astype(object)
    histories = histories_of_steps(nameless, lengths, features, days / DAYS_A_YEAR)
    outcomes = Outcomes(
        label=arrays["label"].astype(np.int64),
        possible=np.unpackbits(arrays["possible"], axis=1, count=len(CLASSES)).astype(bool),
        complete=arrays["complete"],
    )
    split = np.array(SPLITS)[arrays["split"]]
    nobody = np.zeros(len(lengths), bool)
    counts = np.ones(len(lengths), np.float32)
    return HistoryData(
        histories, outcomes, arrays["usable"], pd.DataFrame(), split, outcomes, np.zeros(len(codes), bool), counts, nobody
    )
