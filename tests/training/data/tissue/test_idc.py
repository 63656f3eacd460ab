"""DICOM series come whole from a bucket, with the class that the Genomic Data Commons knows of their patient, or not at all."""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from cervix.errors import DownloadFailed
from cervix.sources.downloads import Downloader
from cervix.sources.identity import files_of
from cervix.sources.opening import open_slide
from tests.file_server import BUCKET_LIST, Archive, cut_after, says, status, wrong_bytes
from training.data.tissue.collecting import SlideManifest, choose_slides, fetch_chosen
from training.data.tissue.gdc import GenomicDataCommons
from training.data.tissue.idc import NO_CASE, ImagingDataCommons

SCC = "Squamous cell carcinoma, NOS"
DIAGNOSTIC, FROZEN = "FFPE HE TP DX1", "Frozen HE TP TSA"


@pytest.fixture
def files(cases_dir: Path) -> dict[str, bytes]:
    """The files of a small slide in DICOM."""
    with zipfile.ZipFile(cases_dir / "slides/dicom_macos.zip") as archive:
        return {Path(name).name: archive.read(name) for name in archive.namelist() if name.startswith("case/")}


@dataclass
class Idc:
    """The archive under test, pointed at the local server and in a hurry."""

    server: Archive
    out: Path
    rows: list[dict[str, object]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, patient: str, description: str, files: dict[str, bytes], **changes: object) -> str:
        """Put a series into bucket and table; ``changes`` are other values of its row."""
        series = self.server.add_series(files)
        size_mb = sum(map(len, files.values())) / 1e6
        self.rows.append(
            {
                "PatientID": patient, "SeriesDescription": description, "crdc_series_uuid": series,
                "aws_bucket": "idc-open-data", "series_size_MB": size_mb, "instanceCount": len(files),
            }
            | changes
        )  # fmt: skip
        return series

    def fetch(self) -> SlideManifest:
        addresses = self.out / "addresses.csv"
        addresses.parent.mkdir(exist_ok=True)
        pd.DataFrame(self.rows).to_csv(addresses, index=False)
        log = self.lines.append
        with Downloader("The bucket", log=log, retry_wait_s=0.001, read_timeout_s=10.0) as service:
            gdc = GenomicDataCommons(service, "TCGA-CESC", self.server.address)
            archive = ImagingDataCommons(service, addresses, gdc, self.server.address)
            manifest = choose_slides(archive, self.out, limit=None, smallest=False, log=log)
            fetch_chosen(manifest, archive, log)
        return manifest

    def opened(self) -> list[str]:
        """Where the manifest says that slides are opened."""
        return pd.read_csv(self.out / "manifest.csv", keep_default_na=False)["path"].tolist()

    def asked(self, series: str) -> list[tuple[str, str]]:
        """Files of a series that were asked for: name and range."""
        return [(path.rsplit("/", 1)[1], at) for path, at in self.server.requests if path.startswith(f"/{series}/")]


@pytest.fixture
def idc(archive: Archive, tmp_path: Path) -> Idc:
    archive.add("TCGA-AA-0001", SCC)
    return Idc(archive, tmp_path / "idc")


@pytest.fixture
def series(idc: Idc, files: dict[str, bytes]) -> str:
    """A bucket of one series, of a patient with squamous-cell carcinoma."""
    return idc.add("TCGA-AA-0001", DIAGNOSTIC, files)


def test_a_series_arrives_whole_and_is_opened_as_one_slide_of_its_patient(
    idc: Idc, series: str, files: dict[str, bytes]
) -> None:
    (slide,) = idc.fetch().slides
    assert (slide.source_group, slide.label, slide.primary_diagnosis) == ("TCGA-AA-0001", "scc", SCC)
    (path,) = idc.opened()
    assert path.startswith(f"slides/{series}/")
    assert {file.name: file.read_bytes() for file in files_of(idc.out / path)} == files
    assert open_slide(idc.out / path).width_l0_px > 500
    assert [folder.name for folder in (idc.out / "slides").iterdir()] == [series]


