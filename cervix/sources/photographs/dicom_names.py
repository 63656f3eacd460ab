"""Words, names and dates in the header of a DICOM file: where they stand, and what stands there instead.

Searching for what identifies somebody is unsafe, as searching for photographs is (ADR 0019): what is not found remains. So
everything that can hold a word, a name, a date, an age or bytes is blanked, but what is listed here: what is needed to read
the slide, or says with which instrument it was made. Unique identifiers, codes and numbers stay, so that objects made of the
slide can refer to it (DICOM PS3.15 annex E, the Basic Profile with the option Retain UIDs, and maker, model and software of
the instrument). Values keep their length, so that no frame moves.
"""

from pathlib import Path
from typing import Final

from cervix.errors import UploadRefused
from cervix.sources.dicom_elements import (
    META_GROUP,
    PIXEL_DATA,
    PREAMBLE_BYTES,
    UNDEFINED,
    Element,
    Tag,
    Walk,
)
from cervix.sources.photographs.erasure import Erasure
from cervix.sources.photographs.spans import merged, spans_of

PATIENT_GROUP: Final = 0x0010
# PS3.5 table 6.2-1: codes, identifiers of objects, numbers; they stay.
CODES_AND_NUMBERS: Final = frozenset(
    {b"AT", b"CS", b"DS", b"FD", b"FL", b"IS", b"SL", b"SS", b"SV", b"UI", b"UL", b"US", b"UV"}
)
# Values of words end with blanks, all others with zeros.
WORDS: Final = frozenset({b"AE", b"AS", b"DA", b"DT", b"LO", b"LT", b"PN", b"SH", b"ST", b"TM", b"UC", b"UR", b"UT"})
# How look-up tables of colours, frames and the tables of their places are encoded.
TABLES: Final = frozenset({b"OB", b"OV", b"OW"})
PADDED_WITH_BLANKS: Final = WORDS | {b"CS", b"DS", b"IS"}
# PS3.6: file meta version and implementation; maker, model, software of the instrument; coordinates; optical path; ICC.
KEPT: Final[frozenset[Tag]] = frozenset({
    (0x0002, 0x0001), (0x0002, 0x0013), (0x0008, 0x0070), (0x0008, 0x1090), (0x0018, 0x1020), (0x0020, 0x1040),
    (0x0028, 0x2000), (0x0048, 0x0106),
})  # fmt: skip
# Value, scheme, version and meaning of a code, kept in what describes the specimen, the optics and the frames.
CODE: Final[frozenset[Tag]] = frozenset({(0x0008, number) for number in (0x0100, 0x0102, 0x0103, 0x0104, 0x0119, 0x0120)})
CODED_WITHIN: Final[frozenset[Tag]] = frozenset({
    (0x0008, 0x2218), (0x0040, 0x0518), (0x0040, 0x0555), (0x0040, 0x0560), (0x0048, 0x0105), (0x5200, 0x9229),
    (0x5200, 0x9230),
})  # fmt: skip
# Where a value must not be empty (type 1), one that means nothing stands instead.
STAND_INS: Final[dict[Tag, bytes]] = {
    (0x0008, 0x0023): b"19000101", (0x0008, 0x002A): b"19000101", (0x0008, 0x0033): b"000000",
    (0x0018, 0x1000): b"REMOVED", (0x0040, 0x0512): b"REMOVED", (0x0040, 0x0551): b"REMOVED",
}  # fmt: skip
# A slide of a million tiles, each with a group of ten elements.
ELEMENTS_AT_MOST: Final = 20_000_000
LONGEST_WORDS_BYTES: Final = 1 << 20


def names_in(file: Path) -> Erasure:
    """What is to be overwritten in the header of a DICOM file, and where its pixels, behind which nothing is kept, end.

    Raises
    ------
    UploadRefused
        The header cannot be read to its end, or says names in an encoding that no slide that can be read has.
    """
    spans, instead, end = [(0, PREAMBLE_BYTES)], [], file.stat().st_size
    with file.open("rb") as stream:
        walk = Walk(stream, elements_at_most=ELEMENTS_AT_MOST)
        try:
            for element in walk.elements():
                if element.tag[0] != META_GROUP and not walk.is_explicit_little:
                    raise _not_cleared("another encoding")
                if element.tag == PIXEL_DATA and not element.within:
                    end = min(end, walk.end_of(element))
                    break
                if element.length in (0, UNDEFINED) or element.kind == b"SQ" or _stays(element):
                    continue
                spans.append((element.at, element.length))
                if element.kind in PADDED_WITH_BLANKS:
                    if element.length > LONGEST_WORDS_BYTES:
                        raise _not_cleared("a text of more than a megabyte")
                    instead.append((element.at, STAND_INS.get(element.tag, b"")[: element.length].ljust(element.length)))
        except UploadRefused:
            raise
        except (EOFError, ValueError) as error:
            raise _not_cleared("a damaged header") from error
    if max(start + length for start, length in spans) > end:
        raise _not_cleared("a header longer than its file")
    return Erasure(file, merged(spans_of(spans)), instead, ends_at=end)


def _stays(element: Element) -> bool:
    """Whether a value can identify nobody, or is needed to read the slide."""
    tags = (*element.within, element.tag)
    if any(group % 2 or group == PATIENT_GROUP for group, _ in tags):
        return False
    if element.kind in CODES_AND_NUMBERS:
        return True
    if element.tag in CODE:
        return any(tag in CODED_WITHIN for tag in element.within)
    # Look-up tables of colours, and tables of where frames begin.
    if element.kind in TABLES and not element.within and element.tag[0] in (0x0028, PIXEL_DATA[0]):
        return True
    return element.tag in KEPT


def _not_cleared(found: str) -> UploadRefused:
    return UploadRefused(
        "This DICOM file may hold names or dates that cannot be removed with certainty",
        expected="a header that can be read to its end, in explicit little-endian encoding",
        found=found,
        action="De-identify it in the archive that it comes from, or copy it again if it is damaged.",
    )
