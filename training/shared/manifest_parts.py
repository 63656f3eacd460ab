"""Parts of the manifest that all recipes fill in the same way."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import FeatureEncoding, GoldenTable
from cervix.bundle.sessions import Arrays
from cervix.files import replacing
from cervix.patients.golden import encoded_table
from cervix.patients.reading import read_patients
from cervix.patients.visits import read_visits

Array = NDArray[Any]
SIGNIFICANT_BITS, ZSTD_LEVEL = 12, 19


def malignant(classes: Sequence[ClassInfo]) -> list[str]:
    """The ids of the malignant classes."""
    return [item.id for item in classes if item.role == "malignant"]


def counts_by_split(labels: NDArray[np.str_], assigned: NDArray[np.str_]) -> dict[str, dict[str, int]]:
    """Split -> class -> number of cases."""
    table = pd.crosstab(pd.Series(assigned), pd.Series(labels))
    return {str(split): {str(label): int(n) for label, n in row.items()} for split, row in table.iterrows()}


def groups_by_split(groups: NDArray[np.str_], assigned: NDArray[np.str_]) -> dict[str, int]:
    """Split -> number of independent groups."""
    counted = pd.Series(groups).groupby(pd.Series(assigned)).nunique()
    return {str(split): int(n) for split, n in counted.items()}


def write_golden(path: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Mapping[str, Array]]) -> None:
    """Write golden vectors: ``input:<name>`` once, ``<precision>:<output>`` for every variant."""
    arrays = {f"input:{name}": values for name, values in inputs.items()}
    arrays |= {f"{precision}:{name}": values for precision, named in outputs.items() for name, values in named.items()}
    write_arrays(path, arrays)


def write_golden_table(
    out_dir: Path, model_id: str, text: str, encoding: Sequence[FeatureEncoding], run: Callable[[Arrays], Arrays], *,
    one_row: bool, episode_days: int | None = None, others: Callable[[int], Arrays] = lambda _: {},
) -> GoldenTable:  # fmt: skip
    """Write a golden table and its expected results under ``out_dir/<model_id>``.

    Parameters
    ----------
    text : the table as people would bring it
    run : inputs by name -> all outputs of the exported graph
    one_row : whether a patient has one row
    episode_days : as the manifest's ``features.episode_days``
    others : number of patients -> inputs that do not come from a table

    Raises
    ------
    ValueError
        If a cell of the table cannot be read: it would be missing from the cases.
    """
    read = read_patients(text.encode()) if one_row else read_visits(text.encode())
    if read.problems:
        raise ValueError(f"the golden table of {model_id} is not read whole: {read.problems[0]}")
    ids, arrays = encoded_table(read, encoding, episode_days)
    table = GoldenTable(file=f"{model_id}/golden.csv", vectors=f"{model_id}/golden-table.npz")
    inputs = {**arrays, **others(len(ids))}
    write_bytes(out_dir / table.file, text.encode())
    write_golden(out_dir / table.vectors, inputs, {"fp32": run(inputs)})
    return table


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays as npz, completely or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(path, buffer.getvalue())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Write the held-out predictions as parquet, completely or not at all.

    Probabilities are kept to ``SIGNIFICANT_BITS``, and their bytes are sorted by place, which halves the file.
    """
    kept = frame.copy()
    probabilities = [name for name in frame.columns.astype(str) if name.startswith("p_") or "__" in name]
    for name in probabilities:
        kept[name] = to_bits(frame[name].to_numpy(np.float32), SIGNIFICANT_BITS)
    others = [name for name in frame.columns.astype(str) if name not in probabilities]
    with replacing(path) as temporary:
        kept.to_parquet(
            temporary,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_byte_stream_split=probabilities,
            use_dictionary=others,
            index=False,
        )


def to_bits(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Each value rounded to so many binary digits of its own: 12 are 3.6 decimal ones, also of a risk of one in a million."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits), np.float32)


def add_probabilities(frame: pd.DataFrame, prefix: str, classes: list[str], scores: Array) -> None:
    """Add one column a class, ``<prefix><class>``, from scores ``(n, classes)``."""
    for index, label in enumerate(classes):
        frame[prefix + label] = scores[:, index]


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a small table as CSV, completely or not at all."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