def test_frozen_sections_are_not_listed_and_patients_without_a_case_are_left_out(
    idc: Idc, series: str, files: dict[str, bytes]
) -> None:
    idc.add("TCGA-AA-0001", FROZEN, files)
    idc.add("TCGA-BB-0009", DIAGNOSTIC, files)
    manifest = idc.fetch()
    assert [slide.file_id for slide in manifest.slides] == [series]
    assert [(slide.source_group, slide.reason) for slide in manifest.excluded] == [("TCGA-BB-0009", NO_CASE)]


def test_an_interrupted_series_goes_on_within_its_file_and_asks_for_none_that_is_whole(
    idc: Idc, series: str, files: dict[str, bytes]
) -> None:
    second = list(files)[1]
    idc.server.plan(f"/{series}/{second}", cut_after(5000), status(403))
    with pytest.raises(DownloadFailed, match="refuses"):
        idc.fetch()
    assert idc.opened() == [""]
    idc.fetch()
    assert idc.asked(series)[:4] == [(next(iter(files)), ""), (second, ""), *[(second, "bytes=5000-")] * 2]
    assert len(idc.asked(series)) == len(files) + 2
    idc.fetch()
    assert len(idc.asked(series)) == len(files) + 2, "what is whole is not asked for again"


def test_bytes_that_are_not_those_of_the_tag_are_refused(idc: Idc, series: str, files: dict[str, bytes]) -> None:
    idc.server.plan(f"/{series}/{next(iter(files))}", wrong_bytes, wrong_bytes)
    with pytest.raises(DownloadFailed, match="does not arrive as it was deposited"):
        idc.fetch()
    assert idc.opened() == [""]


def test_a_file_that_was_uploaded_in_parts_has_no_md5_and_its_size_is_checked(
    idc: Idc, series: str, files: dict[str, bytes]
) -> None:
    name, content = next(iter(files.items()))
    idc.server.tags[f"/{series}/{name}"] = f"{'0' * 32}-2"
    idc.server.plan(f"/{series}/{name}", says(content[:-1]))
    idc.fetch()
    assert any(f"announced {len(content) - 1} bytes instead of {len(content)}" in line for line in idc.lines)
    assert idc.opened() != [""]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("<html><p>Sign in</html>", "mismatched tag"),
        ("<ListBucketResult/>", "found 0"),
        ("<r><Contents><Key>{series}/../evil</Key><Size>3</Size></Contents></r>", "a file called '.*/../evil'"),
        ("<r><Contents><Key>{series}/a.dcm</Key><Size>big</Size></Contents></r>", "big"),
    ],
)
def test_a_list_that_is_no_list_is_said(idc: Idc, series: str, reply: str, found: str) -> None:
    idc.server.plan(f"{BUCKET_LIST}{series}/", says(reply.format(series=series), "application/xml"))
    with pytest.raises(DownloadFailed, match=f"answers in another way than documented: .*{found}"):
        idc.fetch()
    assert idc.asked(series) == []


def test_files_that_are_no_slide_are_not_taken_for_one(idc: Idc) -> None:
    series = idc.add("TCGA-AA-0001", DIAGNOSTIC, {"a.dcm": b"x" * 300})
    with pytest.raises(DownloadFailed, match=f"expected a whole-slide image in DICOM; found other files in series {series}"):
        idc.fetch()
    assert idc.opened() == [""]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"crdc_series_uuid": "../../etc"}, "crdc_series_uuid: String should match"),
        ({"aws_bucket": "evil.example/x"}, "aws_bucket: String should match"),
        ({"series_size_MB": "much"}, "series_size_MB: Input should be a valid number"),
    ],
)
def test_a_table_of_other_addresses_is_refused(
    idc: Idc, files: dict[str, bytes], changes: dict[str, object], found: str
) -> None:
    idc.add("TCGA-AA-0001", DIAGNOSTIC, files, **changes)
    with pytest.raises(DownloadFailed, match=f"cannot be used: expected columns PatientID, .*; found {found}"):
        idc.fetch()
    assert idc.server.requests == []


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with Downloader("The bucket") as service, pytest.raises(DownloadFailed, match="No table of addresses"):
        ImagingDataCommons(service, tmp_path / "none.csv", GenomicDataCommons(service, "TCGA-CESC"))
