"""One bucket of women, scored as one table is: the same readers, the same answers, the same losses."""

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cervix.archive.tables.partition import MODEL_KINDS, VISIT_KIND
from cervix.archive.tables.problems import CONTRADICTION, OLDER, AllProblems, ProblemFile, told_of, written
from cervix.archive.tables.rows import FACTORS, VISITS, frame_of, rows_of
from cervix.bundle import Bundle, ModelSession
from cervix.bundle.sessions import Device
from cervix.files import replacing
from cervix.patients.completeness import INCOMPLETE
from cervix.patients.golden import prove_bundle
from cervix.patients.guideline import with_steps
from cervix.patients.guideline.step import Memory
from cervix.patients.history_scoring import score_visits
from cervix.patients.reading import PatientTable, one_row_a_patient
from cervix.patients.scoring import score_patients
from cervix.patients.sequences import MOST_VISITS
from cervix.patients.visit_losses import AT
from cervix.patients.visits import VisitTable, histories_in_order
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID
from cervix.provenance import provenance_of

SCORES_NAME: Final = "scores"
PROBLEMS_NAME: Final = "problems"
ORDERED_NAME: Final = "rows"
HISTORIES_REMEMBERED: Final = 300_000
"""Steps of histories that one process keeps: some 300 bytes each."""


@dataclass(frozen=True)
class Bucket:
    """What a process needs to score one bucket; it crosses between processes and machines.

    Attributes
    ----------
    files : tuple of (number of the part, its Arrow file, places of the bucket's batches in it)
    out : Path
        Where ``scores`` and ``problems`` get a file each.
    threads : int, optional
        That one run of the session may take.
    model : str
        Of several models of one kind; the first where it is empty.
    today : str
        The day of the run, ISO 8601: it is the same when a run is gone on with.
    """

    number: int
    kind: str
    files: tuple[tuple[int, Path, tuple[int, ...]], ...]
    out: Path
    bundle_root: Path
    device: Device
    threads: int | None
    model: str
    today: str

    @property
    def file_name(self) -> str:
        return f"bucket-{self.number:05d}.parquet"

    def ordered(self, *, threads: int) -> Path:
        """Written down beside the rows that it is made of, for another machine; ``score_ordered`` reads it."""
        path = self.out / ORDERED_NAME / f"bucket-{self.number:05d}.json"
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(replace(self, threads=threads)), default=str), encoding="utf-8")
        return path


def score_ordered(path: Path) -> dict[str, Any]:
    """``score_bucket`` for a bucket that was written down."""
    told = json.loads(path.read_bytes())
    files = tuple((part, Path(file), tuple(places)) for part, file, places in told.pop("files"))
    out, bundle_root = Path(told.pop("out")), Path(told.pop("bundle_root"))
    return score_bucket(Bucket(files=files, out=out, bundle_root=bundle_root, **told))


