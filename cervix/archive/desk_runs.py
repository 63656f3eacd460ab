"""Runs that the app started, on disk: ``archive/<run id>/desk.json`` beside what the run itself writes there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.files import replacing

DESK_NAME: Final = "desk.json"
State = Literal["running", "done", "stopped", "refused", "failed", "interrupted"]


class DeskOrder(BaseModel):
    """What somebody asked for."""

    model_config = ConfigDict(frozen=True)

    title: str
    """Where the slides come from, in words."""
    sources: list[str]
    """As the command takes them."""
    by: str
    """Who asked, as the label store knows people."""
    bundle_root: Path
    bundle_sha256: str
    device: str = "auto"
    triage: bool = False


class DeskRun(BaseModel):
    """One run, what was ordered, and what became of it.

    ``refused`` runs ended with a sentence of the command's, ``failed`` ones otherwise; ``interrupted`` ones ended while no
    server watched, with the machine or by a signal. A run that is not ``done`` can be gone on with.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    order: DeskOrder
    started: datetime
    """When it was ordered: going on with it changes nothing of that."""
    group: int = 0
    """Process group of the command."""
    state: State = "running"
    ended: datetime | None = None
    message: str = ""
    """How it ended, in words; empty for ``running`` and ``done``."""


def new_run(order: DeskOrder) -> DeskRun:
    """A run that is about to start, under an id of its own."""
    now = datetime.now(UTC)
    return DeskRun(id=f"{now:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}", order=order, started=now)


def read_run(folder: Path) -> DeskRun | None:
    """The run of a folder; None where there is none or it cannot be read."""
    try:
        return DeskRun.model_validate_json((folder / DESK_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def write_run(folder: Path, run: DeskRun) -> None:
    """Write a run, whole or not at all."""
    with replacing(folder / DESK_NAME) as temporary:
        temporary.write_text(run.model_dump_json(indent=2), encoding="utf-8")
