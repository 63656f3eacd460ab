"""A run on disk: ``run.json`` says what was ordered, ``ledger.sqlite`` what became of it, ``bundle/`` is its own copy.

Scores lie under ``results_dir`` as those of single slides do: ``<slide sha>/<bundle sha>/``.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.archive.ledger_file import LEDGER_NAME
from cervix.archive.tables.ledger import LEDGER_NAME as TABLES_LEDGER_NAME
from cervix.bundle.sessions import Device
from cervix.errors import ArchiveRunRefused
from cervix.files import replacing

RUN_NAME: Final = "run.json"
BUNDLE_NAME: Final = "bundle"
RESULTS_NAME: Final = "results"
SUMMARY_DIR_NAME: Final = "summary"
BEFORE_NAME: Final = "bundles-before"
"""Manifests of the bundles that a run had before its own, each in a folder of its hash."""


_OWN: Final = (BUNDLE_NAME, BEFORE_NAME, RESULTS_NAME, SUMMARY_DIR_NAME, "rows", "scores", "problems")
"""Folders within that of a run, over slides or tables, that hold what it made."""


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


def is_of_a_run(folder: Path) -> bool:
    """Whether a folder is that of a run, or one that a run made in its own: neither slides nor tables of a source lie there."""
    return _holds_a_run(folder) or (folder.name in _OWN and _holds_a_run(folder.parent))


def _holds_a_run(folder: Path) -> bool:
    return (folder / BUNDLE_NAME).is_dir() and any((folder / name).is_file() for name in (LEDGER_NAME, TABLES_LEDGER_NAME))


def require_text(names: Iterable[str]) -> None:
    """Raise ``ArchiveRunRefused`` where a name is no text, as on disks that were written in another encoding."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ArchiveRunRefused(
                "The name of a folder or file is no text",
                expected="names in UTF-8",
                action="Rename it, or name a link to the folder above it.",
            ) from error


def read_order(out: Path) -> RunOrder | None:
    """The order of a run; None where there is none, or it cannot be read."""
    try:
        return RunOrder.model_validate_json((out / RUN_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def write_order(out: Path, order: RunOrder) -> None:
    """Write the order of a run, whole or not at all."""
    with replacing(out / RUN_NAME) as temporary:
        temporary.write_text(order.model_dump_json(indent=2), encoding="utf-8")
