"""Parts of the CHAI card as sections of the card for readers."""

import json
from collections.abc import Iterator
from itertools import groupby

from cervix.card.blocks import Block, frame
from cervix.card.chai import Part
from cervix.card.chai_metrics import MetricResult
from cervix.plain_text import escaped

RESULTS, KEYWORDS = "Results", "Keywords"


def part_blocks(part: Part, *, of_bundle: bool = False, level: int = 3) -> Iterator[Block]:
    """A part as a section: its texts with their titles, results as a table.

    Parameters
    ----------
    of_bundle : bool
        Show the texts that hold for every model, or those of one model.
    """
    if not _has(part, of_bundle):
        return
    yield from (f"{'#' * level} {part.title}", "")
    shown = [child for child in part.content if isinstance(child, Part) and _has(child, of_bundle)]
    for elsewhere, children in groupby(shown, key=lambda child: child.said_under):
        if elsewhere:
            yield from (f"**{', '.join(child.title for child in children)}.** See {elsewhere}.", "")
        else:
            for child in children:
                yield from _child_blocks(child, of_bundle, level)


def _child_blocks(child: Part, of_bundle: bool, level: int) -> Iterator[Block]:
    if child.element == KEYWORDS:
        yield from (f"**{child.title}.** {', '.join(map(escaped, _texts(child)))}", "")
    elif child.element == RESULTS:
        yield frame(["Figure", "Found (95 % interval)"], (_result(row) for row in child.content if isinstance(row, Part)))
        yield ""
    elif isinstance(child.content, str):
        yield from (f"**{child.title}.** {escaped(child.content)}", "")
    else:
        yield from part_blocks(child, of_bundle=of_bundle, level=level + 1)


def _has(part: Part, of_bundle: bool) -> bool:
    if part.element in (RESULTS, KEYWORDS):
        return not of_bundle
    if isinstance(part.content, str):
        return part.of_bundle == of_bundle
    return any(_has(child, of_bundle) for child in part.content)


def _texts(part: Part) -> list[str]:
    return [child.content for child in part.content if isinstance(child, Part) and isinstance(child.content, str)]


def _result(row: Part) -> tuple[str, str]:
    label, value = _texts(row)
    return label, MetricResult(label, json.loads(value)).text
