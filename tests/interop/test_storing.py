"""A slide makes the whole round: converted, in a real archive, found, fetched, scored, and its objects stored beside it."""

import io
import logging
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient

from cervix.bundle import Bundle
from cervix.errors import ArchiveRefused, DownloadFailed
from cervix.intake.archived import fetch_archived, is_begun
from cervix.intake.uploads import UploadStore
from cervix.interop.dicom import write_objects
from cervix.interop.dicom.storing import FROM_THE_ARCHIVE, store_objects, store_score
from cervix.settings import Settings
from cervix.slides.scoring import score_slide
from cervix.sources.dicomweb import Archive, ArchivedSeries, archive_of
from cervix.sources.downloads import Arriving
from cervix.sources.identity import files_of
from cervix.sources.probe import open_outside
from tests.dicom_slides import PATIENT, TELLING, rewritten
from tests.orthanc import PASSWORD, USER, Orthanc, running


def settings_for(orthanc: Orthanc, home: Path, **more: object) -> Settings:
    return Settings(home=home, dicomweb_url=orthanc.dicomweb, dicomweb_timeout_s=10, offline=False, **more)


def test_a_slide_goes_from_the_archive_through_the_score_back_into_the_archive(
    orthanc: Orthanc, cmu_dicom: Path, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = settings_for(orthanc, tmp_path / "home")
    store = UploadStore(settings.uploads_dir, 10**9)
    sources = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in cmu_dicom.iterdir()}
    with archive_of(settings) as archive:
        # The slide comes in by our own STOW.
        archive.store({str(dataset.SOPInstanceUID): path for path, dataset in sources.items()})
        (series,), more = archive.slides()
        assert (series.modality, series.instances, more) == ("SM", 5, False)
        assert [(level.columns_px, level.rows_px) for level in archive.instances_of(series)][:2] == [(2220, 2967), (1110, 1484)]
        for words in (PATIENT["AccessionNumber"], series.study_uid, f" {series.series_uid} "):
            assert archive.slides(words) == ([series], False)
        assert archive.slides("AX0") == archive.slides("1.2.3") == archive.slides("a" * 500) == ([], False)
        assert archive.slides("", 1) == ([], False)

        told: list[Arriving] = []
        path = fetch_archived(series, store, settings, arriving=told.append)
        assert (told[0].done_bytes, told[-1].done_bytes) == (0, sum(file.stat().st_size for file in sources))
        assert told[-1].share > 0.99
        assert not is_begun(series, store)
        assert fetch_archived(series, store, settings.model_copy(update={"offline": True})) == path
        assert len(files_of(path)) == 5

        slide = open_outside(path, sha256=store.sha256_at(path))
        assert (slide.width_l0_px, slide.height_l0_px) == (2220, 2967)
        score = score_slide(slide, bundle)
        stored = store_score(score, slide, bundle.session_of("tile"), archive)
        assert {"SEG", "SR"} <= {series.modality for series in stored}
        assert all(other.study_uid == series.study_uid and other.instances == 1 for other in stored)
        assert {other.series_uid for other in archive.series_of(series.study_uid)} == {
            series.series_uid,
            *(other.series_uid for other in stored),
        }
    # The archive filed them under the one patient and study it has, whom nothing here has kept.
    (study,) = requests.get(f"{orthanc.dicomweb}/studies", timeout=10).json()
    assert study["00100020"]["Value"] == [PATIENT["PatientID"]]
    assert study["00201206"]["Value"] == [1 + len(stored)]
    kept = b"".join(file.read_bytes() for file in settings.home.rglob("*") if file.is_file())
    assert series.study_uid.encode() in kept
    assert not [word for word in TELLING if word.encode() in kept]
    said = caplog.text + repr(series) + repr(settings) + repr(stored)
    assert not [word for word in TELLING if word in said]
    assert series.study_uid not in caplog.text
    # Another client reads what was stored; it logs UIDs, so it comes last.
    other = DICOMwebClient(orthanc.dicomweb)
    for found in stored:
        (dataset,) = other.retrieve_series(found.study_uid, found.series_uid)
        assert (dataset.Modality, dataset.PatientID) == (found.modality, PATIENT["PatientID"])


