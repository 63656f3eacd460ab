"""What the card says of a model held against published risks of real women."""

from collections.abc import Iterator

from cervix.bundle import Bundle, Model
from cervix.card.blocks import Block
from cervix.evaluation.published import (
    DEFAULT,
    HEADING,
    SOURCE,
    agreement,
    published_risks,
    risk_title,
    step_agreement,
    step_verdict,
    verdict,
    worst_cells,
)
from cervix.evaluation.published_tables import NOTE, STEPS_NOTE, agreement_table, cells_table
from cervix.plain_text import escaped


def published_section(bundle: Bundle, model: Model) -> Iterator[Block]:
    """Verdict, agreement and the worst histories; nothing for a model without such a table."""
    if (table := published_risks(bundle, model)) is None:
        return
    title = risk_title(*DEFAULT)
    yield from (f"### {HEADING}", "", f"**{escaped(verdict(table))}**", "")
    if steps := step_agreement(table):
        yield from (escaped(f"{step_verdict(steps)} {STEPS_NOTE}"), "")
    if found := agreement(table, *DEFAULT):
        yield from (f"**Agreement: {title}**", "", agreement_table(found), "", escaped(NOTE), "")
        yield from (f"**The worst histories: {title}**", "", cells_table(worst_cells(table, *DEFAULT)), "")
    yield from (escaped(f"{SOURCE} The whole table: {model.measured.published_risks}."), "")
