"""What a DICOM header says of people does not stay in an upload, nor get into anything that is made of the slide."""

import hashlib
import logging
import re
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pypdf
import pytest
from pydicom.dataset import Dataset

from cervix.bundle import Bundle
from cervix.cli_slide import slides_named
from cervix.errors import CervixError, SlideNotSuitable, UploadRefused
from cervix.intake.inbox import list_inbox
from cervix.intake.photographs import erase_photographs
from cervix.intake.shelf import recent, remember
from cervix.intake.uploads import UploadStore
from cervix.interop.exports import EXPORTS, write_export
from cervix.slides.desk import ScoringDesk
from cervix.slides.scoring import plan_slide
from cervix.sources.dicom_series import require_one_slide
from cervix.sources.identity import files_of, identity_of, slides_in
from cervix.sources.opening import open_slide
from cervix.sources.photographs.dicom_names import names_in
from cervix.sources.probe import open_outside, probe_slide
from tests.dicom_slides import TELLING, rewritten
from tests.intake.test_uploads import OTHER, UPLOAD, send

AS_TIFF = "3" * len(OTHER)

WORDS = tuple(part for value in TELLING for part in re.split(r"[\^ ]", value) if len(part) > 3)
# Where the standard allows an empty value, and one that means nothing where it does not.
REMOVED = {
    "ContainerIdentifier": "REMOVED", "DeviceSerialNumber": "REMOVED", "ContentDate": "19000101", "PatientID": "",
    "PatientSex": "", "PatientWeight": "",
}  # fmt: skip


def said_in(content: bytes) -> list[str]:
    return [word for word in WORDS if word.encode() in content]


def talkative(dataset: Dataset, _: int) -> None:
    """Names where few look for them: nested, private, in bytes, before the mark and behind the pixels."""
    dataset.add_new((0x0009, 0x0010), "LO", "Quellmann private")
    dataset.add_new((0x0009, 0x1001), "OB", b"Ottilie\0")
    dataset.add_new((0x0009, 0x1002), "CS", "BIRKENAU")
    other, code, step, item = Dataset(), Dataset(), Dataset(), Dataset()
    other.PatientID = "PX7731905"
    dataset.OtherPatientIDsSequence = [other]
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "AX99471283", "99LOCAL", "Xanderl"
    dataset.OperatorIdentificationSequence = [Dataset()]
    dataset.OperatorIdentificationSequence[0].PersonIdentificationCodeSequence = [code]
    item.ValueType, item.TextValue, item.DateTime = "TEXT", "Quellmann", "20190817"
    step.SpecimenPreparationStepContentItemSequence = [item]
    dataset.SpecimenDescriptionSequence[0].SpecimenPreparationSequence = [step]
    dataset.SpecimenDescriptionSequence[0].SpecimenIdentifier = "CX20194471"
    dataset.add_new((0x0088, 0x0200), "SQ", [Dataset()])
    dataset.add_new((0x0028, 0x7777), "UN", b"BIRKENAU")
    dataset.preamble = b"II*\0" + b"Quellmann".ljust(124)
    dataset.add_new((0xFFFC, 0xFFFC), "OB", b"Quellmann\0")
    # A code and a number that stay anywhere but in the patient's group.
    dataset.PatientSex, dataset.PatientWeight = "F", "71.5"


def test_names_are_blanked_wherever_they_stand_and_the_frames_stay(cmu_dicom: Path, tmp_path: Path) -> None:
    path = rewritten(cmu_dicom, tmp_path / "series", talkative)
    before = {file: pydicom.dcmread(file) for file in files_of(path)}
    assert all(len(said_in(file.read_bytes())) == len(WORDS) for file in before)
    erase_photographs(path)
    for file, told in before.items():
        left = pydicom.dcmread(file)
        assert said_in(file.read_bytes()) == []
        assert b"BIRKENAU" not in file.read_bytes()
        assert left.PixelData == told.PixelData
        assert {keyword: str(left[keyword].value) for keyword in REMOVED} == REMOVED
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Manufacturer", "TotalPixelMatrixRows"):
            assert left[keyword] == told[keyword]
        assert left.OpticalPathSequence == told.OpticalPathSequence
        assert left.SharedFunctionalGroupsSequence == told.SharedFunctionalGroupsSequence
        assert left.SpecimenDescriptionSequence[0].SpecimenTypeCodeSequence[0].CodeMeaning == "Slide"
        assert (0xFFFC, 0xFFFC) not in left
    require_one_slide(files_of(path))
    kept = identity_of(path)
    erase_photographs(path)
    assert identity_of(path) == kept, "what was cleared once stays as it is"


