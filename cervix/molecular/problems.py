"""What is wrong with single rows and cells of a table of markers, and what became of them."""

from dataclasses import dataclass

WHOLE_ROW = "(whole row)"
ROW_OUT, CELL_OUT, KEPT = "row left out", "not measured", "kept"


@dataclass(frozen=True)
class MarkerProblem:
    """What is wrong at a place. ``found`` may be patient data: for the page, never for a log.

    ``row`` is the line in the file, or the column where genes are in rows.
    """

    row: int
    column: str
    found: str
    accepted: str
    became: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: found {self.found!r}, accepted is {self.accepted} ({self.became})"
