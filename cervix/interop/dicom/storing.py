"""DICOM objects of a slide, stored in the archive that holds the slide."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pydicom

from cervix.bundle.sessions import ModelSession
from cervix.errors import ArchiveRefused
from cervix.interop.dicom import write_objects
from cervix.interop.dicom.source import UTF_8
from cervix.slides.scoring import SlideScore
from cervix.sources.dicomweb import Archive, ArchivedSeries
from cervix.sources.slide import Slide

FROM_THE_ARCHIVE: Final = {
    "PatientName": "00100010",
    "PatientID": "00100020",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "AccessionNumber": "00080050",
    "ReferringPhysicianName": "00080090",
    "StudyID": "00200010",
}
"""What files an object under its patient and study, by keyword: attributes that each search for studies answers (DICOM PS3.18
table 10.6.3-3). Slides lose them on their way in, so objects get them from the archive on their way out."""


def store_score(score: SlideScore, slide: Slide, session: ModelSession, archive: Archive) -> list[ArchivedSeries]:
    """Write the DICOM objects of a scored slide and store them; see ``store_objects``."""
    with TemporaryDirectory() as folder:
        return store_objects(write_objects(score, slide, session, Path(folder)), archive)


def store_objects(paths: Sequence[Path], archive: Archive) -> list[ArchivedSeries]:
    """Store DICOM objects with the study of their slide, under the patient whom the archive names.

    Patient and study are in memory and in copies that are deleted before this returns.

    Returns
    -------
    list of ArchivedSeries
        The series that hold them, as the archive lists them afterwards.

    Raises
    ------
    ArchiveRefused
        If the archive does not have the study, or does not keep an object.
    DownloadFailed
        If it refuses, cannot be reached, or answers in another way than documented.
    """
    with TemporaryDirectory() as folder:
        objects = {path: pydicom.dcmread(path) for path in paths}
        study_uid = str(next(iter(objects.values())).StudyInstanceUID)
        attributes = archive.study_attributes(study_uid)
        copies = {}
        for path, dataset in objects.items():
            # What is there is decoded before its alphabet changes.
            dataset.decode()
            dataset.SpecificCharacterSet = UTF_8
            for keyword, tag in FROM_THE_ARCHIVE.items():
                if (value := _value(attributes.get(tag))) is not None:
                    setattr(dataset, keyword, value)
            copies[str(dataset.SOPInstanceUID)] = Path(folder) / path.name
            dataset.save_as(Path(folder) / path.name)
        archive.store(copies)
    stored = {str(dataset.SeriesInstanceUID) for dataset in objects.values()}
    listed = [series for series in archive.series_of(study_uid) if series.series_uid in stored]
    if len(listed) != len(stored):
        raise ArchiveRefused(
            "The archive took the objects and does not list them",
            expected=f"{len(stored)} series",
            found=str(len(listed)),
            action="Ask whoever keeps the archive.",
        )
    return listed


def _value(attribute: object) -> str | None:
    """The first value of an attribute in the DICOM JSON model (PS3.18 F.2): empty without one, None without the attribute."""
    if not isinstance(attribute, Mapping):
        return None
    values = attribute.get("Value")
    first: Any = values[0] if isinstance(values, list) and values else ""
    if isinstance(first, Mapping):  # a person's name, in up to three scripts
        first = "=".join(str(first.get(script, "")) for script in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    return str(first) if isinstance(first, str | int) else ""
