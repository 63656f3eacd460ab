"""Calls about women: a file of them is scored, at once where it is small."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cervix.api.bodies import JSON, require_media_type, whole_body
from cervix.api.calls_jobs import PATIENTS, job_answer, require_room
from cervix.api.operations import BINARY, OBJECT, Answer, Operation
from cervix.api.patient_jobs import ANSWERED_AT_ONCE_BYTES, MOST_FILE_BYTES
from cervix.api.places import TABLES
from cervix.api.told import JobTold, PatientOptions, PatientsResult
from cervix.interop.fhir.resources import MEDIA_TYPE as FHIR
from cervix.web.programs import caller_of

TAKEN: Final = (
    "text/csv",
    "application/octet-stream",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.apache.parquet",
    FHIR,
    JSON,
)


async def _patients(request: Request, options: PatientOptions) -> Response:
    holder = caller_of(request)
    require_media_type(request, TAKEN)
    require_room(holder)
    with TABLES.taken():
        content = await whole_body(request, MOST_FILE_BYTES, "file")
        if len(content) > ANSWERED_AT_ONCE_BYTES:
            return await job_answer(await run_in_threadpool(PATIENTS.begin, content, options, holder), 202)
        answer = await run_in_threadpool(lambda: PATIENTS.answer(content, options, holder).model_dump_json())
    return Response(answer, 200, media_type=JSON)


PATIENT_OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/patients",
        name="scorePatients",
        summary="Have a visit table, a risk-factor table or FHIR results scored; what it is, its content says.",
        handler=_patients,
        options=PatientOptions,
        bodies={media: OBJECT if media.endswith("json") else BINARY for media in TAKEN},
        answers={
            200: Answer("The answers, where the file is small.", {JSON: PatientsResult}),
            202: Answer("A job, where it is not.", {JSON: JobTold}, ("Location", "Retry-After")),
        },
        refusals=(413, 415, 422, 429, 503, 507),
    ),
)
