"""The objects of a scored slide, one after the other, so that one of them is in memory at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pandas as pd
from pydicom import Dataset

from cervix.bundle.classes import ClassInfo
from cervix.bundle.sessions import ModelSession
from cervix.errors import CervixError, SlideNotSuitable
from cervix.files import replacing
from cervix.interop.dicom.annotations import hot_tiles, labelled_tiles
from cervix.interop.dicom.made import Maker
from cervix.interop.dicom.maps import parametric_map, segmentation
from cervix.interop.dicom.report import structured_report
from cervix.interop.dicom.source import SourceSlide, source_of
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide

OBJECTS: Final[dict[str, Callable[[SlideScore, SourceSlide, Maker], Dataset | None]]] = {
    "parametric-map": parametric_map,
    "segmentation": segmentation,
    "report": structured_report,
    "annotations": hot_tiles,
}
"""File without suffix -> what makes it; None where there is nothing to say."""


def objects_in(score: SlideScore, slide: Slide, session: ModelSession, folder: Path) -> list[Path]:
    """See ``cervix.interop.dicom.write_objects``."""
    with headers_may_be_bad():
        source = source_of(slide)
    maker = Maker(session.model, score.summary.provenance)
    written = []
    for name, make in OBJECTS.items():
        with headers_may_be_bad():
            made = make(score, source, maker)
            if made is not None:
                save(made, folder / f"{name}.dcm")
                written.append(folder / f"{name}.dcm")
    return written


def labels_in(tiles: pd.DataFrame, slide: Slide, classes: Sequence[ClassInfo], whose: str, path: Path) -> None:
    """See ``cervix.interop.dicom.write_labels``."""
    with headers_may_be_bad():
        save(labelled_tiles(tiles, source_of(slide), classes, whose), path)


def save(made: Dataset, path: Path) -> None:
    """Write an object, whole or not at all."""
    with replacing(path) as temporary:
        made.save_as(temporary, enforce_file_format=True)


@contextmanager
def headers_may_be_bad() -> Iterator[None]:
    """``SlideNotSuitable`` for what the library of objects raises on a source that is not as the standard has it.

    What it says quotes the header, and so perhaps a patient's name; the kind of the error alone is told.
    """
    try:
        yield
    except CervixError:
        raise
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SlideNotSuitable(
            "The header of the DICOM series cannot be referred to",
            expected="the attributes of a whole-slide image (PS3.3, A.32.8)",
            found=type(error).__name__,
            action="Correct the header, or convert the slide again.",
        ) from None
