"""A scored DICOM slide as DICOM objects that an archive files with it."""

from pathlib import Path

from cervix.bundle.sessions import ModelSession
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide

DICOM_VENDOR = "dicom"
"""What OpenSlide calls the maker of a slide that it reads as DICOM."""


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
    """Write ``parametric-map.dcm``, ``segmentation.dcm``, ``report.dcm`` and ``annotations.dcm``; returns their paths."""
    raise NotImplementedError
