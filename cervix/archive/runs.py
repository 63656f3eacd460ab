"""A run on disk: ``run.json`` says what was ordered, ``ledger.sqlite`` what became of it, ``bundle/`` is its own copy.

Scores lie under ``results_dir`` as those of single slides do: ``<slide sha>/<bundle sha>/``.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.bundle.sessions import Device
from cervix.files import replacing

RUN_NAME: Final = "run.json"
BUNDLE_NAME: Final = "bundle"
RESULTS_NAME: Final = "results"
SUMMARY_DIR_NAME: Final = "summary"


class RunOrder(BaseModel):
    """What was ordered. A run that is gone on with keeps its order."""

    model_config = ConfigDict(frozen=True)

    sources: list[str]
    bundle_label: str
    bundle_sha256: str
    results_dir: Path
    started: datetime
    started_by: str = ""
    ray: str = ""
    """Address of the Ray cluster, or ``auto``; empty for this machine's devices."""
    device: Device = "auto"
    triage: bool = False
    everywhere: bool = False
    despite_quality: bool = False
    attempts_at_most: int = 3


def read_order(out: Path) -> RunOrder | None:
    """The order of a run; None where there is none, or it cannot be read."""
    try:
        return RunOrder.model_validate_json((out / RUN_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def write_order(out: Path, order: RunOrder) -> None:
    """Write the order of a run, whole or not at all."""
    with replacing(out / RUN_NAME) as temporary:
        temporary.write_text(order.model_dump_json(indent=2), encoding="utf-8")
