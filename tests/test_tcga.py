"""Real carcinomas come from the archive whole, slide by slide, when somebody asks for one; what has come of one is kept."""

import shutil
import zipfile
from pathlib import Path
from threading import Event

import pytest

from cervix.errors import Cancelled, DownloadFailed
from cervix.samples.tcga import (
    RealSlide,
    fetch_real_slide,
    is_begun,
    opened_by,
    real_slides,
    real_slides_at_hand,
)
from cervix.settings import Settings
from cervix.sources.downloads import Arriving
from cervix.sources.identity import files_of
from cervix.sources.opening import open_slide
from tests.file_server import Archive, cut_after, dripping, wrong_bytes

pytestmark = pytest.mark.usefixtures("no_proxy")
SMALLEST = real_slides()[0]


@pytest.fixture
def files(cases_dir: Path) -> dict[str, bytes]:
    """The files of a small slide in DICOM, as many as the smallest slide of the table has."""
    with zipfile.ZipFile(cases_dir / "slides/dicom_macos.zip") as archive:
        return {Path(name).name: archive.read(name) for name in archive.namelist() if name.startswith("case/")}


@pytest.fixture
def settings(archive: Archive, files: dict[str, bytes], tmp_path: Path) -> Settings:
    """Settings whose archive is a local server that has the smallest slide."""
    archive.contents |= {f"/{SMALLEST.series.id}/{name}": content for name, content in files.items()}
    return Settings(home=tmp_path / "home", idc_address=archive.address, sample_timeout_s=5)


def ranges(archive: Archive, name: str) -> list[str]:
    return [asked for path, asked in archive.requests if path == f"/{SMALLEST.series.id}/{name}"]


def test_the_table_has_six_women_of_each_type_the_smallest_first_with_source_and_licence() -> None:
    slides = real_slides()
    assert [sum(slide.label == label for slide in slides) for label in ("scc", "ac")] == [6, 6]
    assert len({slide.patient for slide in slides}) == len({slide.series.id for slide in slides}) == 12
    assert [slide.size_bytes for slide in slides] == sorted(slide.size_bytes for slide in slides)
    assert slides[-1].size_bytes < 150e6
    for slide in slides:
        assert ("adenocarcinoma" in slide.diagnosis.lower()) == (slide.label == "ac")
        assert slide.credit.startswith(f"Real: {slide.patient}, TCGA-CESC")
        assert slide.credit.endswith("CC BY 3.0.")


def test_a_slide_is_fetched_once_opens_and_needs_no_network_from_then_on(
    archive: Archive, settings: Settings, files: dict[str, bytes]
) -> None:
    told: list[Arriving] = []
    path = fetch_real_slide(SMALLEST, settings, arriving=told.append)
    assert {file.name: file.read_bytes() for file in files_of(path)} == files
    assert open_slide(path).width_l0_px > 500
    assert path.is_relative_to(settings.samples_dir)
    assert (told[0].done_bytes, told[-1].done_bytes) == (0, sum(map(len, files.values())))
    assert told[0].left_s is None
    assert told[-1].left_s is not None
    asked = len(archive.requests)
    offline = settings.model_copy(update={"offline": True})
    assert fetch_real_slide(SMALLEST, offline) == opened_by(SMALLEST, offline) == path
    assert real_slides_at_hand(offline) == [SMALLEST]
    assert len(archive.requests) == asked


def test_without_a_network_nothing_is_offered_or_asked_for(archive: Archive, settings: Settings) -> None:
    offline = settings.model_copy(update={"offline": True})
    assert real_slides_at_hand(offline) == []
    assert real_slides_at_hand(settings) == list(real_slides())
    with pytest.raises(DownloadFailed, match="the network may not be used"):
        fetch_real_slide(SMALLEST, offline)
    assert archive.requests == []
    assert not settings.home.exists()


def test_a_stop_keeps_what_has_come_and_the_next_try_goes_on_from_it(
    archive: Archive, settings: Settings, files: dict[str, bytes]
) -> None:
    first, second = list(files)[:2]
    archive.plan(f"/{SMALLEST.series.id}/{second}", dripping(20_000, seconds=0.02, step=500))
    stop = Event()

    def stop_within_the_second(step: Arriving) -> None:
        if step.done_bytes > len(files[first]) + 10_000:
            stop.set()

    with pytest.raises(Cancelled):
        fetch_real_slide(SMALLEST, settings, arriving=stop_within_the_second, cancel=stop)
    assert is_begun(SMALLEST, settings)
    assert opened_by(SMALLEST, settings) is None
    told: list[Arriving] = []
    fetch_real_slide(SMALLEST, settings, arriving=told.append)
    assert told[0].done_bytes > len(files[first]) + 10_000
    assert ranges(archive, first) == [""]
    assert [asked != "" for asked in ranges(archive, second)] == [False, True]
    assert told[-1].done_bytes == sum(map(len, files.values()))
    assert not is_begun(SMALLEST, settings)


def test_a_stop_does_not_wait_for_the_next_try(archive: Archive, settings: Settings, files: dict[str, bytes]) -> None:
    name = next(iter(files))
    archive.plan(f"/{SMALLEST.series.id}/{name}", *[cut_after(100)] * 6)
    stop = Event()

    def stop_at_once(step: Arriving) -> None:
        if step.done_bytes:
            stop.set()

    with pytest.raises(Cancelled):
        fetch_real_slide(SMALLEST, settings, arriving=stop_at_once, cancel=stop)
    assert len(ranges(archive, name)) == 1


def test_bytes_that_are_not_the_archives_are_never_opened(
    archive: Archive, settings: Settings, files: dict[str, bytes]
) -> None:
    archive.plan(f"/{SMALLEST.series.id}/{next(iter(files))}", wrong_bytes, wrong_bytes)
    with pytest.raises(DownloadFailed, match="does not arrive as it was deposited: expected MD5"):
        fetch_real_slide(SMALLEST, settings)
    assert opened_by(SMALLEST, settings) is None


def test_a_full_disk_is_said_before_the_first_byte(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(Path(__file__).parent)._replace(free=520_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadFailed, match=r"No room for TCGA-.*expected 549 MB free.*found 520 MB"):
        fetch_real_slide(SMALLEST, settings)
    assert archive.requests == []


def test_what_is_called_a_slide_of_another_number_of_files_is_refused(archive: Archive, settings: Settings) -> None:
    other = RealSlide(**{**vars(SMALLEST), "series": real_slides()[3].series})
    with pytest.raises(DownloadFailed, match="answers in another way than documented: expected 4 files in series"):
        fetch_real_slide(other, settings)
    assert len(archive.requests) == 1
