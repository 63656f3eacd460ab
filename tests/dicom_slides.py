"""Whole-slide series in DICOM as a hospital's converter writes them, with a patient who can be looked for."""

from pathlib import Path
from typing import Any, Final

import pytest

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
    return folder
