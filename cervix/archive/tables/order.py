"""What was ordered of a run over tables. A run that is gone on with keeps its order, its day included."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.archive.runs import require_text
from cervix.errors import ArchiveRunRefused
from cervix.files import replacing

ORDER_NAME: Final = "tables.json"


class TablesOrder(BaseModel):
    """An order.

    Attributes
    ----------
    today : str
        The day on which the run was begun, ISO 8601: later visits are none, and steps are those of that day.
    dates, minus : str, optional
        What was said of the files (``cervix.patients.questions.Answers``).
    model : str
        Of several models of one kind; the first where it is empty.
    buckets : int
        How many; 0 until the files were looked at.
    """

    model_config = ConfigDict(frozen=True)

    sources: list[str]
    bundle_label: str
    bundle_sha256: str
    today: str
    device: Literal["auto", "cpu", "cuda"] = "auto"
    model: str = ""
    dates: Literal["dmy", "mdy"] | None = None
    minus: Literal["negative", "not-done"] | None = None
    started_by: str = ""
    buckets: int = 0

    def with_buckets(self, out: Path, count: Callable[[], int]) -> "TablesOrder":
        """With the number of its buckets, counted once and then kept."""
        if self.buckets:
            return self
        order = self.model_copy(update={"buckets": count()})
        _write(out, order)
        return order


def begun(out: Path, order: TablesOrder) -> TablesOrder:
    """The order of the run in ``out``: the one there is, or this one, written down.

    Raises ``ArchiveRunRefused`` where it was ordered otherwise.
    """
    require_text([*order.sources, str(out), order.started_by])
    before = read_tables_order(out)
    if before is None:
        if not order.sources:
            raise ArchiveRunRefused("No source is named", expected="tables of women as Parquet or CSV")
        _write(out, order)
        return order
    kept = {"sources", "bundle_sha256", "model", "dates", "minus"} - (set() if order.sources else {"sources"})
    if others := sorted(name for name in kept if getattr(before, name) != getattr(order, name)):
        raise ArchiveRunRefused(
            "This folder holds a run over tables that was ordered otherwise",
            expected=f"{', '.join(others)} as before",
            action="Go on with it as it was ordered, or choose another folder with --out.",
        )
    return before


def read_tables_order(out: Path) -> TablesOrder | None:
    """The order of a run over tables; None where there is none, or it cannot be read."""
    try:
        return TablesOrder.model_validate_json((out / ORDER_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _write(out: Path, order: TablesOrder) -> None:
    with replacing(out / ORDER_NAME) as temporary:
        temporary.write_text(order.model_dump_json(indent=2), encoding="utf-8")
