"""Lists of labelled cases that are brought with a model: CSV files whose messages name rows, and never paths."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cervix.errors import NameRefused
from cervix.outside_names import inside
from training.wrap.refusal import WrapRefused

VALIDATION, TEST = "validation", "test"
HEADER_ROWS = 1
HEADER_CHARACTERS = 1 << 16
MOST_NAMED = 5


def list_of(path: Path, columns: Sequence[str], what: str) -> pd.DataFrame:
    """The list, with ``row`` as a spreadsheet numbers it.

    Parameters
    ----------
    columns : which it must have, filled in every row
    what : it lists, as ``tiles``

    Raises
    ------
    WrapRefused
    """
    if not path.is_file():
        raise WrapRefused(
            f"There is no list of {what}", expected=f"CSV with the columns {', '.join(columns)}", found="no such file"
        )
    try:
        table = pd.read_csv(path, sep=_separator(path), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        action = "Save the list again as CSV in UTF-8."
        raise WrapRefused(
            f"The list of {what} cannot be read", expected="CSV in UTF-8", found="another encoding", action=action
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise WrapRefused(f"The list of {what} cannot be read", expected="CSV in UTF-8", found=str(error)) from error
    if missing := [name for name in columns if name not in table]:
        raise WrapRefused(
            f"The list of {what} lacks columns",
            expected=", ".join(columns),
            found=f"no {', '.join(missing)}",
            action="Say in each row what it is of, its label and its split: validation or test.",
        )
    table["row"] = range(1 + HEADER_ROWS, len(table) + 1 + HEADER_ROWS)
    require_filled(table, columns, what)
    return table


def require_filled(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise ``WrapRefused`` where a cell of these columns is empty."""
    for name in columns:
        if len(empty := table.loc[table[name].str.strip() == "", "row"]):
            raise WrapRefused(
                f"Cells of the list of {what} are empty", expected=f"a {name} in each row", found=rows_in_words(empty)
            )


def require_values(table: pd.DataFrame, allowed: Mapping[str, Sequence[str]], what: str) -> None:
    """Raise ``WrapRefused`` where a column holds another value than it may, or nothing is of split validation.

    What stands there instead is not repeated: where columns are exchanged it may say who somebody is.
    """
    for name, values in allowed.items():
        if len(other := table.loc[~table[name].isin(list(values)), "row"]):
            raise WrapRefused(
                f"The list of {what} has another {name}",
                expected=" or ".join(values),
                found=f"another in {rows_in_words(other)}",
            )
    if not (table["split"] == VALIDATION).any():
        raise WrapRefused(
            f"There are no {VALIDATION} {what}",
            expected=f"labelled {what} of split {VALIDATION}",
            found="none",
            action=f"Whatever is fitted to a model here is fitted on them, and never on test {what}.",
        )


def place_of(folder: Path, name: str, row: int, what: str) -> Path:
    """The file of a row; ``WrapRefused`` where it lies elsewhere than below the folder of the list."""
    try:
        return inside(folder, name)
    except NameRefused as error:
        raise WrapRefused(
            f"One of the {what} lies elsewhere",
            expected="a path below the folder of the list, without .. and without links that lead out",
            found=f"{error.found} in row {row}",
            action=f"Copy the {what} into the folder of the list.",
        ) from error


def rows_in_words(rows: "Sequence[int] | pd.Series[int]") -> str:
    """Which row it is, or how many and which the first are."""
    named = ", ".join(str(row) for row in list(rows)[:MOST_NAMED])
    return f"row {named}" if len(rows) == 1 else f"{len(rows)} rows ({named}{', …' if len(rows) > MOST_NAMED else ''})"


def _separator(path: Path) -> str:
    """The one of the header: a comma, or what spreadsheets write where a comma is in numbers."""
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline(HEADER_CHARACTERS)
    return max(",;\t", key=header.count)
