"""Slides as jobs: opened and looked at at once, scored at the server's desk, answered from what lies on disk."""

import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from cervix.api.records import JobRecord, Records, SlideAsked, new_record, records_of, told_of
from cervix.api.told import JobState, JobTold, SlideOptions, SlideResult
from cervix.bundle import Bundle
from cervix.bundle.active import active_bundle
from cervix.bundle.loading import read_manifest
from cervix.errors import AnswerGone, BundleError, SlideNotReadable, SlideNotSuitable, WrongStain
from cervix.intake.shelf import remember
from cervix.interop.exports import EXPORTS, write_export
from cervix.settings import get_settings
from cervix.slides.desk import SlideJob
from cervix.slides.gate import plan_through_the_gate
from cervix.slides.results import SUMMARY_NAME, result_dir, unfinished_in
from cervix.slides.scoring import SlideSummary
from cervix.slides.tissue import outline
from cervix.sources.identity import Mark, mark_of
from cervix.sources.probe import open_outside
from cervix.sources.slide import Slide
from cervix.web.bundles import active_proved, proved_before
from cervix.web.desk import scoring_desk
from cervix.web.uploads import upload_store

STOPPED = "The score was stopped before it was finished, by a person or by a fault, and the server was started again since"
ASK_AGAIN = "Send the slide again: what is scored already is not scored again."


