"""The rows of a part with every cell read, cut into buckets by woman: what a bucket is made of again.

An Arrow file a part. Its record batches belong to one bucket each; which, is kept in the ledger.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from cervix.patients import hpv
from cervix.patients.visit_cells import listed_name
from cervix.patients.visit_losses import AT
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, SLIDE, VISIT_DATE
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID

Ints = NDArray[np.int64]
_LISTED: Final = tuple(listed_name(name) for name in hpv.RESULTS)
_NAMES: Final = tuple(column.name for column in CODE_COLUMNS)
VISITS: Final = pa.schema(
    [
        (PATIENT_ID, pa.string()), ("line", pa.int64()), (VISIT_DATE, pa.timestamp("s")), (AGE, pa.float32()),
        *((name, pa.int8()) for name in (*_NAMES, *_LISTED)),
        (SLIDE, pa.string()), ("bad", pa.bool_()), ("cells", pa.int16()), ("torn", pa.bool_()),
    ]
)  # fmt: skip
"""Codes are places in ``CodeColumn.codes``, -1 where not known. ``bad``: the row is no visit. ``cells``: how many of it could
not be read. ``torn``: no cell of it is known but whose it is."""
FACTORS: Final = pa.schema(
    [(PATIENT_ID, pa.string()), ("line", pa.int64()), ("not_read", pa.uint64()), *((name, pa.float32()) for name in COLUMNS)]
)
"""``not_read``: a bit for each column, in the order of ``COLUMNS``, whose cell could not be read."""
assert len(COLUMNS) <= 64


def bucket_of(ids: NDArray[np.object_], buckets: int) -> Ints:
    """The bucket of each woman ``(n,)``, the same on every machine and in every run."""
    codes, women = pd.factorize(ids)
    hashed = pd.util.hash_array(np.asarray(women, object), categorize=False) % np.uint64(buckets)
    return np.asarray(hashed.astype(np.int64)[codes], np.int64)


def visits_table(frame: pd.DataFrame, ids: NDArray[np.object_], lines: Ints, bad: NDArray[np.bool_], cells: Ints) -> pa.Table:
    """Rows of ``parsed_cells`` as a table."""
    unsaid = np.full(len(frame), -1, np.int8)
    codes = {name: frame[name].cat.codes.to_numpy() if name in frame else unsaid for name in (*_NAMES, *_LISTED)}
    columns = {
        PATIENT_ID: pa.array(ids, pa.string(), from_pandas=True),
        "line": lines,
        VISIT_DATE: frame[VISIT_DATE].to_numpy("datetime64[s]"),
        AGE: pa.array(frame[AGE].to_numpy(np.float32)),
        **{name: values.astype(np.int8) for name, values in codes.items()},
        SLIDE: pa.array(frame[SLIDE].to_numpy(object), pa.string(), from_pandas=True),
        "bad": bad,
        "cells": cells.astype(np.int16),
        "torn": np.zeros(len(frame), bool),
    }
    return pa.table(columns, schema=VISITS)


def torn_table(owners: Sequence[str], lines: Sequence[int]) -> pa.Table:
    """Rows of which only the woman is known."""
    count = len(owners)
    columns: dict[str, Any] = {
        field.name: pa.array(np.full(count, -1, np.int8)) if field.type == pa.int8() else pa.nulls(count, field.type)
        for field in VISITS
    }
    columns |= {PATIENT_ID: pa.array(list(owners), pa.string()), "line": pa.array(lines, pa.int64())}
    columns |= {"bad": pa.array([True] * count), "torn": pa.array([True] * count), "cells": pa.array([0] * count, pa.int16())}
    return pa.table(columns, schema=VISITS)


def frame_of(table: pa.Table) -> pd.DataFrame:
    """The rows as ``parsed_cells`` gives them."""
    ids = table.column(PATIENT_ID).to_numpy()
    data: dict[str, Any] = {
        PATIENT_ID: ids,
        VISIT_DATE: table.column(VISIT_DATE).to_numpy().astype("datetime64[s]"),
        AGE: table.column(AGE).to_numpy().astype(np.float32),
        AT: np.arange(len(ids)),
    }
    for column in CODE_COLUMNS:
        codes = table.column(column.name).to_numpy()
        data[column.name] = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(column.codes)))
    listed = {name: table.column(name).to_numpy() for name in _LISTED}
    if any((codes >= 0).any() for codes in listed.values()):
        for name, codes in listed.items():
            data[name] = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(range(2))))
    data[SLIDE] = table.column(SLIDE).to_numpy()
    return pd.DataFrame(data, index=pd.RangeIndex(len(ids), name="row"))


def in_buckets(table: pa.Table, bucket: Ints) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each bucket, in their order, as one batch each; none of a table without rows."""
    if not len(bucket):
        return
    order = np.argsort(bucket, kind="stable")
    sorted_table = table.take(pa.array(order)).combine_chunks()
    numbers, starts = np.unique(bucket[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    for number, start, end in zip(numbers.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield number, sorted_table.slice(start, end - start).to_batches()[0]


def rows_of(files: Sequence[tuple[int, Path, Sequence[int]]], schema: pa.Schema) -> tuple[pa.Table, Ints]:
    """The rows of a bucket from all parts ``(n,)``, in the order of the parts, and the number of each row's part.

    Parameters
    ----------
    files : sequence of (number of the part, its file, the places of the bucket's batches in it)
    """
    batches, parts = [], []
    for part, path, places in files:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            for place in places:
                batch = reader.get_batch(place)
                batches.append(batch)
                parts.append(np.full(batch.num_rows, part, np.int64))
    table = pa.Table.from_batches(batches, schema=schema)
    return table, np.concatenate([np.empty(0, np.int64), *parts])
