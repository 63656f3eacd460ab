"""The few fields at the head of a DICOM file that say which slide it belongs to (DICOM PS3.3 and PS3.10)."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from cervix.outside_names import is_litter
from cervix.sources.dicom_elements import HEAD_BYTES, MAGIC, PREAMBLE_BYTES, Tag, Walk

DICOM: Final = ".dcm"
# PS3.6: what is read; the last of them ends the reading, as elements stand in the order of their tags.
SOP_CLASS, SOP_INSTANCE = (0x0008, 0x0016), (0x0008, 0x0018)
STUDY, SERIES = (0x0020, 0x000D), (0x0020, 0x000E)
WANTED: Final = (SERIES, SOP_CLASS, STUDY, SOP_INSTANCE)
WHOLE_SLIDE_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
# Far more than stands before a series in a real file; a file made to be endless is given up.
ELEMENTS_AT_MOST: Final = 20_000
VALUE_BYTES_AT_MOST: Final = 1024
UID = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_CHARACTERS_AT_MOST: Final = 64
"""Of a unique identifier (PS3.5, 9.1)."""


@dataclass(frozen=True)
class DicomHead:
    """What the head of a DICOM file says.

    Attributes
    ----------
    series_uid : str
        Series Instance UID; empty where it cannot be read.
    sop_class_uid : str
        What kind of object it is; empty where it cannot be read.
    study_uid, sop_instance_uid : str
        Study and SOP Instance UID; empty likewise.
    """

    series_uid: str
    sop_class_uid: str
    study_uid: str = ""
    sop_instance_uid: str = ""

    @property
    def is_of_a_slide(self) -> bool:
        """Whether it names a series and is a whole-slide image."""
        return bool(self.series_uid) and self.sop_class_uid == WHOLE_SLIDE_IMAGE


def dicom_head(path: Path) -> DicomHead | None:
    """The head of a DICOM file; None for any other file, by the mark at byte 128 and not by its name."""
    try:
        stat = path.stat()
        return _head_of(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return None


def series_of(path: Path) -> list[Path]:
    """Every file of the series that a DICOM file belongs to: those beside it with its Series Instance UID, sorted.

    Where that cannot be read, all that end in ``.dcm`` and say none either.
    """
    head = dicom_head(path)
    beside = (file for file in path.parent.iterdir() if not is_litter(file.name) and file.is_file())
    return sorted(file for file in beside if file == path or _same_series(file, head))


def _same_series(file: Path, head: DicomHead | None) -> bool:
    other = dicom_head(file)
    if head is None or not head.series_uid:
        return file.suffix.lower() == DICOM and (other is None or not other.series_uid)
    return other is not None and other.series_uid == head.series_uid


@lru_cache(maxsize=20_000)
def _head_of(path: Path, size: int, changed_ns: int) -> DicomHead | None:
    del size, changed_ns  # parts of the key
    found: dict[Tag, str] = {}
    with path.open("rb") as stream:
        if stream.read(HEAD_BYTES)[PREAMBLE_BYTES:] != MAGIC:
            return None
        # What was read before the damage counts.
        with suppress(EOFError, ValueError):
            walk = Walk(stream, elements_at_most=ELEMENTS_AT_MOST)
            for element in walk.elements():
                if not element.within and element.tag > SERIES:
                    break
                if not element.within and element.tag in WANTED and element.length <= VALUE_BYTES_AT_MOST:
                    found[element.tag] = walk.text(element)
    return DicomHead(*(_uid(found.get(tag, "")) for tag in WANTED))


def _uid(text: str) -> str:
    return text if UID.fullmatch(text) else ""
