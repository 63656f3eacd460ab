"""Slides of the hospital's archive: all pages of a search, each slide fetched whole into the cache."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cervix.archive.sources import at_hand, listed
from cervix.archive.work import Station, Work
from cervix.errors import ArchiveRunRefused, SlideNotSuitable, SourceUnavailable, SourceVanished
from cervix.settings import get_settings
from cervix.sources.identity import identity_of
from tests.dicomweb_server import BASE, LIST, Dicomweb, DicomwebHandler, holding, said
from tests.file_server import Handler, says, serving, status


@pytest.fixture
def server(cmu_dicom: Path, no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dicomweb]:  # noqa: ARG001
    server = holding(cmu_dicom)
    monkeypatch.setattr("cervix.sources.downloads.LONGEST_WAIT_S", 0.001)
    with serving(server, DicomwebHandler):
        monkeypatch.setenv("CERVIX_DICOMWEB_URL", f"{server.address}{BASE}")
        monkeypatch.setenv("CERVIX_OFFLINE", "false")
        get_settings.cache_clear()
        yield server
    get_settings.cache_clear()


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path, "", "cpu", tmp_path, tmp_path / "cache", 10**9)


def series(number: int) -> dict[str, object]:
    uids = {
        "0020000D": f"1.2.{number}",
        "0020000E": f"1.3.{number}",
        "00201209": 4,
        "00080020": "20261130",
        "00080080": "North",
    }
    return said("00080060", "SM", **uids)


def test_every_page_of_a_search_is_asked_for_until_one_brings_nothing_new(server: Dicomweb) -> None:
    def page(handler: Handler) -> None:
        assert isinstance(handler, DicomwebHandler)
        start = int(handler.archive.asked[-1][1]["offset"][0])
        found = [series(number) for number in range(start, min(start + 3, 7))]
        handler.send(200, json.dumps(found).encode(), kind="application/dicom+json")

    server.plan(LIST, *[page] * 4)
    found = list(listed(["dicomweb:?StudyDate=20261101-20261130"], get_settings()))

    assert [one.locator for one in found] == [f"dicomweb:1.2.{number}/1.3.{number}" for number in range(7)]
    assert {(one.site, one.day, one.mark) for one in found} == {("North", "2026-11-30", "4 instances")}
    assert {question["StudyDate"][0] for _, question in server.asked} == {"20261101-20261130"}


def test_an_archive_that_does_not_page_is_asked_twice_and_no_more(server: Dicomweb) -> None:
    server.plan(LIST, *[says(json.dumps([series(1), series(2)]), "application/dicom+json")] * 2)
    assert len(list(listed(["dicomweb:"], get_settings()))) == 2
    assert len(server.asked) == 2


def test_a_slide_is_fetched_whole_and_once(server: Dicomweb, station: Station, cmu_dicom: Path) -> None:
    (found,) = listed(["dicomweb:?Modality=SM"], get_settings())
    for _ in range(2):
        with at_hand(Work(1, found.locator, 1, found.mark), station) as path:
            assert identity_of(path) == identity_of(min(cmu_dicom.iterdir()))
    assert sorted(server.fetched()) == list(range(len(server.files)))


def test_a_slide_that_the_archive_lost_has_vanished_and_one_that_it_cannot_give_may_come_later(
    server: Dicomweb, station: Station
) -> None:
    work = Work(1, f"dicomweb:{server.study}/{server.series}", 1, "")
    server.plan(server.path_of(0), *[status(503)] * 4)
    server.plan(
        f"{BASE}/series", says(json.dumps([said("00080060", "SM", **{"0020000D": server.study, "0020000E": server.series})]))
    )
    with pytest.raises(SourceUnavailable), at_hand(work, station):
        pass
    server.plan(server.instances, status(404))
    server.plan(LIST, says("[]", "application/dicom+json"))
    with pytest.raises(SourceVanished), at_hand(work, station):
        pass


def test_a_slide_larger_than_the_cache_is_refused(server: Dicomweb, station: Station) -> None:
    work = Work(1, f"dicomweb:{server.study}/{server.series}", 1, "")
    with pytest.raises(SlideNotSuitable, match="larger than the cache"), at_hand(work, replace(station, cache_bytes=1000)):
        pass
    assert not [path for path in station.cache_dir.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    "search", ["?PatientName=Doe*", "?00100020=17", "StudyDate=20260101", "?Study-Date=x", f"?StudyDate={'9' * 65}"]
)
def test_a_search_that_names_patients_or_nothing_is_refused_before_anything_is_asked(server: Dicomweb, search: str) -> None:
    with pytest.raises(ArchiveRunRefused):
        list(listed([f"dicomweb:{search}"], get_settings()))
    assert not server.asked
