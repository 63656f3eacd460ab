"""Files of women as jobs: small ones answered at once, larger ones in the background. Nothing of them is written to disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final

from cervix.api.records import JobRecord, new_record, records_of, told_of
from cervix.api.told import (
    JobState,
    JobTold,
    PatientOptions,
    PatientsResult,
)
from cervix.api.women import Answered, answered_file, csv_pieces, fhir_text, result_of
from cervix.bundle import Bundle
from cervix.errors import AnswerGone, Cancelled, ServerBusy
from cervix.held import Held
from cervix.jobs import Job, JobBoard
from cervix.settings import get_settings
from cervix.web.bundles import active_proved

MOST_FILE_BYTES: Final = 64 << 20
ANSWERED_AT_ONCE_BYTES: Final = 256 << 10
"""160 kB of visits, 3,600 of 900 women, took 0.5 s of one core with the shipped bundle."""
FILES_AT_ONCE: Final = 2
FILES_HELD: Final = 8
"""Files that wait or are scored, of all tokens: each is held in memory until it is scored."""
ANSWERS_HELD_BYTES: Final = 512 << 20
ANSWERS_HELD_S: Final = 3600.0
GONE: Final = "The answers about these women are not held here any more"
WHY_GONE: Final = "answers about women are held in memory for an hour, by the server that made them, and never on disk"


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
            state, error, code = job.state, job.error, job.code
            if job.progress is not None:
                done, total = job.progress.done, job.progress.total
            if not job.active:
                self._noted(record.with_end(state, error, code))
        elif not record.ended or (record.ended == "done" and self._answers.find(record.id) is None):
            gone = AnswerGone(GONE, found=WHY_GONE, action="Send the file again.")
            state, error, code = "failed", str(gone), gone.code
        return told_of(record, state, error, code, done=done, total=total)

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
    def export(self, record: JobRecord, kind: str) -> Iterator[Iterator[str]]:
        """The answers as one of ``PATIENT_EXPORTS``, piece by piece: not even this is written to disk."""
        answered = self._answered(record)
        yield csv_pieces(answered) if kind == "csv" else fhir_text(answered, kind.removeprefix("fhir-").upper())

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
                records_of(get_settings()).keep(record.with_end(job.state, job.error, job.code))

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