def test_objects_are_stored_only_where_their_slide_is_and_get_their_patient_there(
    orthanc: Orthanc, cmu_dicom: Path, bundle: Bundle, tmp_path: Path
) -> None:
    def rename(instance: pydicom.Dataset, _: int) -> None:
        instance.SpecificCharacterSet, instance.PatientName, instance.PatientID = "ISO_IR 100", "Öztürk^Zoë", "PX1"

    def blank(instance: pydicom.Dataset, _: int) -> None:
        for keyword in FROM_THE_ARCHIVE:
            setattr(instance, keyword, "")

    # The slide as it lies here has lost whose it is; its file in the archive has not.
    slide = open_outside(rewritten(cmu_dicom, tmp_path / "here", blank))
    rewritten(cmu_dicom, tmp_path / "there", rename)
    (folder := tmp_path / "objects").mkdir()
    paths = write_objects(score_slide(slide, bundle), slide, bundle.session_of("tile"), folder)
    with archive_of(settings_for(orthanc, tmp_path)) as archive:
        with pytest.raises(ArchiveRefused, match=r"does not have the study of this slide: .*found 0 such studies"):
            store_objects(paths, archive)
        assert requests.get(f"{orthanc.dicomweb}/studies", timeout=10).json() == []
        orthanc.put(tmp_path / "there/0.dcm")
        assert len(store_objects(paths, archive)) == len(paths)
    (study,) = requests.get(f"{orthanc.dicomweb}/studies", timeout=10).json()
    assert study["00100010"]["Value"] == [{"Alphabetic": "Öztürk^Zoë"}]
    assert study["00201208"]["Value"] == [1 + len(paths)]
    for path in paths:
        uid = pydicom.dcmread(path).SOPInstanceUID
        (found,) = requests.post(f"{orthanc.address}/tools/lookup", data=str(uid), timeout=10).json()
        stored = pydicom.dcmread(
            io.BytesIO(requests.get(f"{orthanc.address}/instances/{found['ID']}/file", timeout=10).content)
        )
        assert (str(stored.PatientName), stored.PatientID) == ("Öztürk^Zoë", "PX1")
        assert stored.AccessionNumber == PATIENT["AccessionNumber"]
        assert pydicom.dcmread(path).PatientID == "", "what lies here still says nothing"


class Forgetful(Archive):
    """An archive that says that it keeps everything, and lists nothing of it."""

    def __init__(self) -> None:
        self.taken: list[pydicom.Dataset] = []

    def study_attributes(self, study_uid: str) -> dict[str, object]:
        name = {"Alphabetic": "Yamada^Tarou", "Phonetic": "やまだ^たろう"}
        return {"0020000D": {"Value": [study_uid]}, "00100010": {"Value": [name]}, "00100020": {}, "00100040": "F"}

    def store(self, objects: dict[str, Path]) -> None:
        self.taken += [pydicom.dcmread(path) for path in objects.values()]

    def series_of(self, study_uid: str) -> list[ArchivedSeries]:
        return [ArchivedSeries(study_uid, "1.2.3", "SM", 1)]


def test_what_is_taken_and_not_listed_is_said_and_a_patient_has_her_name_in_each_script(
    cmu_dicom: Path, tmp_path: Path
) -> None:
    one, archive = tmp_path / "report.dcm", Forgetful()
    pydicom.dcmread(min(cmu_dicom.iterdir(), key=lambda file: file.stat().st_size)).save_as(one)
    with pytest.raises(ArchiveRefused, match="took the objects and does not list them: expected 1 series; found 0"):
        store_objects([one], archive)
    (sent,) = archive.taken
    assert str(sent.PatientName) == "Yamada^Tarou==やまだ^たろう"
    assert sent.PatientID == "", "empty there, empty here"
    assert sent.AccessionNumber == PATIENT["AccessionNumber"], "of what the archive does not say"


@pytest.mark.usefixtures("no_proxy")
def test_an_archive_with_a_password_is_asked_with_it_and_nobody_else_hears_of_it(
    cmu_dicom: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running(tmp_path, password=True) as orthanc:
        allowed = settings_for(orthanc, tmp_path, dicomweb_user=USER, dicomweb_password=PASSWORD)
        with archive_of(allowed) as archive:
            file = min(cmu_dicom.iterdir())
            archive.store({str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID): file})
            assert [series.instances for series in archive.slides()[0]] == [1]
        for wrong in (settings_for(orthanc, tmp_path), allowed.model_copy(update={"dicomweb_user": "somebody"})):
            with archive_of(wrong) as archive, pytest.raises(DownloadFailed, match="status 401: it does not accept") as caught:
                archive.slides()
            assert PASSWORD not in str(caught.value)
    assert PASSWORD not in caplog.text + repr(allowed)
