"""Names of microRNA as tables have them: of the precursor or of one of its arms, in any spelling."""

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"(?:hsa-?)?(?P<family>mir|let)-?(?P<number>\d+[a-z]{0,2})(?P<place>-\d{1,2})?(?P<arm>-[35]p)?")
_SEPARATORS: Final = re.compile(r"[\s_.\-]+")
LONGEST_NAME = 40


@dataclass(frozen=True)
class Named:
    """Of which precursor a column is, and of which arm: ``5p``, ``3p``, or none where it is of the whole precursor."""

    precursor: str
    arm: str


def marker_named(cell: str) -> Named | None:
    """What a cell names: ``hsa-mir-205``, ``hsa-miR-205-5p``, ``HSA_MIR_205``, ``hsa.mir.205`` or ``miR 205``; None for others.

    A name without an arm is taken for the precursor's, as the model's tables have it.
    """
    if not 0 < len(cell) <= LONGEST_NAME:
        return None
    found = _NAME.fullmatch(_SEPARATORS.sub("-", cell.strip().strip('"')).casefold())
    if found is None:
        return None
    precursor = f"hsa-{found['family']}-{found['number']}{found['place'] or ''}"
    return Named(precursor, (found["arm"] or "").removeprefix("-"))


def is_marker_header(cell: str) -> bool:
    """Whether a cell names a microRNA."""
    return marker_named(cell) is not None