@pytest.mark.parametrize(("cut", "found"), [(300, "a damaged header"), (150, "a damaged header")])
def test_a_header_that_cannot_be_read_to_its_end_is_refused(cut: int, found: str, cmu_dicom: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(next(cmu_dicom.iterdir()).read_bytes()[:cut])
    with pytest.raises(UploadRefused, match=f"may hold names .* found {found}"):
        erase_photographs(path)


def test_a_value_of_a_kind_that_nobody_knows_is_blanked(cmu_dicom: Path, tmp_path: Path) -> None:
    content = next(cmu_dicom.iterdir()).read_bytes()
    at = content.index(b"\x08\x00\x80\x00LO")
    (tmp_path / "a.dcm").write_bytes(content[: at + 4] + b"ZZ" + content[at + 6 :])
    erasure = names_in(tmp_path / "a.dcm")
    erasure.write()
    assert erasure.is_written()
    assert said_in((tmp_path / "a.dcm").read_bytes()) == []


def test_an_encoding_that_no_slide_here_has_is_refused(cmu_dicom: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(next(cmu_dicom.iterdir()))
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    dataset.save_as(tmp_path / "a.dcm", implicit_vr=True, little_endian=True)
    with pytest.raises(UploadRefused, match="found another encoding"):
        names_in(tmp_path / "a.dcm")


def test_an_uploaded_series_is_kept_without_names_under_the_hash_of_what_is_kept(
    cmu_dicom: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cervix")
    store = UploadStore(tmp_path / "home" / "uploads", 50_000_000)
    files = sorted(cmu_dicom.iterdir())
    for number, file in enumerate(files):
        send(store, file.read_bytes(), f"Quellmann/IM{number:04d}", number=number)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for file in files:
            archive.write(file, f"Quellmann/{file.name}")
    send(store, (tmp_path / "z.zip").read_bytes(), "Quellmann.zip", upload=OTHER)
    (path,) = store.finish(UPLOAD)
    (again,) = store.finish(OTHER)
    assert again.parent == path.parent, "single files without suffixes and an archive are the same slide"
    assert path.parent.name == identity_of(path)
    assert len(files_of(path)) == 5
    assert probe_slide(path).parts_unreadable == 0
    assert [file for file in store.folder.rglob("*") if file.is_file() and said_in(file.read_bytes())] == []
    assert said_in(caplog.text.encode()) == []
    keeping = UploadStore(tmp_path / "keeping", 50_000_000, keep_photographs=True)
    for number, file in enumerate(files):
        send(keeping, file.read_bytes(), f"s/{file.name}", number=number)
    (path,) = keeping.finish(UPLOAD)
    assert path.parent.name == identity_of(next(cmu_dicom.iterdir())), "where all may stay, nothing is changed"


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "ContainerIdentifier"])
def test_a_series_of_two_is_refused_before_they_can_no_longer_be_told_apart(
    keyword: str, cmu_dicom: Path, tmp_path: Path
) -> None:
    def other(dataset: Dataset, number: int) -> None:
        if number:
            setattr(dataset, keyword, "Somebody")

    path = rewritten(cmu_dicom, tmp_path / "series", other)
    store = UploadStore(tmp_path / "uploads", 50_000_000)
    for number, file in enumerate(files_of(path)):
        send(store, file.read_bytes(), file.name, number=number)
    with pytest.raises(SlideNotSuitable, match="The DICOM series holds files of more than one (patient|slide)") as refused:
        store.finish(UPLOAD)
    assert said_in(str(refused.value).encode()) == []
    assert [file for file in store.folder.rglob("*") if file.is_file()] == []


def test_the_same_slide_scores_the_same_and_nothing_made_of_it_names_the_patient(
    cmu_dicom: Path, data_dir: Path, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """From an inbox, where the file itself keeps its names."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pydicom").setLevel(logging.WARNING)
    inbox, home = tmp_path / "inbox", tmp_path / "home"
    shutil.copytree(cmu_dicom, inbox)
    (path,) = slides_in(inbox)
    assert [entry.path for entry in list_inbox([inbox])] == slides_named(inbox) == [path]
    slide, source = open_outside(path), open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    plan, wanted = plan_slide(slide, bundle), plan_slide(source, bundle)
    # The source has no pyramid; the smaller levels of the series were compressed a second time.
    assert plan.tissue.area_mm2(0.499) == pytest.approx(wanted.tissue.area_mm2(0.499), rel=0.05)
    desk = ScoringDesk(home / "results")
    scores = []
    for each, planned in ((slide, wanted), (source, wanted)):
        job = desk.start(each, bundle, planned, "me")
        until = time.monotonic() + 120
        while job.active and time.monotonic() < until:
            time.sleep(0.02)
        assert job.state == "done", job.error
        scores.append(desk.score(each, bundle))
    score, of_source = scores
    assert score is not None
    assert of_source is not None
    numbers = score.tiles.select_dtypes("number").columns
    assert np.allclose(score.tiles[numbers], of_source.tiles[numbers], atol=1e-6, equal_nan=True)
    remember(home / "seen", slide, slide.overview(8.0)[0])
    assert recent(home / "seen", 1)
    cleared = tmp_path / "cleared"
    shutil.copytree(cmu_dicom, cleared)
    erase_photographs(cleared / path.name)
    texts = []
    for kind, export in EXPORTS.items():
        # DICOM objects name the patient whom the source names: that is how an archive files them.
        of = open_outside(cleared / path.name) if kind == "dicom" else slide
        if export.why_not(of):
            continue
        written = write_export(kind, score, of, bundle.session_of("tile"), home, slide.sha256[:12])
        if written.suffix == ".pdf":
            texts += [page.extract_text() for page in pypdf.PdfReader(written).pages]
        if written.suffix == ".parquet":
            texts.append(pd.read_parquet(written).to_csv())
        if zipfile.is_zipfile(written):
            with zipfile.ZipFile(written) as packed:
                texts += [packed.read(name).decode("latin-1") for name in packed.namelist()]
    texts += [caplog.text, *capfd.readouterr(), str(home), repr(slide.notices), *(str(file) for file in home.rglob("*"))]
    assert [said for said in texts if said_in(said.encode())] == []
    assert [file for file in home.rglob("*") if file.is_file() and said_in(file.read_bytes())] == []


def test_refusals_name_nobody(cmu_dicom: Path, tmp_path: Path) -> None:
    for number, spoil in enumerate((lambda content: content[: len(content) // 2], lambda content: content[:1500])):
        folder = tmp_path / str(number)
        shutil.copytree(cmu_dicom, folder)
        largest = max(folder.iterdir(), key=lambda file: file.stat().st_size)
        largest.write_bytes(spoil(largest.read_bytes()))
        with pytest.raises(CervixError) as refused:
            open_outside(largest)
        assert said_in(str(refused.value).encode()) == []


def test_the_hash_of_an_upload_is_not_that_of_the_names(cmu_dicom: Path, tmp_path: Path) -> None:
    store = UploadStore(tmp_path / "uploads", 50_000_000)
    alone = min(cmu_dicom.iterdir(), key=lambda file: file.stat().st_size)
    named = rewritten(cmu_dicom, tmp_path / "named", lambda dataset, _: setattr(dataset, "PatientName", "Anderson^Ulrikes0"))
    other = min(named.parent.iterdir(), key=lambda file: file.stat().st_size)
    hashes = set()
    for upload, file, name in ((UPLOAD, alone, "a.dcm"), (OTHER, other, "a.dcm"), (AS_TIFF, alone, "a.svs")):
        send(store, file.read_bytes(), name, upload=upload)
        (path,) = store.finish(upload)
        assert path.parent.name != hashlib.sha256(file.read_bytes()).hexdigest()
        hashes.add(path.parent.name)
    assert len(hashes) == 1, "two patients, one slide, one hash"
    with pytest.raises(UploadRefused, match="found a DICOM file"):
        store.store_picture("a.png", memoryview(alone.read_bytes()))
