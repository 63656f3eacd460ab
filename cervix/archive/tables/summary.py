"""What a run over tables has come to: counted, nothing of any woman."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cervix import RESEARCH_NOTICE
from cervix.archive.bundles import model_of
from cervix.archive.tables.ledger import TablesLedger
from cervix.archive.tables.order import TablesOrder
from cervix.archive.tables.partition import MODEL_KINDS
from cervix.files import replacing

SUMMARY_NAME: Final = "summary.json"


@dataclass(frozen=True)
class TablesSummary:
    """Counts of a run.

    Attributes
    ----------
    model : str
        Id of the model that scores; empty until a file was read, which says of what kind it must be.
    rows, rows_set_aside : int
        Of all files that were read, and how many of them are no row of anybody's history.
    women, visits : int
        Who have a row of scores, and rows that these rest on.
    gone : int
        Women of whom nothing could be used.
    problems : int
        Rows of the files under ``problems``.
    notices : dict
        Number of a file -> what had to be assumed to read it.
    refused : dict
        Number of a file -> why it cannot be read.
    """

    bundle: str
    model: str
    files: int
    files_done: int
    files_twice: int
    rows: int
    rows_set_aside: int
    buckets: int
    buckets_done: int
    women: int
    visits: int
    flagged: int
    abstained: int
    incomplete: int
    gone: int
    problems: int
    notices: dict[int, list[str]]
    refused: dict[int, str]
    notice: str

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the run waits."""
        return self.buckets_done == self.buckets and self.files_done + self.files_twice + len(self.refused) == self.files


def summed_up(out: Path, ledger: TablesLedger, order: TablesOrder) -> TablesSummary:
    """The counts of a run, written to ``summary.json`` as well."""
    parts, buckets = ledger.parts(), ledger.buckets()
    done = [part for part in parts if part.state == "done"]

    def sum_of(name: str) -> int:
        return sum(bucket.get(name, 0) for bucket in buckets)

    # One kind of table in a run: what was read of it says which of the bundle's models was asked.
    model = model_of(out, MODEL_KINDS[done[0].told["kind"]], order.model) if done else None
    summary = TablesSummary(
        bundle=order.bundle_label,
        model=model.id if model else "",
        notice=model.notice if model else RESEARCH_NOTICE,
        files=len(parts),
        files_done=len(done),
        files_twice=sum(part.state == "duplicate" for part in parts),
        rows=sum(part.told["rows"] for part in done),
        rows_set_aside=sum(part.told["set_aside"] for part in done),
        buckets=order.buckets,
        buckets_done=len(buckets),
        women=sum_of("women"),
        visits=sum_of("visits"),
        flagged=sum_of("flagged"),
        abstained=sum_of("abstained"),
        incomplete=sum_of("incomplete"),
        gone=sum_of("gone"),
        problems=sum(part.told["problems"] for part in done) + sum_of("problems"),
        notices={part.number: part.told["notices"] for part in done if part.told["notices"]},
        refused={part.number: part.reason for part in parts if part.state == "refused"},
    )
    with replacing(out / SUMMARY_NAME) as temporary:
        temporary.write_text(json.dumps(asdict(summary), indent=2, ensure_ascii=False), encoding="utf-8")
    return summary
