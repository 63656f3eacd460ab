"""Labels of one slide as DICOM annotations, for slides that are DICOM and still here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cervix.bundle.classes import ClassInfo
from cervix.errors import LabelRefused
from cervix.intake.shelf import seen_slide
from cervix.interop.dicom import DICOM_VENDOR, write_labels
from cervix.labels.files.of_slide import labels_of_slide
from cervix.labels.store.label_store import LabelStore
from cervix.sources.probe import open_outside


def why_no_annotations(shelf: Path, slide_sha256: str) -> str:
    """Why a slide's labels cannot be had as DICOM annotations, in words; empty where they can."""
    entry = seen_slide(shelf, slide_sha256)
    if entry is None or not entry.path.is_file():
        return "The annotations refer to the slide's own DICOM files, and the slide is no longer here; open it once more."
    return "" if entry.vendor == DICOM_VENDOR else "The annotations refer to DICOM files, and this slide is none."


def write_annotations(
    store: LabelStore, slide_sha256: str, path: Path, shelf: Path, *, classes: Sequence[ClassInfo] = (), reader: str = ""
) -> int:
    """Write the labels of a slide that count, or what one reader said, as bulk annotations; returns how many tiles there are.

    Parameters
    ----------
    shelf : Path
        Where it is remembered which slide lies where (``cervix.intake.shelf``).
    classes : sequence of ClassInfo
        Of the tile model: words and codes of the labels.

    Raises
    ------
    LabelRefused
        If there is nothing to write, or the slide is not here or no DICOM.
    """
    found = labels_of_slide(store, slide_sha256, reader)
    entry = seen_slide(shelf, slide_sha256)
    if entry is None or (reason := why_no_annotations(shelf, slide_sha256)):
        raise LabelRefused("The slide has no DICOM annotations", found=reason if entry else "no such slide here")
    slide = open_outside(entry.path, sha256=slide_sha256)
    if found.plane is not None:
        slide = replace(slide, plane=found.plane)
    write_labels(found.tiles, slide, classes, found.whose, path)
    return len(found.tiles)
