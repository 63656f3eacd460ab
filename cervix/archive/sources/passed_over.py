"""What was seen while a source was listed and is not among its slides: counted by reason, so that nothing is missing unsaid."""

import csv
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cervix.files import replacing

REASONS: Final = {
    "folder-closed": "folders that may not be read",
    "file-closed": "files that may not be read",
    "link": "links, which are not followed",
    "run": "folders of runs, whose pictures are no slides",
    "name-refused": "names that hold control characters, or cannot be a file's everywhere",
    "no-file": "things that are neither file nor folder",
    "vanished": "files that were gone before they could be listed",
    "no-suffix": "objects without a suffix, which may be DICOM and are not opened where they lie",
    "not-a-series": "series that the archive does not describe",
    "row-torn": "rows that cannot be cut into cells",
    "row-without-path": "rows without a path",
    "row-twice": "rows that name a slide again",
    "row-outside": "rows that lead out of the folder of the list",
    "row-not-there": "rows whose slide is not there",
    "row-no-slide": "rows that name no slide",
    "row-bad-mpp": "rows whose micrometres per pixel cannot be those of a slide",
    "row-bad-day": "rows whose day cannot be read; the slide is listed without one",
}
"""What each reason stands for, in words. Slides of ``row-bad-day`` are listed; nothing of the other reasons is."""


@dataclass
class PassedOver:
    """Of all sources of a run.

    Attributes
    ----------
    counts : Counter
        Reason -> how many.
    rows : reason -> array of int
        Lines of lists of slides, counted from 1, where the reason is that of a row.
    notices : list of str
        What had to be assumed to read a source. No name of a file or person is in them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    rows: dict[str, "array[int]"] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def add(self, reason: str, row: int | None = None) -> None:
        """One more, and in which line of a list it stands."""
        assert reason in REASONS, reason
        self.counts[reason] += 1
        if row is not None:
            self.rows.setdefault(reason, array("q")).append(row)

    @property
    def lines(self) -> list[str]:
        """For people: ``12 links, which are not followed``."""
        return [f"{count:,} {REASONS[reason]}" for reason, count in self.counts.most_common()]

    def write(self, path: Path) -> None:
        """All of it as CSV: ``reason, row, count, means``; a line for each row of a list, one for each other reason."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("reason", "row", "count", "means"))
            for reason, count in self.counts.items():
                rows = self.rows.get(reason, ())
                writer.writerows((reason, row, 1, REASONS[reason]) for row in rows)
                if count > len(rows):
                    writer.writerow((reason, "", count - len(rows), REASONS[reason]))
