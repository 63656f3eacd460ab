"""Files of women as jobs: small ones answered at once, larger ones in the background. Nothing of them is written to disk."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import JsonValue

from cervix.api.records import JobRecord, new_record, records_of, result_address
from cervix.api.told import (
    PATIENT_EXPORTS,
    CompletenessTold,
    JobState,
    JobTold,
    PatientOptions,
    PatientsResult,
    QuestionTold,
    RowProblemTold,
    StepTold,
    WomanTold,
)
from cervix.bundle import Bundle, ModelSession
from cervix.errors import AnswerGone, CallRefused, Cancelled, CervixError, ServerBusy, UploadTooLarge
from cervix.files import inert
from cervix.held import Held
from cervix.interop.fhir.women import fhir_pieces
from cervix.interop.patient_files import read_patient_file
from cervix.jobs import Job, JobBoard
from cervix.patients.completeness import CELLS, CONTRADICTIONS, IN_FILE, INCOMPLETE, RESTS_ON, USED, completeness_of
from cervix.patients.guideline import with_steps
from cervix.patients.guideline.step import STEP, STEP_REASON, STEP_RESTS_ON
from cervix.patients.history_scoring import score_visits
from cervix.patients.questions import Answers
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import NO_ANSWER, score_patients
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from cervix.provenance import Provenance, provenance_of
from cervix.settings import get_settings
from cervix.web.bundles import active_proved

MOST_FILE_BYTES: Final = 64 << 20
MOST_ROWS: Final = 200_000
"""More is work for ``python -m cervix archive score``, which keeps memory flat."""
ANSWERED_AT_ONCE_BYTES: Final = 256 << 10
"""About 3,000 visits, which are scored in a second."""
FILES_AT_ONCE: Final = 2
FILES_HELD: Final = 8
"""Files that wait or are scored, of all tokens: each is held in memory until it is scored."""
ANSWERS_HELD_BYTES: Final = 512 << 20
ANSWERS_HELD_S: Final = 3600.0
GONE: Final = "The answers about these women are not held here any more"
WHY_GONE: Final = "answers about women are held in memory for an hour, by the server that made them, and never on disk"
_TYPED: Final = frozenset(
    {PATIENT_ID, NO_ANSWER, "abstained", "flagged", STEP, STEP_RESTS_ON, STEP_REASON}
    | {IN_FILE, USED, CELLS, CONTRADICTIONS, INCOMPLETE, RESTS_ON}
)


@dataclass(frozen=True)
class Answered:
    """A file of women that was scored."""

    table: VisitTable | PatientTable
    scores: pd.DataFrame
    session: ModelSession
    origin: Provenance

    @property
    def held_bytes(self) -> int:
        """About what it takes in memory."""
        frames = (self.scores, self.table.frame)
        return int(sum(frame.memory_usage(index=True, deep=True).sum() for frame in frames))


@dataclass(frozen=True)
class WomenDone:
    """How far a file is."""

    done: int
    total: int


PatientJob = Job[WomenDone, None]
"""The answers are held apart, for their time."""


class PatientJobs:
    """The jobs of this process that score files of women."""

    def __init__(self) -> None:
        self._board: JobBoard[WomenDone, None] = JobBoard(FILES_AT_ONCE)
        self._lock = Lock()
        self._live: dict[str, tuple[str, PatientJob]] = {}
        self._answers: Held[Answered] = Held(ANSWERS_HELD_BYTES, lambda answered: answered.held_bytes, ANSWERS_HELD_S)

    def begin(self, content: bytes, options: PatientOptions, holder: str) -> JobRecord:
        """Have a file scored in the background."""
        bundle = active_proved()
        with self._lock:
            ended = [(name, job) for name, (_, job) in self._live.items() if not job.active]
            waiting = len(self._live) - len(ended)
        if waiting >= FILES_HELD:
            raise ServerBusy("Other files are being scored", expected=f"at most {FILES_HELD} at once", action="Ask again soon.")
        self._note_ended(ended)
        record = records_of(get_settings()).keep(new_record("patients", holder, bundle))
        with self._lock:
            job = self._board.submit(record.id, partial(self._work, record.id, content, options, bundle))
            self._live[record.id] = (holder, job)
        return record

    def answer(self, content: bytes, options: PatientOptions, holder: str) -> PatientsResult:
        """Score a file now; ``CervixError`` where it cannot be read."""
        bundle = active_proved()
        answered = answered_file(content, options, bundle)
        record = records_of(get_settings()).keep(new_record("patients", holder, bundle).with_end("done"))
        self._answers.keep(record.id, answered)
        return result_of(answered, record.id)

    def told(self, record: JobRecord) -> JobTold:
        """The state of a job; what became of it is noted once it has ended."""
        with self._lock:
            _, job = self._live.get(record.id, ("", None))
        state: JobState = record.ended or "failed"
        error, code, done, total = record.error, record.code, None, None
        if job is not None and not record.ended:
            state, error, code = job.state, job.error, CervixError.code if job.error else ""
            if job.progress is not None:
                done, total = job.progress.done, job.progress.total
            if not job.active:
                self._noted(record.with_end(state, error, code))
        elif not record.ended or (record.ended == "done" and self._answers.find(record.id) is None):
            gone = AnswerGone(GONE, found=WHY_GONE, action="Send the file again.")
            state, error, code = "failed", str(gone), gone.code
        return JobTold(
            id=record.id,
            kind="patients",
            state=state,
            created=record.created,
            bundle=record.bundle,
            bundle_sha256=record.bundle_sha256,
            done=done,
            total=total,
            error=error,
            code=code,
            result=result_address(record.id) if state == "done" else "",
        )

    def active_of(self, holder: str) -> int:
        """How many jobs of a token wait or run."""
        with self._lock:
            return sum(whose == holder and job.active for whose, job in self._live.values())

    def cancel(self, record: JobRecord) -> None:
        """Stop a job and forget what it came to."""
        with self._lock:
            _, job = self._live.get(record.id, ("", None))
        if job is not None:
            job.cancel()
        self._answers.drop(record.id)
        self._noted(record.with_end("cancelled"))

    def result(self, record: JobRecord) -> PatientsResult:
        """The answers; ``AnswerGone`` where they are not held any more."""
        return result_of(self._answered(record), record.id)

    @contextmanager
    def export(self, record: JobRecord, kind: str) -> Iterator[Path]:
        """The answers as one of ``PATIENT_EXPORTS``, in a folder that is gone after the block."""
        answered = self._answered(record)
        scores, model = answered.scores, answered.session.model
        with TemporaryDirectory() as folder:
            path = Path(folder) / ("patients.csv" if kind == "csv" else "patients.fhir.json")
            if kind == "csv":
                inert(answered.origin.stamp(scores.reset_index())).to_csv(path, index=False)
            else:
                version = kind.removeprefix("fhir-").upper()
                with path.open("w", encoding="utf-8") as file:
                    pieces = fhir_pieces(
                        scores, answered.table.frame, model, answered.origin, "R4" if version == "R4" else "R5"
                    )
                    file.writelines(pieces)
            yield path

    def _answered(self, record: JobRecord) -> Answered:
        answered = self._answers.find(record.id)
        if answered is None:
            raise AnswerGone(GONE, found=WHY_GONE, action="Send the file again.")
        return answered

    def _note_ended(self, ended: list[tuple[str, PatientJob]]) -> None:
        """Note how jobs ended that nobody asked for since."""
        for name, job in ended:
            with self._lock:
                holder, _ = self._live.pop(name, ("", job))
            if record := records_of(get_settings()).find(name, holder):
                records_of(get_settings()).keep(record.with_end(job.state, job.error, CervixError.code if job.error else ""))

    def _noted(self, record: JobRecord) -> None:
        records_of(get_settings()).keep(record)
        with self._lock:
            self._live.pop(record.id, None)

    def _work(self, name: str, content: bytes, options: PatientOptions, bundle: Bundle, job: PatientJob) -> None:
        def show(done: int, total: int) -> None:
            if job.cancel_requested.is_set():
                raise Cancelled("Scoring was stopped")
            job.progress = WomenDone(done, total)

        self._answers.keep(name, answered_file(content, options, bundle, on_progress=show))


def answered_file(content: bytes, options: PatientOptions, bundle: Bundle, *, on_progress: Any = None) -> Answered:
    """A file read and scored, as the command line does.

    Raises
    ------
    PatientFileError
        Where it cannot be read as a whole.
    UploadTooLarge
        Where it has more rows than ``MOST_ROWS``.
    CallRefused
        Where the model named is none for such a table.
    """
    table = read_patient_file(content, strict=options.strict, answers=Answers(options.dates, options.minus))
    if len(table.frame) > MOST_ROWS:
        raise UploadTooLarge(
            "The table has too many rows for one call",
            expected=f"at most {MOST_ROWS:,}",
            found=f"{len(table.frame):,}",
            action="Score it with `python -m cervix archive score`, or send it in parts, each woman whole.",
        )
    kind: Any = "sequence" if isinstance(table, VisitTable) else "table"
    there = [model.id for model in bundle.manifest.of_kind(kind)]
    if not there or options.model not in (None, *there):
        raise CallRefused("There is no such model for this table", expected=" or ".join(there) or "a bundle with one")
    session = bundle.session_of(kind, options.model or "")
    if isinstance(table, VisitTable):
        scores = with_steps(score_visits(table, session, on_progress=on_progress), table.frame, bundle, session.model)
    else:
        scores = score_patients(table, session, on_progress=on_progress)
    return Answered(table, scores, session, provenance_of(bundle, session.model.id))


def result_of(answered: Answered, job: str) -> PatientsResult:
    """The answers as they are told."""
    table, scores, model = answered.table, answered.scores, answered.session.model
    questions = table.questions if isinstance(table, VisitTable) else []
    return PatientsResult(
        job=job,
        provenance=answered.origin,
        model=model.id,
        first_limit=model.limits[0],
        exports=list(PATIENT_EXPORTS),
        women=len(scores),
        rows_left_out=table.rows_left_out,
        notices=table.notices,
        questions=[QuestionTold(option=one.name, question=one.title, choices=dict(one.choices)) for one in questions],
        problems=[
            RowProblemTold(
                row=one.row, patient=one.patient, column=one.column, value=one.value, accepted=one.accepted, became=one.became
            )
            for one in table.problems
        ],
        patients=[_woman(int(str(line)), row) for line, row in zip(scores.index, scores.to_dict("records"), strict=True)],
    )


def _woman(line: int, row: dict[Any, Any]) -> WomanTold:
    risks = {name.removeprefix("risk_"): _json(value) for name, value in row.items() if name == "risk" or name[:5] == "risk_"}
    rests = completeness_of(row)
    step = StepTold(step=row[STEP], rests_on=row[STEP_RESTS_ON], reason=row[STEP_REASON]) if STEP in row else None
    return WomanTold(
        row=line,
        patient_id=str(row.get(PATIENT_ID, "")),
        answered=not row["abstained"],
        no_answer=str(row[NO_ANSWER]),
        risks=risks,
        flagged=bool(row["flagged"]),
        completeness=CompletenessTold(
            visits_in_file=rests.visits_in_file,
            visits_used=rests.visits_used,
            cells_not_read=rests.cells_not_read,
            contradictions=rests.contradictions,
            note=rests.note,
        ),
        guideline=step,
        columns={name: _json(value) for name, value in row.items() if name not in _TYPED and name[:4] != "risk"},
    )


def _json(value: object) -> Any:
    """A cell of a score table as JSON has it: what is not there is null."""
    plain: JsonValue | object = value.item() if isinstance(value, np.generic) else value
    if plain is None or plain is pd.NaT or (isinstance(plain, float) and not math.isfinite(plain)):
        return None
    if isinstance(plain, datetime | date):
        return plain.isoformat()[:10]
    return plain if isinstance(plain, bool | int | float | str) else str(plain)
