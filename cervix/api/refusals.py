"""Refusals as HTTP answers: one sentence, one code, the status that fits, and nothing of what was sent."""

import logging
import traceback
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from cervix.errors import (
    AnswerGone,
    BundleError,
    CallRefused,
    CervixError,
    DeviceLost,
    NoRoomForUpload,
    ServerBusy,
    UploadBusy,
    UploadTooLarge,
)

logger = logging.getLogger(__name__)

# The first that fits counts. Whatever else is wrong is wrong with what was sent.
STATUS: Final[tuple[tuple[type[CervixError], int], ...]] = (
    (UploadTooLarge, 413),
    (NoRoomForUpload, 507),
    (UploadBusy, 409),
    (AnswerGone, 410),
    (ServerBusy, 503),
    (DeviceLost, 503),
    (BundleError, 503),
)
UNPROCESSABLE: Final = 422
RETRY_AFTER_S: Final = {429: 10, 503: 2, 507: 600}
CLOSED_BY_CALLER: Final = 499
WORDS: Final = {404: "There is nothing here", 405: "This address does not take that method"}


class Refused(Exception):
    """A refusal whose status does not follow from its error alone."""

    def __init__(self, error: CervixError, status: int, **headers: str) -> None:
        super().__init__(str(error))
        self.error, self.status, self.headers = error, status, headers


def not_found(what: str = "job") -> Refused:
    """There is none, or it is another token's: nobody learns which."""
    return Refused(CallRefused(f"There is no such {what}"), 404)


def refusal(error: CervixError, status: int | None = None, headers: dict[str, str] | None = None) -> Response:
    """A refusal as an answer; its status follows from the error where none is given."""
    found = status or next((of for kind, of in STATUS if isinstance(error, kind)), UNPROCESSABLE)
    again = {"Retry-After": str(RETRY_AFTER_S[found])} if found in RETRY_AFTER_S else {}
    # With "close" nobody goes on sending what is refused.
    return JSONResponse({"error": str(error), "code": error.code}, found, {"Connection": "close", **again, **(headers or {})})


async def _refused(_: Request, raised: Exception) -> Response:
    assert isinstance(raised, Refused)
    return refusal(raised.error, raised.status, {name.replace("_", "-"): value for name, value in raised.headers.items()})


async def _said(_: Request, raised: Exception) -> Response:
    assert isinstance(raised, CervixError)
    return refusal(raised)


async def _http(_: Request, raised: Exception) -> Response:
    assert isinstance(raised, HTTPException)
    error = CallRefused(WORDS.get(raised.status_code, "The call is refused"))
    return refusal(error, raised.status_code, dict(raised.headers or {}))


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody is there to answer.
    return Response(status_code=CLOSED_BY_CALLER)


async def _disk(_: Request, raised: Exception) -> Response:
    assert isinstance(raised, OSError)
    # Without the traceback: the system's own words name files.
    logger.error("a call failed: %s (%s)", raised.strerror, type(raised).__name__)
    return refusal(NoRoomForUpload("The server could not keep or read what this needs", found=raised.strerror or ""))


async def _unexpected(_: Request, raised: Exception) -> Response:
    # Where it happened, and never what was said of it: the message may repeat what was sent.
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(traceback.extract_tb(raised.__traceback__)))
    logger.error("a call failed unexpectedly: %s at %s", type(raised).__name__, where)
    return refusal(CervixError("Something unexpected went wrong", action="The server's log says where."), 500)


HANDLERS: Final = {
    Refused: _refused,
    HTTPException: _http,
    ClientDisconnect: _gone,
    CervixError: _said,
    OSError: _disk,
    Exception: _unexpected,
}
"""What becomes of whatever is raised while a call is answered; the nearest class counts."""
