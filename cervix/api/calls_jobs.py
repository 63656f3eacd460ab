"""Calls about jobs: how far one is, that it is not wanted any more, what it came to."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cervix.api.bodies import JSON
from cervix.api.operations import BINARY, OBJECT, Answer, Operation
from cervix.api.patient_jobs import PatientJobs
from cervix.api.places import EXPORTS as TAKING
from cervix.api.records import JobRecord, address, records_of
from cervix.api.refusals import UNPROCESSABLE, Refused, not_found
from cervix.api.slide_jobs import SlideJobs
from cervix.api.told import PATIENT_EXPORTS, JobTold, NoOptions, PatientsResult, ResultOptions, SlideResult, Told
from cervix.errors import AnswerGone, CallRefused
from cervix.interop.exports import EXPORTS
from cervix.interop.fhir.resources import MEDIA_TYPE
from cervix.settings import get_settings
from cervix.web.programs import caller_of

ASK_AGAIN_S: Final = 2
NOT_YET: Final = ("waiting", "running")


class JobKind(Protocol):
    """What the jobs of one kind can be asked."""

    def told(self, record: JobRecord) -> JobTold: ...
    def cancel(self, record: JobRecord) -> None: ...
    def active_of(self, holder: str) -> int: ...
    def result(self, record: JobRecord) -> Told: ...
    def export(self, record: JobRecord, kind: str) -> AbstractContextManager[Path | Iterator[str]]: ...


SLIDES: Final = SlideJobs()
PATIENTS: Final = PatientJobs()
KINDS: Final[dict[str, JobKind]] = {"slide": SLIDES, "patients": PATIENTS}
FORMS: Final = {
    "slide": {kind: export.media_type for kind, export in EXPORTS.items()},
    "patients": {kind: "text/csv" if kind == "csv" else MEDIA_TYPE for kind in PATIENT_EXPORTS},
}
"""Kind of job -> form of its answer -> media type."""


def require_room(holder: str) -> None:
    """``Refused`` where as many jobs of a token wait or run as may."""
    most = get_settings().api_jobs
    active = sum(kind.active_of(holder) for kind in KINDS.values())
    if active >= most:
        error = CallRefused(
            "Too many jobs of this token wait or run",
            expected=f"at most {most}",
            found=str(active),
            action="Wait for one, or cancel one. The limit is CERVIX_API_JOBS.",
        )
        raise Refused(error, 429)


async def job_answer(record: JobRecord, status: int) -> Response:
    """A job as it is now."""
    told = await run_in_threadpool(KINDS[record.kind].told, record)
    headers = {"Location": address(record.id)} if status == 202 else {}
    if told.state in NOT_YET:
        headers["Retry-After"] = str(ASK_AGAIN_S)
    return Response(told.model_dump_json(), status, headers, JSON)


async def _found(request: Request) -> JobRecord:
    records = records_of(get_settings())
    await run_in_threadpool(records.sweep)
    record = await run_in_threadpool(records.find, request.path_params["job"], caller_of(request))
    if record is None:
        raise not_found()
    return record


async def _job(request: Request, _: NoOptions) -> Response:
    return await job_answer(await _found(request), 200)


async def _cancel(request: Request, _: NoOptions) -> Response:
    record = await _found(request)
    kind = KINDS[record.kind]
    told = await run_in_threadpool(kind.told, record)
    await run_in_threadpool(kind.cancel, record)
    if told.state in NOT_YET:
        return await job_answer(await _found(request), 200)
    await run_in_threadpool(records_of(get_settings()).forget, record.id)
    return Response(status_code=204)


async def _result(request: Request, options: ResultOptions) -> Response:
    record = await _found(request)
    forms = FORMS[record.kind]
    if options.export is not None and options.export not in forms:
        raise Refused(CallRefused("There is no such export", expected=" or ".join(forms)), UNPROCESSABLE)
    told = await run_in_threadpool(KINDS[record.kind].told, record)
    if told.state in NOT_YET:
        raise Refused(CallRefused("There is no answer yet", found=told.state, action="Ask for the job."), 409)
    if told.state != "done":
        status = 410 if told.code == AnswerGone.code else 409
        error = AnswerGone if status == 410 else CallRefused
        raise Refused(error("There is no answer", found=told.error.removesuffix(".") or told.state), status)
    if options.export is not None:
        return await _export(record, options.export)
    with TAKING.taken():
        answer = await run_in_threadpool(lambda: KINDS[record.kind].result(record).model_dump_json())
    return Response(answer, 200, media_type=JSON)


async def _export(record: JobRecord, form: str) -> Response:
    """A file, whose folder is gone once it is sent, or text that never is one."""
    held = ExitStack()
    try:
        held.enter_context(TAKING.taken())
        made = await run_in_threadpool(lambda: held.enter_context(KINDS[record.kind].export(record, form)))
    except BaseException:
        held.close()
        raise
    media = FORMS[record.kind][form]
    if isinstance(made, Path):
        return _HeldAnswer(FileResponse(made, media_type=media, filename=f"{record.id[:8]}-{made.name}"), held)
    return _HeldAnswer(StreamingResponse(iterate_in_threadpool(made), media_type=media), held)


class _HeldAnswer(Response):
    """An answer for which something is held until it is sent, or nobody listens any more."""

    def __init__(self, answer: Response, held: ExitStack) -> None:
        self._answer, self._held = answer, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        finally:
            await run_in_threadpool(self._held.close)


def _files() -> dict[str, Any]:
    kinds = dict.fromkeys(media for forms in FORMS.values() for media in forms.values())
    return {media: OBJECT if media.endswith("json") else BINARY for media in kinds}


JOB_OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/jobs/{job}",
        name="getJob",
        summary="How far a job is.",
        handler=_job,
        answers={200: Answer("The job.", {JSON: JobTold}, ("Retry-After",))},
        refusals=(422,),
    ),
    Operation(
        method="DELETE",
        path="/jobs/{job}",
        name="cancelJob",
        summary="Stop a job; forget one that has ended, and the answers about women with it.",
        handler=_cancel,
        answers={200: Answer("The job, cancelled.", {JSON: JobTold}), 204: Answer("It had ended and is forgotten.")},
        refusals=(422,),
    ),
    Operation(
        method="GET",
        path="/jobs/{job}/result",
        name="getResult",
        summary="What a job came to: JSON, or one of its exports.",
        handler=_result,
        options=ResultOptions,
        answers={200: Answer("The answer.", {JSON: (SlideResult, PatientsResult), **_files()})},
        refusals=(409, 410, 422, 503, 507),
    ),
)
