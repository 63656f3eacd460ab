"""Whole-slide series in DICOM as a hospital's converter writes them, with a patient who can be looked for."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian

# Each is a word that occurs nowhere else, so that a test may look for it in every byte that is left behind.
PATIENT: Final[dict[str, str]] = {
    "PatientID": "PX7731905",
    "PatientName": "Quellmann^Ottilie",
    "PatientBirthDate": "19571103",
    "PatientAddress": "Zwetschgenweg 17",
    "AccessionNumber": "AX99471283",
    "StudyDate": "20190817",
    "StudyTime": "114927",
    "StudyID": "SX5519082",
    "StudyDescription": "Kolposkopie Quellmann",
    "InstitutionName": "Klinikum Birkenau",
    "ReferringPhysicianName": "Uebelacker^Gerd",
    "OperatorsName": "Xanderl^Rosa",
    "ContainerIdentifier": "CX20194471",
    "Manufacturer": "Scanfabrik",
}
# The scanner's maker is no secret.
TELLING: Final = tuple(value for name, value in PATIENT.items() if name != "Manufacturer")
CMU_TILE_PX: Final = 240
"""The tiles of CMU-1-Small-Region: its own JPEG frames are taken over as they are."""


def converted(source: Path, folder: Path, *, tile_px: int = CMU_TILE_PX, patient: dict[str, str] | None = None) -> Path:
    """A slide as a DICOM series with all its levels, one file a level, TILED_FULL.

    Parameters
    ----------
    source, folder : Path
        ``folder`` is made.
    patient : dict, optional
        Keyword of each attribute -> its value; ``PATIENT`` where it is not given.
    """
    try:
        from wsidicomizer import WsiDicomizer
    except (ImportError, OSError, RuntimeError) as error:  # what it raises where the library libturbojpeg is missing
        pytest.skip(f"wsidicomizer cannot be used here ({error}); it needs libturbojpeg")

    def named(dataset: Any, _: object) -> Any:
        for keyword, value in (PATIENT if patient is None else patient).items():
            setattr(dataset, keyword, value)
        return dataset

    folder.mkdir(parents=True)
    WsiDicomizer.convert(
        source, folder, include_label=False, include_overview=False, include_thumbnail=False, include_confidential=False,
        add_missing_levels=True, tile_size=tile_px, metadata_post_processor=named,
    )  # fmt: skip
    for file in folder.iterdir():
        _complete_edges(file)
    return folder


def frames_of(dataset: Dataset) -> list[bytes]:
    """The encoded frames of an instance."""
    return list(generate_frames(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames)))


def set_frames(dataset: Dataset, frames: list[bytes]) -> None:
    """Put other encoded frames into an instance, and their number."""
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].is_undefined_length = True
    dataset.NumberOfFrames = len(frames)


def rewritten(series: Path, folder: Path, change: Callable[[Dataset, int], object]) -> Path:
    """A copy of a series after ``change(instance, number)``; number 0 is the finest level.

    Returns the finest level of the copy, ``0.dcm``.
    """
    folder.mkdir(parents=True)
    for number, file in enumerate(sorted(series.iterdir(), key=lambda file: -file.stat().st_size)):
        dataset = pydicom.dcmread(file)
        change(dataset, number)
        dataset.save_as(folder / f"{number}.dcm")
    return folder / "0.dcm"


def _complete_edges(file: Path) -> None:
    """wsidicomizer 0.26 cuts the last frames of the levels it adds; all frames have one size (DICOM PS3.3 C.7.6.3.1).

    What else is wrong with those levels stays: they say RGB, as the finest, while their frames are YBR.
    """
    dataset = pydicom.dcmread(file)
    frames = []
    for frame in frames_of(dataset):
        with Image.open(io.BytesIO(frame)) as image:
            whole = Image.new("RGB", (dataset.Columns, dataset.Rows), "white")
            if image.size == whole.size:
                frames.append(frame)
                continue
            whole.paste(image, (0, 0))
        stream = io.BytesIO()
        whole.save(stream, "JPEG", quality=90, subsampling="4:2:2")
        frames.append(stream.getvalue())
    set_frames(dataset, frames)
    dataset.save_as(file)


def recompressed(dataset: Dataset, *, syntax: str, colours: str, encode: Callable[[Image.Image], bytes]) -> None:
    """Encode every frame anew; ``syntax`` and ``colours`` are what the instance then says."""
    frames = []
    for frame in frames_of(dataset):
        with Image.open(io.BytesIO(frame)) as image:
            frames.append(encode(image.convert("RGB")))
    dataset.file_meta.TransferSyntaxUID, dataset.PhotometricInterpretation = UID(syntax), colours
    if syntax == ExplicitVRLittleEndian:
        dataset.PixelData = b"".join(frames)
        dataset["PixelData"].is_undefined_length = False
        dataset["PixelData"].VR = "OB"
    else:
        set_frames(dataset, frames)


def sparse(dataset: Dataset, *, left_out: tuple[int, ...] = (), planes: int = 1) -> None:
    """Make a TILED_FULL instance TILED_SPARSE, without some frames, or with each place in several focal planes."""
    columns, frames, groups = -(-dataset.TotalPixelMatrixColumns // dataset.Columns), frames_of(dataset), []
    kept = [number for number in range(len(frames)) if number not in left_out]
    for plane, number in itertools.product(range(planes), kept):
        place, group = Dataset(), Dataset()
        row, column = divmod(number, columns)
        place.ColumnPositionInTotalImagePixelMatrix = column * dataset.Columns + 1
        place.RowPositionInTotalImagePixelMatrix = row * dataset.Rows + 1
        place.XOffsetInSlideCoordinateSystem = place.YOffsetInSlideCoordinateSystem = "0"
        place.ZOffsetInSlideCoordinateSystem = str(plane)
        group.PlanePositionSlideSequence = [place]
        groups.append(group)
    dataset.DimensionOrganizationType = "TILED_SPARSE"
    del dataset.TotalPixelMatrixFocalPlanes
    dataset.PerFrameFunctionalGroupsSequence = groups
    set_frames(dataset, [frames[number] for number in kept] * planes)
