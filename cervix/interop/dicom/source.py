"""What the objects refer to: the instance that holds level 0 of a slide, and where its pixels lie on the glass."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from cervix.errors import SlideNotReadable, SlideNotSuitable
from cervix.slides.grid import TileLattice
from cervix.sources.dicom import WHOLE_SLIDE_IMAGE
from cervix.sources.dicom_series import VOLUME
from cervix.sources.identity import files_of
from cervix.sources.plane import FilePlane
from cervix.sources.slide import Slide

# Both quote values of the header when they complain of them: a patient's name would stand in the log. What is copied from the
# source is not ours to judge.
config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE
logging.getLogger("highdicom").setLevel(logging.ERROR)
logging.getLogger("pydicom").setLevel(logging.ERROR)

# PS3.6. Behind it stand the places of single frames, some hundred bytes each, and the pixels: neither is needed.
PER_FRAME: Final = Tag(0x5200, 0x9230)
# Type 2 in PS3.3, C.7.1.1 and C.7.2.1: they must be there, if need be empty, and files are found without.
MAY_BE_EMPTY: Final = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    "ReferringPhysicianName",
)  # fmt: skip


PLACED_BY: Final = (
    "FrameOfReferenceUID", "ImageOrientationSlide", "TotalPixelMatrixOriginSequence", "SharedFunctionalGroupsSequence",
)  # fmt: skip
UTF_8: Final = "ISO_IR 192"
"""Defined term of Specific Character Set (PS3.3, C.12.1.1.2)."""


@dataclass(frozen=True)
class MapGeometry:
    """Where a map with one pixel a tile lies on the glass.

    Attributes
    ----------
    centre_mm : (3,)
        Centre of the map's first pixel in the slide coordinate system, mm: half a tile in from the lattice's corner.
    spacing_mm : (2,)
        Between rows and between columns of the map, mm.
    orientation : (6,)
        Direction cosines of a row and of a column: the source's own.
    """

    centre_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float]
    orientation: tuple[float, ...]


@dataclass(frozen=True)
class SourceSlide:
    """The instance that holds level 0 of a slide.

    Attributes
    ----------
    header : Dataset
        Without pixels and places of single frames. It holds the patient's identifiers as far as the file does, which the
        objects must carry for an archive to file them; nothing of it is shown or logged.
    plane : FilePlane
        How level-0 pixels lie on those of the instance.
    """

    header: Dataset
    plane: FilePlane

    @property
    def orientation(self) -> tuple[float, ...]:
        """Direction cosines of a row and of a column on the glass: ``(6,)``."""
        return tuple(float(value) for value in self.header.ImageOrientationSlide)

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Between rows and between columns of level 0, mm."""
        rows, columns = self.header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        return float(rows), float(columns)

    @property
    def slice_thickness_mm(self) -> float:
        """Depth that the instance says that it shows, mm."""
        return float(self.header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].get("SliceThickness") or 0.0)

    def to_slide_mm(self, x_l0_px: NDArray[np.floating], y_l0_px: NDArray[np.floating]) -> NDArray[np.float64]:
        """Places on level 0, which counts from the outer corner of its first pixel, on the glass: ``(n, 3)`` in mm.

        The origin of a total pixel matrix is the centre of its first pixel (PS3.3, C.8.12.4).
        """
        x, y = self.plane.to_file_px(np.asarray(x_l0_px, np.float64), np.asarray(y_l0_px, np.float64))
        origin = self.header.TotalPixelMatrixOriginSequence[0]
        offsets = [float(origin.get(f"{axis}OffsetInSlideCoordinateSystem") or 0.0) for axis in "XYZ"]
        between_rows, between_columns = self.spacing_mm
        along_row, along_column = np.asarray(self.orientation).reshape(2, 3)
        steps = np.outer(x - 0.5, along_row * between_columns) + np.outer(y - 0.5, along_column * between_rows)
        return np.asarray(offsets + steps, np.float64)

    def map_geometry(self, lattice: TileLattice) -> MapGeometry:
        """Where a map of these cells lies."""
        size = lattice.size_l0_px
        x, y, z = self.to_slide_mm(np.array([lattice.left_l0_px + size / 2]), np.array([lattice.top_l0_px + size / 2]))[0]
        between_rows, between_columns = self.spacing_mm
        spacing = (
            size * self.plane.file_px_per_l0_px_y * between_rows,
            size * self.plane.file_px_per_l0_px_x * between_columns,
        )
        return MapGeometry((float(x), float(y), float(z)), spacing, self.orientation)


def source_of(slide: Slide) -> SourceSlide:
    """The instance that holds level 0 of a DICOM slide.

    Raises
    ------
    SlideNotReadable
        Where a file of the series is gone or damaged.
    SlideNotSuitable
        Where no instance has the pixels of level 0, or it does not say where they lie on the glass.
    """
    size = slide.file.dimensions
    for header in _headers(files_of(slide.path)):
        if (header.get("TotalPixelMatrixColumns"), header.get("TotalPixelMatrixRows")) == size:
            return SourceSlide(_complete(header), slide.plane)
    raise SlideNotSuitable(
        "No instance of the DICOM series is level 0 of the slide",
        expected=f"a whole-slide image of {size[0]:,} × {size[1]:,} px",
        action="Fetch the whole series again.",
    )


def _headers(files: Iterable[Path]) -> Iterable[Dataset]:
    """Headers of the levels among these files."""

    def frames(tag: BaseTag, vr: str | None, length: int) -> bool:
        del vr, length
        return bool(tag >= PER_FRAME)

    for file in files:
        try:
            with file.open("rb") as stream:
                header = read_partial(stream, stop_when=frames)
        except (OSError, InvalidDicomError, EOFError, ValueError) as error:
            raise SlideNotReadable(
                "A file of the DICOM series cannot be read", found=type(error).__name__, action="Copy the series again."
            ) from error
        if header.get("SOPClassUID") == WHOLE_SLIDE_IMAGE and VOLUME in header.get("ImageType", ()):
            yield header


def _complete(header: Dataset) -> Dataset:
    """The header with what may be empty in it; refused where it does not say where its pixels lie."""
    if missing := [keyword for keyword in PLACED_BY if not header.get(keyword)]:
        raise SlideNotSuitable(
            "The DICOM series does not say where its pixels lie on the glass",
            expected=", ".join(PLACED_BY),
            found=f"no {', '.join(missing)}",
        )
    for keyword in MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, None)
    header.decode()
    header.SpecificCharacterSet = UTF_8  # ours are words of any bundle
    return header