class SlideJobs:
    """The jobs of this process that score slides. What others began is read from disk."""

    def __init__(self) -> None:
        self._lock = Lock()
        # A finished score of 100,000 tiles holds 70 MB: the desk decides for how long.
        self._live: dict[str, tuple[weakref.ref[SlideJob], bool]] = {}

    def begin(self, path: Path, sha256: str | None, options: SlideOptions, holder: str) -> JobRecord:
        """Open a slide, look at it, put it on the shelf and have it scored.

        Raises ``CervixError`` where it cannot be, for what the slide is: nothing is begun then.
        """
        bundle = active_proved()
        slide = open_outside(path, sha256=sha256)
        if options.spacing is not None:
            slide = slide.with_spacing(options.spacing)
        _ = slide.known_spacing_um_px
        try:
            plan, gate = plan_through_the_gate(
                slide, bundle, everywhere=options.everywhere, despite_quality=options.despite_quality
            )
        except WrongStain as error:
            # Callers know it as a slide that is not suitable.
            raise SlideNotSuitable(error.problem, action=f"{error.action} With despite_quality=true it is scored.") from error
        remember(get_settings().shelf_dir, slide, outline(plan.tissue))
        asked = SlideAsked(
            path=path.resolve(),
            sha256=slide.sha256,
            spacing_um_px=slide.known_spacing_um_px,
            by_user=slide.spacing_source == "user",
            everywhere=plan.everywhere,
            warnings=[warning for warning in (gate.wrong_stain, *gate.warnings) if warning],
        )
        record = _records().keep(new_record("slide", holder, bundle, asked))
        with self._lock:
            self._live = {name: live for name, live in self._live.items() if live[0]() is not None}
            before = scoring_desk().job(slide, bundle, everywhere=plan.everywhere)
            of_others = before is not None and before.active and not self._ids(before)
            job = scoring_desk().start(slide, bundle, plan, f"api {holder[:12]}")
            self._live[record.id] = (weakref.ref(job), of_others)
        return record

    def told(self, record: JobRecord) -> JobTold:
        """The state of a job; what it has come to is noted once it has ended."""
        asked = _asked(record)
        job = self._job(record)
        done = total = seconds_left = None
        state: JobState
        if record.ended in ("cancelled", "failed"):
            state, error, code = record.ended, record.error, record.code
        elif job is not None and job.active:
            state, error, code = job.state, "", ""
            if job.progress is not None:
                done, total, seconds_left = job.progress.done, job.progress.total, job.progress.eta_s
        elif self._summary(record) is not None:
            state, error, code = "done", "", ""
            self._noted(record, "done")
        elif job is not None and job.state in ("failed", "cancelled"):
            state, error, code = job.state, job.error, job.code
            self._noted(record, state, error, code)
        else:
            state, error, code = self._from_disk(record)
        return told_of(
            record,
            state,
            error,
            code,
            slide_sha256=asked.sha256,
            done=done,
            total=total,
            seconds_left=seconds_left if seconds_left is not None and 0 <= seconds_left < float("inf") else None,
            warnings=asked.warnings,
        )

    def active_of(self, holder: str) -> int:
        """How many jobs of a token wait or run in this process."""
        with self._lock:
            known = list(self._live.items())
        active = [name for name, (ref, _) in known if (job := ref()) is not None and job.active]
        return sum(_records().find(name, holder) is not None for name in active)

    def cancel(self, record: JobRecord) -> None:
        """Stop a job, unless somebody else waits for the same score: then this one is given up alone."""
        job = self._job(record)
        with self._lock:
            _, of_others = self._live.pop(record.id, (None, True))
            alone = job is not None and not of_others and not self._ids(job)
        self._noted(record, "cancelled")
        if alone and job is not None:
            job.cancel()

    def result(self, record: JobRecord) -> SlideResult:
        """The answer; ``AnswerGone`` where it is not kept any more."""
        summary = self._summary(record)
        if summary is None:
            raise AnswerGone("The score of this slide is not kept any more", action=ASK_AGAIN)
        try:
            manifest, sha256 = read_manifest(record.bundle_root)
        except BundleError as error:
            raise _no_bundle() from error
        if sha256 != record.bundle_sha256:
            raise _no_bundle()
        model = manifest.first_of("tile")
        return SlideResult(
            job=record.id,
            sentence=summary.answer.sentence,
            organs_seen=model.organs_seen,
            first_limit=model.limits[0],
            exports=list(EXPORTS),
            summary=summary,
        )

    @contextmanager
    def export(self, record: JobRecord, kind: str) -> Iterator[Path]:
        """The answer in one of ``EXPORTS``, in a folder that is gone after the block."""
        asked, bundle = _asked(record), _bundle_of(record)
        try:
            slide = _opened(asked.path, mark_of(asked.path))
        except (OSError, SlideNotReadable) as error:
            raise AnswerGone(
                "The slide is not where it was, and this form needs it",
                found="uploaded slides are deleted after a day, unless they are marked to be kept",
                action="The answer itself is still there, without export.",
            ) from error
        if asked.by_user:
            slide = slide.with_spacing(asked.spacing_um_px)
        score = scoring_desk().score(slide, bundle, everywhere=asked.everywhere) if slide.sha256 == asked.sha256 else None
        if score is None:
            raise AnswerGone("The score of this slide is not kept any more", action=ASK_AGAIN)
        with tempfile.TemporaryDirectory() as folder:
            yield write_export(kind, score, slide, bundle.session_of("tile"), Path(folder), "slide")

    def _job(self, record: JobRecord) -> SlideJob | None:
        """The job in this process that makes what a record asks for."""
        with self._lock:
            ref, _ = self._live.get(record.id, (None, False))
        if ref is not None and (job := ref()) is not None:
            return job
        asked = _asked(record)
        return scoring_desk().job_of(asked.sha256, record.bundle_sha256, asked.spacing_um_px, asked.everywhere)

    def _ids(self, job: SlideJob) -> list[str]:
        """The jobs of the API that wait for one of the desk."""
        return [name for name, (ref, _) in self._live.items() if ref() is job]

    def _noted(self, record: JobRecord, state: JobState, error: str = "", code: str = "") -> None:
        if record.ended != state:
            _records().keep(record.with_end(state, error, code))
        with self._lock:
            self._live.pop(record.id, None)

    def _summary(self, record: JobRecord) -> SlideSummary | None:
        """The summary of exactly what was asked for, from disk, or from memory where the disk was full."""
        asked = _asked(record)
        folder = result_dir(get_settings().results_dir, asked.sha256, record.bundle_sha256)
        try:
            summary: SlideSummary | None = SlideSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes())
        except (FileNotFoundError, ValidationError):
            job = self._job(record)
            summary = job.result.summary if job is not None and job.result is not None else None
        if summary is None:
            return None
        same = summary.spacing_um_px == asked.spacing_um_px and summary.everywhere == asked.everywhere
        return summary if same else None

    def _from_disk(self, record: JobRecord) -> tuple[JobState, str, str]:
        """The state of what no job of this process does: another server's, one that waits to be resumed, or one that ended."""
        if record.ended == "done":
            gone = AnswerGone("The score of this slide is not kept any more", action=ASK_AGAIN)
            return "failed", str(gone), gone.code
        asked = _asked(record)
        orders = unfinished_in(result_dir(get_settings().results_dir, asked.sha256, record.bundle_sha256))
        wanted = (asked.spacing_um_px, asked.everywhere)
        if any((order.spacing_um_px, order.everywhere) == wanted for order in orders) and _is_active(record.bundle_sha256):
            return "waiting", "", ""
        stopped = AnswerGone(STOPPED, action=ASK_AGAIN)
        return "failed", str(stopped), stopped.code


def _records() -> Records:
    return records_of(get_settings())


def _asked(record: JobRecord) -> SlideAsked:
    if record.slide is None:
        raise AnswerGone("What is kept of this job is not complete", action=ASK_AGAIN)
    return record.slide


def _is_active(sha256: str) -> bool:
    """Whether scores by this bundle are gone on with after a restart."""
    return active_bundle(get_settings()).sha256 == sha256


def _bundle_of(record: JobRecord) -> Bundle:
    """The bundle that a job was scored by, though another may be active now; ``AnswerGone`` where it is not there."""
    try:
        return proved_before(record.bundle_root, record.bundle_sha256, get_settings().device)
    except BundleError as error:
        raise _no_bundle() from error


def _no_bundle() -> AnswerGone:
    return AnswerGone("The bundle that scored this slide is not where it was", action="Send the slide again.")


@lru_cache(maxsize=8)
def _opened(path: Path, _mark: Mark) -> Slide:
    return open_outside(path, sha256=upload_store().sha256_at(path))
