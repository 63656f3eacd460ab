"""The list of a run's slides: narrowed, ordered, a page of rows at a time, straight from the ledger."""

import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from cervix.archive.results.orders import ORDERS, ordered_by

FACETS: Final = ("verdict", "state", "site", "scanner", "day")
"""The columns that the list can be narrowed by."""
TEXT_IN: Final = ("locator", "slide_sha256", "site", "day", "headline", "reason")
"""Where a text is looked for."""
VALUES_AT_MOST: Final = 200
"""Of one facet: nobody looks through more, and text finds the rest."""
_ROW: Final = (
    "place", "locator", "slide_sha256", "bundle_sha256", "spacing_asked_um_px", "site", "day", "state", "code", "reason",
    "verdict", "headline", "cancerous_share", "cancerous_low", "cancerous_high", "tiles", "unrecognised_tiles", "scanner",
    "quality", "seen_share", "tiles_per_s",
)  # fmt: skip


@dataclass(frozen=True)
class Narrowing:
    """What the list shall show.

    Attributes
    ----------
    chosen : facet and its values; a facet that is not named is not narrowed
    text : part of ``TEXT_IN``, in any case
    order : id of ``ORDERS``
    """

    chosen: tuple[tuple[str, tuple[str, ...]], ...] = ()
    text: str = ""
    order: str = next(iter(ORDERS))


def listed_rows(
    connection: sqlite3.Connection, narrowing: Narrowing, first: int, count: int
) -> tuple[list[dict[str, Any]], int]:
    """Up to ``count`` slides from the place ``first`` (from 0) of the narrowed list, and how many it has."""
    where, values = _where(narrowing)
    number = connection.execute(f"SELECT count(*) FROM slides WHERE {where}", values).fetchone()[0]
    # The order is made of places alone; what is shown is looked up for a page of them.
    rows = connection.execute(
        f"SELECT {', '.join(_ROW)} FROM slides WHERE place IN "
        f"(SELECT place FROM slides WHERE {where} ORDER BY {ordered_by(narrowing.order)} LIMIT ? OFFSET ?) "
        f"ORDER BY {ordered_by(narrowing.order)}",
        (*values, count, first),
    )
    return [dict(row) for row in rows], int(number)


def facet_values(connection: sqlite3.Connection, column: str) -> list[tuple[str, int]]:
    """The values of a facet with how many slides have each, without those that have none.

    The most frequent first; of days, the latest.
    """
    if column not in FACETS:
        raise ValueError(f"{column} is no facet")
    rows = connection.execute(
        f"SELECT {column} AS value, count(*) AS slides FROM slides WHERE {column} IS NOT NULL AND {column} != '' "
        f"GROUP BY {column} ORDER BY {'value DESC' if column == 'day' else 'slides DESC, value'} LIMIT ?",
        (VALUES_AT_MOST,),
    )
    return [(str(row["value"]), int(row["slides"])) for row in rows]


def _where(narrowing: Narrowing) -> tuple[str, list[str]]:
    terms = ["1"]
    values: list[str] = []
    for column, chosen in narrowing.chosen:
        if column not in FACETS:
            raise ValueError(f"{column} is no facet")
        if chosen:
            terms.append(f"{column} IN ({', '.join('?' * len(chosen))})")
            values += chosen
    if narrowing.text:
        text = narrowing.text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        terms.append("(" + " OR ".join(rf"{column} LIKE ? ESCAPE '\'" for column in TEXT_IN) + ")")
        values += [f"%{text}%"] * len(TEXT_IN)
    return " AND ".join(terms), values
