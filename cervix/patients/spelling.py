"""A misspelt code: what was surely meant, or nothing."""

import re

from rapidfuzz.distance import OSA

from cervix.patients.visit_vocabulary import CodeColumn, folded
from cervix.patients.vocabulary import Column

SHORTEST = 4
NO_NEARER_THAN = 3
YES_NO_WORDS = {"yes": "1", "y": "1", "true": "1", "no": "0", "n": "0", "false": "0"}


def meant_code(text: str, column: CodeColumn) -> str:
    """The code a misspelt cell means; empty where more than one could be meant.

    Safe is: one letter wrong, missing, too many or swapped with its neighbour (optimal string alignment distance 1); no
    other code nearer than three such steps, so that nothing between HSIL and LSIL is ever guessed; the same digits, so that
    no CIN grade changes; four letters or more.
    """
    key = folded(text)
    if len(key) < SHORTEST:
        return ""
    nearest: dict[str, int] = {}
    for spelling, code in column.spellings.items():
        distance = OSA.distance(key, spelling)
        if distance <= nearest.get(code, distance):
            nearest[code] = distance
            if distance == 1 and re.sub(r"\D", "", key) != re.sub(r"\D", "", spelling):
                return ""
    best, *others = sorted(nearest, key=nearest.__getitem__)
    clear = all(nearest[code] >= NO_NEARER_THAN for code in others)
    return best if nearest[best] == 1 and clear else ""


def meant_number(text: str, column: Column) -> str:
    """``1`` or ``0`` for an answer written as a word; empty otherwise."""
    return YES_NO_WORDS.get(folded(text), "") if column.kind == "yes-no" else ""
