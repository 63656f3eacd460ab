"""Retraining runs on disk: ``retraining/<run id>/``.

``run.json`` says what was ordered and how it ended, ``log.txt`` is what the trainer printed, ``alive`` tells whether it lives
(``cervix.own_process``).
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.files import replacing
from cervix.retraining.command import RetrainingOrder

RUN_NAME = "run.json"
SCRATCH_NAME = "scratch"
CANDIDATE_PREFIX = "candidate-"
LEAST_TOLD = 0.02
"""Share of a run below which its pace says nothing of the rest."""

State = Literal["running", "done", "refused", "failed", "stopped", "interrupted"]


class Run(BaseModel):
    """One retraining: what was ordered, and what became of it.

    ``refused`` runs ended with a sentence of the trainer's, ``failed`` ones otherwise; ``interrupted`` ones ended while no
    server watched, with the machine or by a signal.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    order: RetrainingOrder
    candidate_dir: Path
    """Where the candidate is, once ``done``."""
    started: datetime
    group: int = 0
    """Process group of the trainer."""
    state: State = "running"
    ended: datetime | None = None
    message: str = ""
    """How it ended, in words; empty for ``running`` and ``done``."""
    candidate: str = ""
    """Name, version and short hash of the candidate; empty unless ``done``."""

    @property
    def elapsed_s(self) -> float:
        """Seconds from start to end, or until now."""
        return max(0.0, ((self.ended or datetime.now(UTC)) - self.started).total_seconds())

    def left_s(self, share: float, told_at: float) -> float | None:
        """Seconds that are left if the rest goes as the first part did.

        Parameters
        ----------
        share : float
            0 to 1, how far the run said it was.
        told_at : float
            When it said so, in seconds since 1970.

        Returns
        -------
        float or None
            None where that says nothing: too little is done, or it takes longer than the first part made one expect.
        """
        if share < LEAST_TOLD:
            return None
        ends_at = self.started.timestamp() + (told_at - self.started.timestamp()) / share
        left = ends_at - datetime.now(UTC).timestamp()
        return left if left > 0 else None


def new_run(order: RetrainingOrder, bundles_dir: Path) -> Run:
    """A run that is about to start, under an id of its own."""
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"
    return Run(id=name, order=order, candidate_dir=(bundles_dir / (CANDIDATE_PREFIX + name)).absolute(), started=now)


def read_run(folder: Path) -> Run | None:
    """The run of a folder; None where there is none or it cannot be read."""
    try:
        return Run.model_validate_json((folder / RUN_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def write_run(folder: Path, run: Run) -> None:
    """Write a run, whole or not at all."""
    with replacing(folder / RUN_NAME) as temporary:
        temporary.write_text(run.model_dump_json(indent=2), encoding="utf-8")
