"""A scored DICOM slide as DICOM objects that an archive files with it."""

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cervix.bundle.classes import ClassInfo
from cervix.bundle.sessions import ModelSession
from cervix.errors import SlideNotSuitable
from cervix.files import replacing
from cervix.interop.whole import require_whole
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide

DICOM_VENDOR = "dicom"
"""What OpenSlide calls the maker of a slide that it reads as DICOM."""

IDENTIFIERS_NOTE = (
    "DICOM objects carry the patient's identifiers as far as the slide's own files do, so that an archive files them with it."
)


def why_no_objects(slide: Slide) -> str:
    """Why a slide cannot be taken away as DICOM objects, in words; empty where it can."""
    if slide.vendor == DICOM_VENDOR:
        return ""
    kind = f"{slide.path.suffix.lstrip('.').upper()} file" if slide.path.suffix else "file of another kind"
    return (
        f"DICOM objects refer to the DICOM instances of the slide, and this is a {kind}; convert it to DICOM first "
        f"(for instance with wsidicomizer), then open that."
    )


def write_objects(score: SlideScore, slide: Slide, session: ModelSession, folder: Path) -> list[Path]:
    """Write a scored slide as DICOM objects, each a series of its own in the study of the slide; returns their paths.

    ``parametric-map.dcm``, ``segmentation.dcm``, ``report.dcm`` and, where a tile is called cancerous, ``annotations.dcm``.
    They carry the patient's identifiers as far as the slide's files do, so that an archive files them with it.

    Raises
    ------
    SlideNotSuitable
        If the slide is no DICOM, its header does not say what the objects need, or the score is a triage.
    SlideNotReadable
        If a file of the series is gone or damaged.
    """
    _require_dicom(slide)
    require_whole(score)
    from cervix.interop.dicom.objects import objects_in  # highdicom takes longer to import than the app to start

    return objects_in(score, slide, session, folder)


def write_labels(tiles: pd.DataFrame, slide: Slide, classes: Sequence[ClassInfo], whose: str, path: Path) -> None:
    """Write what readers said of a slide's tiles as bulk Microscopy Annotations.

    Parameters
    ----------
    tiles : DataFrame
        ``x_l0_px, y_l0_px, size_l0_px`` and ``label``: the id of a class, or words where readers gave none. One row at least.
    classes : sequence of ClassInfo
        Words and codes of the labels.
    whose : str
        Who said so, in words; it stands in the file.

    Raises
    ------
    SlideNotSuitable, SlideNotReadable
        As ``write_objects``.
    """
    _require_dicom(slide)
    from cervix.interop.dicom.objects import labels_in

    labels_in(tiles, slide, classes, whose, path)


def write_zip(score: SlideScore, slide: Slide, session: ModelSession, path: Path) -> None:
    """The objects of ``write_objects`` in one archive."""
    with tempfile.TemporaryDirectory() as folder, replacing(path) as temporary:
        objects = write_objects(score, slide, session, Path(folder))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in objects:
                archive.write(file, file.name)


def _require_dicom(slide: Slide) -> None:
    if reason := why_no_objects(slide):
        raise SlideNotSuitable("The slide has no DICOM objects", found=reason)