def score_bucket(bucket: Bucket) -> dict[str, Any]:
    """Score one bucket into its two files, each whole or not there.

    Returns
    -------
    ``number``, ``women`` scored, ``visits`` (rows) that their answers rest on, ``flagged``, ``abstained``, ``incomplete``,
    ``gone``: women of whom nothing could be used; ``problems``; ``seconds`` in all and ``session_seconds`` of them.
    """
    started = time.perf_counter()
    bundle, session = _session(bucket.bundle_root, bucket.device, bucket.threads, bucket.kind, bucket.model)
    with written(bucket.out / PROBLEMS_NAME / bucket.file_name) as problems:
        of_kind = _visits if bucket.kind == VISIT_KIND else _factors
        scores, told = of_kind(bucket, bundle, session, problems)
        if len(scores):
            _write(scores, bundle, session, bucket.out / SCORES_NAME / bucket.file_name)
    counts = {name: int(scores[name].sum()) for name in ("flagged", "abstained", INCOMPLETE)} if len(scores) else {}
    return {
        "number": bucket.number, "women": len(scores), "problems": problems.count, **told, **counts,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip


@lru_cache(maxsize=2)
def _session(root: Path, device: Device, threads: int | None, kind: str, model: str) -> tuple[Bundle, ModelSession]:
    bundle = prove_bundle(root, device=device, kind=MODEL_KINDS[kind], threads=threads)
    return bundle, bundle.session_of(MODEL_KINDS[kind], model)


@lru_cache(maxsize=2)
def _memory(root: Path, model_id: str, today: str) -> Memory:
    del root, model_id, today
    return {}


def _visits(
    bucket: Bucket, bundle: Bundle, session: ModelSession, problems: ProblemFile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    table, parts = rows_of(bucket.files, VISITS)
    torn = table.column("torn").to_numpy()
    owners = table.column(PATIENT_ID).filter(pa.array(torn)).to_pylist()
    if len(owners):
        table, parts = table.filter(pa.array(~torn)), parts[~torn]
    lines = table.column("line").to_numpy()
    frame = frame_of(table)
    reading = AllProblems(np.arange(len(lines)), frame[PATIENT_ID].to_numpy(object))
    reading.bad = table.column("bad").to_numpy()
    reading.cells = table.column("cells").to_numpy().astype(np.int64)
    women = len(reading.women)
    frame = histories_in_order(frame, reading)
    if owners:
        of_whom = pd.Index(reading.women).get_indexer(owners)
        np.add.at(reading.set_aside, of_whom[of_whom >= 0], 1)
    for told in reading.told:
        problems.add(told | {"row": lines[told["row"]]}, parts[told["row"]])
    _tell_older(reading, lines, parts, problems)
    if not len(frame):
        return pd.DataFrame(), {"visits": 0, "gone": women}
    losses = reading.losses(frame)
    visits = VisitTable(frame.drop(columns=AT), [], int(reading.bad.sum()), [], losses)
    scores = score_visits(visits, session)
    memory = _memory(bucket.bundle_root, session.model.id, bucket.today)
    if len(memory) > HISTORIES_REMEMBERED:
        memory.clear()
    today = date.fromisoformat(bucket.today)
    scores = with_steps(scores, visits.frame, bundle, session.model, today=today, memory=memory)
    return _placed(scores, lines, parts), {"visits": len(frame), "gone": women - len(scores)}


def _tell_older(reading: AllProblems, lines: NDArray[Any], parts: NDArray[Any], problems: ProblemFile) -> None:
    at = reading.older
    told = {
        "row": lines[at], "code": OLDER, "column": "(whole row)", "value": [""] * len(at), "meant": [""] * len(at),
        "accepted": f"the newest {MOST_VISITS} visits of a woman", "patient_id": reading.ids[at].tolist(),
    }  # fmt: skip
    problems.add(told, parts[at])


def _factors(
    bucket: Bucket, bundle: Bundle, session: ModelSession, problems: ProblemFile
) -> tuple[pd.DataFrame, dict[str, Any]]:
    del bundle
    table, parts = rows_of(bucket.files, FACTORS)
    lines = table.column("line").to_numpy()
    data: dict[str, Any] = {PATIENT_ID: table.column(PATIENT_ID).to_numpy()}
    data |= {name: table.column(name).to_numpy() for name in COLUMNS}
    frame = pd.DataFrame(data, index=pd.RangeIndex(len(lines), name="row"))
    bits = table.column("not_read").to_numpy()
    not_read = {name: np.flatnonzero((bits >> np.uint64(place)) & np.uint64(1)) for place, name in enumerate(COLUMNS)}
    frame, twins = one_row_a_patient(frame, [], kept=None)
    told = told_of(twins) | {"code": CONTRADICTION}
    problems.add(told | {"row": lines[told["row"]]}, parts[told["row"]])
    if not len(frame):
        return pd.DataFrame(), {"visits": 0, "gone": 0}
    scores = score_patients(PatientTable(frame, [], 0, [], not_read), session)
    return _placed(scores, lines, parts), {"visits": len(frame), "gone": 0}


def _placed(scores: pd.DataFrame, lines: NDArray[Any], parts: NDArray[Any]) -> pd.DataFrame:
    """With the file and line of the row that each answer stands at."""
    at = scores.index.to_numpy(np.int64)
    placed = scores.reset_index(drop=True)
    placed.insert(0, "part", parts[at].astype(np.int32))
    placed.insert(1, "row", lines[at])
    return placed


def _write(scores: pd.DataFrame, bundle: Bundle, session: ModelSession, path: Path) -> None:
    table = pa.Table.from_pandas(scores, preserve_index=False)
    origin = provenance_of(bundle, session.model.id).stamp(pd.DataFrame({"model": [session.model.id]}))
    for name in origin:
        once = pa.array([str(origin[name].iloc[0])])
        table = table.append_column(name, pa.DictionaryArray.from_arrays(np.zeros(len(scores), np.int32), once))
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
