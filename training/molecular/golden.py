"""Golden cases of the molecular model: real profiles with holes in them, as vectors and as a table."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import GoldenTable, MarkerInput
from cervix.bundle.markers import MarkerEncoding
from cervix.bundle.sessions import Arrays
from cervix.molecular.reading import read_markers
from training.shared.manifest_parts import write_bytes, write_golden

Floats = NDArray[np.float32]
GOLDEN_TUMOURS = 12


def golden_rows(rpm: NDArray[np.float64], answering: int) -> Floats:
    """``(g, F)``: the first tumours; one of them without each marker of the answer, without the others, and with nothing."""
    tumours = rpm[:GOLDEN_TUMOURS].astype(np.float32)
    holes = np.repeat(tumours[:1], answering + 2, axis=0)
    holes[np.arange(answering), np.arange(answering)] = np.nan
    holes[answering, answering:] = np.nan
    holes[answering + 1, :] = np.nan
    return np.concatenate([tumours, holes])


def write_golden_markers(
    out_dir: Path, model_id: str, encoding: Sequence[MarkerEncoding], rows: Floats, run: Callable[[Floats], Arrays]
) -> GoldenTable:
    """Write the rows as a table of drawn numbers, and what must come of it; ``ValueError`` where it is not read whole."""
    table = GoldenTable(file=f"{model_id}/golden.csv", vectors=f"{model_id}/golden-table.npz")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tumour", *(marker.name for marker in encoding)])
    writer.writerows(
        [f"G{number:02d}", *("" if np.isnan(value) else repr(float(value)) for value in row)] for number, row in enumerate(rows)
    )
    content = text.getvalue().encode()
    read = read_markers(content, MarkerInput(encoding=list(encoding), golden_table=table, steps_in_graph=[]))
    if read.problems or not np.array_equal(read.rpm, rows, equal_nan=True):
        raise ValueError(f"the golden table of {model_id} is not read whole")
    write_bytes(out_dir / table.file, content)
    write_golden(out_dir / table.vectors, {"rpm": read.rpm}, {"fp32": run(read.rpm)})
    return table
