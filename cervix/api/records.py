"""What is on disk of the jobs of the API: whose each is, what was asked for, how it ended. Never anything of a patient."""

import logging
import secrets
import time
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.api import PREFIX
from cervix.api.told import JobState, JobTold, Sha256
from cervix.bundle import Bundle
from cervix.errors import NameRefused
from cervix.files import replacing
from cervix.outside_names import inside
from cervix.settings import Settings

logger = logging.getLogger(__name__)

RECORDS_KEPT_S: Final = 30 * 86_400.0
"""A job is known for 30 days; the score of a slide stays for as long as results do."""


class SlideAsked(BaseModel):
    """Which slide was to be scored, and how."""

    model_config = ConfigDict(frozen=True)

    path: Path
    sha256: Sha256
    spacing_um_px: float
    by_user: bool
    """Whether the scale was given with the call."""
    everywhere: bool
    warnings: list[str]


class JobRecord(BaseModel):
    """One job. ``holder`` is the SHA-256 of the token that made it; ``ended`` is empty for as long as nobody saw it end."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Literal["slide", "patients"]
    holder: Sha256
    created: datetime
    bundle: str
    bundle_root: Path
    bundle_sha256: Sha256
    slide: SlideAsked | None = None
    ended: Literal["", "done", "failed", "cancelled"] = ""
    error: str = ""
    code: str = ""

    def with_end(self, state: JobState, error: str = "", code: str = "") -> "JobRecord":
        """The same, ended."""
        return self.model_copy(update={"ended": state, "error": error, "code": code})


def address(job: str) -> str:
    """Where a job is asked for."""
    return f"{PREFIX}/jobs/{job}"


def result_address(job: str) -> str:
    """Where its answer is."""
    return f"{address(job)}/result"


def told_of(record: JobRecord, state: JobState, error: str, code: str, **details: Any) -> JobTold:
    """What a caller is told of a job in a state, with what its kind has to say beside that."""
    return JobTold(
        id=record.id,
        kind=record.kind,
        state=state,
        created=record.created,
        bundle=record.bundle,
        bundle_sha256=record.bundle_sha256,
        error=error,
        code=code,
        result=result_address(record.id) if state == "done" else "",
        **details,
    )


def new_record(kind: Literal["slide", "patients"], holder: str, bundle: Bundle, slide: SlideAsked | None = None) -> JobRecord:
    """A record under an id that nobody can guess."""
    return JobRecord(
        id=secrets.token_hex(16),
        kind=kind,
        holder=holder,
        created=datetime.now(UTC),
        bundle=bundle.label,
        bundle_root=bundle.root,
        bundle_sha256=bundle.sha256,
        slide=slide,
    )


class Records:
    """The records under one folder. Several servers may share it: a record is one file, written whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._swept = 0.0

    def keep(self, record: JobRecord) -> JobRecord:
        """Write a record; it counts once it is there."""
        with replacing(self._path(record.id)) as temporary:
            temporary.write_text(record.model_dump_json(), encoding="utf-8")
        return record

    def find(self, job: str, holder: str) -> JobRecord | None:
        """The record of a job; None where there is none or it belongs to another token."""
        try:
            record = JobRecord.model_validate_json(self._path(job).read_bytes())
        except (FileNotFoundError, NameRefused, ValidationError):
            return None
        return record if secrets.compare_digest(record.holder, holder) else None

    def of_slide(self, sha256: str, holder: str) -> JobRecord | None:
        """The latest record of a slide that this token had scored."""
        found = (self.find(path.stem, holder) for path in self.folder.glob("*.json"))
        mine = [record for record in found if record is not None and record.slide is not None and record.slide.sha256 == sha256]
        return max(mine, key=lambda record: record.created, default=None)

    def forget(self, job: str) -> None:
        """Let a job be known no more."""
        self._path(job).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Forget jobs of long ago, at most once an hour."""
        now = time.time()
        if now - self._swept < 3600.0 or not self.folder.is_dir():
            return
        self._swept = now
        old = [path for path in self.folder.glob("*.json") if path.stat().st_mtime < now - RECORDS_KEPT_S]
        for path in old:
            path.unlink(missing_ok=True)
        if old:
            logger.info("%d jobs of the API were forgotten after %.0f days", len(old), RECORDS_KEPT_S / 86_400)

    def _path(self, job: str) -> Path:
        return inside(self.folder, f"{job}.json")


@lru_cache(maxsize=64)
def _records_in(folder: Path) -> Records:
    return Records(folder)


def records_of(settings: Settings) -> Records:
    """The records of one home."""
    return _records_in(settings.home / "api" / "jobs")
