"""Whatever an archive answers: one sentence, nothing half done, and nobody else hears who asked or what was looked for."""

import gzip
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from cervix.errors import ArchiveRefused, Cancelled, CervixError, DownloadFailed, UploadRefused
from cervix.intake.archived import fetch_archived, is_begun
from cervix.intake.uploads import UploadStore
from cervix.settings import Settings
from cervix.sources.dicomweb import Archive, ArchivedSeries, archive_of
from cervix.sources.dicomweb.multipart import only_part
from cervix.sources.dicomweb.progress import Progress
from cervix.sources.downloads import Arriving, Body
from tests.dicom_slides import PATIENT
from tests.dicomweb_server import BASE, BOUNDARY, LIST, STUDIES, Dicomweb, DicomwebHandler, holding, multipart, said
from tests.file_server import HTML, Answer, Handler, cut_after, says, serving, status

TOKEN, LOOKED_FOR = "Sesam.oeffne-dich", "AX99471283"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@pytest.fixture
def server(cmu_dicom: Path, no_proxy: None, caplog: pytest.LogCaptureFixture) -> Iterator[Dicomweb]:  # noqa: ARG001
    """An archive with one slide. Whatever a test does with it, no log says what is secret."""
    caplog.set_level(logging.DEBUG)
    server = holding(cmu_dicom)
    with serving(server, DicomwebHandler):
        yield server
    assert not [word for word in (TOKEN, LOOKED_FOR, server.study, server.series) if word in caplog.text]
    assert set(server.told) <= {f"Bearer {TOKEN}"}


@pytest.fixture
def settings(server: Dicomweb, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", dicomweb_url=f"{server.address}{BASE}/", dicomweb_token=TOKEN, offline=False)


@pytest.fixture
def archive(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """The client as the settings make it, but for its patience."""
    monkeypatch.setattr("cervix.sources.downloads.LONGEST_WAIT_S", 0.001)
    with archive_of(settings) as archive:
        yield archive


@pytest.fixture
def series(server: Dicomweb) -> ArchivedSeries:
    return ArchivedSeries(server.study, server.series, "SM", len(server.files))


@pytest.fixture
def fetch(archive: Archive, series: ArchivedSeries, tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Fetch the slide; what then lies in its folder, by name."""

    def fetch(limit_bytes: int = 10**9, **more: Any) -> dict[str, bytes]:
        archive.fetch(series, tmp_path / "coming", limit_bytes=limit_bytes, **more)
        return here(tmp_path)

    return fetch


def here(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "coming").glob("*")}


def sends(*files: bytes, kind: str = RELATED, **how: Any) -> Answer:
    return says(multipart(*files, **how), kind)


def test_a_slide_that_stops_in_the_middle_goes_on_with_the_files_that_are_not_whole(
    server: Dicomweb, fetch: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    server.plan(server.path_of(1), *[cut_after(5_000)] * 4)
    with pytest.raises(DownloadFailed, match=r"did not deliver a file of the slide: expected success within 4 attempts"):
        fetch()
    assert list(here(tmp_path).values()) == [next(iter(server.files.values()))]
    told: list[Arriving] = []
    assert sorted(fetch(arriving=told.append).values()) == sorted(server.files.values())
    assert server.fetched() == [0, 1, 1, 1, 1, 1, 2, 3, 4]
    assert told[0].done_bytes == len(next(iter(server.files.values())))
    assert (told[-1].done_bytes, round(told[-1].share, 2)) == (sum(map(len, server.files.values())), 1.0)


def test_how_long_a_slide_will_be_follows_from_the_files_whose_length_is_known() -> None:
    told: list[Arriving] = []
    progress = Progress({"large": 30.0, "small": 10.0}, {}, told.append)
    assert (told[-1].done_bytes, told[-1].total_bytes) == (0, 40), "a guess from the pixels alone"
    progress.begin("large", 600)
    assert told[-1].total_bytes == 800, "the other has a third of its pixels"
    assert progress.add(250) == 250
    progress.begin("large", 600)
    assert told[-1].done_bytes == 0, "once more from its start"
    progress.add(600)
    progress.begin("small", 100)
    assert (told[-1].done_bytes, told[-1].total_bytes) == (600, 700)


def test_one_cut_is_made_good_at_once(server: Dicomweb, fetch: Callable[..., dict[str, bytes]]) -> None:
    server.plan(server.path_of(0), cut_after(100_000), status(503, Retry_After="0"))
    assert sorted(fetch().values()) == sorted(server.files.values())


def test_a_stop_leaves_whole_files_alone(
    server: Dicomweb, settings: Settings, series: ArchivedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stop = UploadStore(settings.uploads_dir, 10**9), Event()
    first = len(next(iter(server.files.values())))

    def stop_within_the_second(step: Arriving) -> None:
        if step.done_bytes > first:
            stop.set()

    with pytest.raises(Cancelled):
        fetch_archived(series, store, settings, arriving=stop_within_the_second, cancel=stop)
    assert is_begun(series, store)
    assert [path.stat().st_size for path in store.on_the_way(series.key).iterdir()] == [first]
    path = fetch_archived(series, store, settings)
    assert server.fetched().count(0) == 1
    assert store.fetched(series.key) == path
    assert not is_begun(series, store)
    # It goes the way of all uploads, and so does what is left of one that nobody goes on with.
    (begun := store.on_the_way("begun")).mkdir(parents=True)
    (begun / "0.dcm.part").touch()
    later_s = path.parent.stat().st_mtime + 3700
    monkeypatch.setattr("time.time", lambda: later_s)
    os.utime(begun / "0.dcm.part", (later_s, later_s))
    assert store.sweep(3600, set()) == 1
    assert begun.is_dir(), "something of it came just now"
    os.utime(begun / "0.dcm.part", (1, 1))
    assert store.sweep(3600, set()) == 1
    assert not store.fetched(series.key)
    assert not list(store.on_the_way("").glob("*"))


def test_what_is_no_slide_after_all_is_refused_and_gone(server: Dicomweb, settings: Settings, series: ArchivedSeries) -> None:
    whole = next(iter(server.files.values()))
    server.levels = server.levels[:1]
    server.plan(server.path_of(0), sends(whole.replace(b"ORIGINAL\\PRIMARY\\VOLUME\\NONE", b"ORIGINAL\\PRIMARY\\LABEL\\NONE ")))
    store = UploadStore(settings.uploads_dir, 10**9)
    with pytest.raises(UploadRefused, match="What was fetched is not one slide"):
        fetch_archived(series, store, settings)
    assert [path.name for path in settings.uploads_dir.rglob("*")] == [".fetched"]


def test_a_series_of_two_patients_is_refused_without_their_names_and_gone(
    server: Dicomweb, settings: Settings, series: ArchivedSeries
) -> None:
    patient = PATIENT["PatientID"]
    server.plan(server.path_of(1), sends(list(server.files.values())[1].replace(patient.encode(), patient[::-1].encode())))
    store = UploadStore(settings.uploads_dir, 10**9)
    with pytest.raises(CervixError, match="patient") as caught:
        fetch_archived(series, store, settings)
    assert patient not in str(caught.value)
    assert patient[::-1] not in str(caught.value)
    assert [path.name for path in settings.uploads_dir.rglob("*")] == [".fetched"]


def of_another(whole: bytes, uid: str) -> bytes:
    return whole.replace(uid.encode(), uid[:-3].encode() + b"000")


FILES: dict[str, tuple[Callable[[Dicomweb, bytes], Answer], str]] = {
    "a web page": (lambda *_: HTML, "documented: expected multipart/related with a boundary; found another kind"),
    "no boundary": (lambda _, whole: sends(whole, kind="multipart/related"), "expected multipart/related with a boundary"),
    "another boundary": (lambda _, whole: sends(whole, boundary="other"), "expected the boundary that the answer states"),
    "headers without end": (
        lambda *_: says(b"--" + b"a" * 400_000, RELATED),
        "expected headers of a part; found none",
    ),
    "no end": (lambda _, whole: says(multipart(whole)[:-30], RELATED), "did not deliver a file of the slide"),
    "two files": (lambda _, whole: sends(whole, whole), "documented: expected one file; found several"),
    "no DICOM": (lambda *_: sends(b"../../etc/passwd"), "expected the file that was asked for; found no DICOM file"),
    "another instance": (lambda at, _: sends(list(at.files.values())[1]), "the file that was asked for; found another one"),
    "another series": (lambda at, whole: sends(of_another(whole, at.series)), "the file that was asked for; found another one"),
    "packed": (lambda _, whole: packed(multipart(whole)), "expected an answer as it is; found a packed one"),
    "401": (lambda *_: status(401), "refuses a file of the slide: expected status 200; found status 401: it does not accept"),
    "403": (lambda *_: status(403), "found status 403: this server is not allowed to"),
    "404": (lambda *_: status(404), "found status 404: it is not there"),
    "nothing": (lambda *_: status(204), "expected multipart/related with a boundary"),
}


def packed(body: bytes) -> Answer:
    return lambda handler: handler.send(200, gzip.compress(body, 1), kind=RELATED, Content_Encoding="gzip")


@pytest.mark.parametrize("fault", FILES)
def test_a_file_that_is_not_the_one_asked_for_is_refused_and_nothing_of_it_is_left(
    server: Dicomweb, fetch: Callable[..., dict[str, bytes]], tmp_path: Path, fault: str
) -> None:
    make, sentence = FILES[fault]
    server.plan(server.path_of(0), *[make(server, next(iter(server.files.values())))] * 4)
    with pytest.raises(DownloadFailed, match=sentence):
        fetch()
    assert here(tmp_path) == {}


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 7, 1000])
def test_a_file_is_whole_wherever_the_blocks_of_its_answer_part(block_bytes: int) -> None:
    whole = b"\r\n--a-bound" + bytes(range(256)) + b"\r\n--"
    answer = multipart(whole)
    blocks = (answer[start : start + block_bytes] for start in range(0, len(answer), block_bytes))
    assert b"".join(only_part(Body(RELATED, None, blocks), "The archive")) == whole


def test_names_and_paths_in_an_answer_become_no_file(server: Dicomweb, fetch: Callable[..., dict[str, bytes]]) -> None:
    headers = 'Content-Type: application/dicom\r\nContent-Disposition: attachment; filename="../../evil"\r\nContent-ID: /x'
    server.plan(server.path_of(0), sends(next(iter(server.files.values())), headers=headers))
    names = fetch()
    assert len(names) == 5
    assert all(len(name) == 36 and name.endswith(".dcm") for name in names)


def test_a_file_without_end_stops_at_the_limit_and_on_a_small_disk(
    server: Dicomweb, fetch: Callable[..., dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(handler: Handler) -> None:
        handler.head(200, None, Content_Type=RELATED)
        handler.wfile.write(multipart(b"")[: -len(BOUNDARY) - 8])
        while not handler.archive.closing.is_set():
            handler.wfile.write(bytes(1 << 16))

    server.plan(server.path_of(0), endless, endless)
    with pytest.raises(DownloadFailed, match=r"larger than may be brought in: expected 0\.003 GB at most; found more"):
        fetch(3_000_000)
    free = shutil.disk_usage(tmp_path)
    amounts = iter([10**9, 10**9, 499_000_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free._replace(free=next(amounts)))
    with pytest.raises(DownloadFailed, match=r"No room for the slide: expected 500 MB free.*found 499 MB"):
        fetch()
    assert here(tmp_path) == {}


def test_a_redirect_to_another_origin_is_not_followed_and_told_nothing(
    server: Dicomweb, archive: Archive, fetch: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    elsewhere = Dicomweb()
    file = tmp_path / "object.dcm"
    file.write_bytes(b"object")
    with serving(elsewhere, DicomwebHandler):
        for path in (LIST, server.path_of(0)):
            server.plan(path, status(307, Location=f"{elsewhere.address}{path}"))
        server.plan(STUDIES, *[status(308, Location=f"{base}{STUDIES}") for base in (elsewhere.address, server.address)])
        with pytest.raises(DownloadFailed, match=r"leads to another server.*a redirect to 127\.0\.0\.1") as caught:
            archive.slides(LOOKED_FOR)
        assert LOOKED_FOR not in str(caught.value)
        with pytest.raises(DownloadFailed, match="leads to another server"):
            fetch()
        for _ in range(2):
            with pytest.raises(DownloadFailed, match="refuses what is to be stored: expected status 200; found status 308"):
                archive.store({"1.2": file})
    assert elsewhere.asked == []
    assert len(server.sent) == 2


LISTS: dict[str, tuple[Answer, str]] = {
    "a web page": (HTML, "documented: expected JSON; found a web page"),
    "no JSON": (says("{"), "expected JSON; found something else"),
    "too deep": (says("[" * 200_000), "expected JSON; found something else"),
    "too long": (says("[" + '"a",' * 2_500_000 + "1]"), "the list of slides of 8 MB at most; found more"),
    "no list": (says("{}"), "expected a list as JSON"),
    "a list of texts": (says('["a"]'), "expected a list as JSON"),
    "a UID with slashes": (says(json.dumps([said("0020000D", "../../1", **{"0020000E": "1.2"})])), "expected a UID of digits"),
    "a UID too long": (says(json.dumps([said("0020000D", "1" * 65, **{"0020000E": "1.2"})])), "expected a UID of digits"),
    "no UID": (says(json.dumps([said("00080060", "SM")])), "expected a UID of digits and points; found other"),
    "other types": (says(json.dumps([{"0020000D": [], "0020000E": {"Value": {"a": 1}}}])), "expected a UID of digits"),
    "401": (status(401), "refuses the list of slides: expected status 200; found status 401.*CERVIX_DICOMWEB_TOKEN"),
    "403": (status(403), "found status 403"),
    "500": (status(500), "did not deliver the list of slides.*found the server answered 500"),
}


@pytest.mark.parametrize("fault", LISTS)
def test_a_list_that_is_none_is_refused_in_one_sentence(server: Dicomweb, archive: Archive, fault: str) -> None:
    answer, sentence = LISTS[fault]
    server.plan(LIST, *[answer] * 4)
    with pytest.raises(DownloadFailed, match=sentence) as caught:
        archive.slides(LOOKED_FOR)
    assert LOOKED_FOR not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert server.asked[0][1]["AccessionNumber"] == [LOOKED_FOR]


def test_headers_that_cannot_be_read_bring_no_address_into_a_log(server: Dicomweb, archive: Archive) -> None:
    def broken(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n no header\r\nneither\r\n\r\n[]")
        handler.close_connection = True

    server.plan(LIST, broken, broken)
    assert archive.slides(LOOKED_FOR) == ([], False)


def test_what_a_list_leaves_out_is_not_made_up(server: Dicomweb, archive: Archive, series: ArchivedSeries) -> None:
    uids = {"0020000D": server.study, "0020000E": server.series}
    odd = [said("00080060", kind, **uids, **{"00201209": count}) for kind, count in [("SM", "x"), ("<b>", 1), ("SR", -1)]]
    server.plan(LIST, *[says(json.dumps(odd))] * 2)
    assert archive.slides()[0] == [ArchivedSeries(server.study, server.series, "SM", None)]
    assert [(found.modality, found.instances) for found in archive.series_of(server.study)] == [
        ("SM", None),
        ("", 1),
        ("SR", None),
    ]
    server.plan(LIST, status(204))
    assert archive.slides() == ([], False)
    label = said("00080008", "ORIGINAL", "PRIMARY", "LABEL", **{"00080018": "1.2.3"})
    server.levels = [label, said("00080018", "1.2.4"), *server.levels]
    assert [level.uid for level in archive.instances_of(series)] == [*server.files, "1.2.4"]
    server.levels = [said("00080018", "../1")]
    with pytest.raises(DownloadFailed, match="expected a UID of digits and points"):
        archive.instances_of(series)


def test_a_page_has_eight_slides_and_says_whether_there_are_more(server: Dicomweb, archive: Archive) -> None:
    rows = [said("00080060", "SM", **{"0020000D": "1.2", "0020000E": f"1.2.{number}"}) for number in range(30)]
    server.plan(LIST, says(json.dumps(rows[:9])), says(json.dumps(rows[8:12])))
    assert [len(found) for found, _ in [archive.slides(), archive.slides("", 1)]] == [8, 4]
    assert [(asked["limit"], asked["offset"]) for _, asked in server.asked] == [(["9"], ["0"]), (["9"], ["8"])]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({}, r"does not keep 2 of 2 objects: found map\.dcm: it does not say that it keeps it; report\.dcm: it does"),
        (
            {"00081198": {"Value": [{"00081155": {"Value": ["1.2"]}, "00081197": {"Value": [0x0122]}}]}}
            | {"00081199": {"Value": [{"00081155": {"Value": ["1.3"]}}]}},
            r"does not keep 1 of 2 objects: found map\.dcm: it does not keep objects of this kind \(failure reason 0x0122\)\.",
        ),
        (
            [{"00081198": {"Value": [{"00081155": {"Value": [uid]}, "00081197": {"Value": [code]}} for uid, code in
                                     [("1.2", 0xA700), ("1.3", 0xC001)]]}}],
            r"map\.dcm: it has no room \(failure reason 0xA700\); report\.dcm: it does not understand the object",
        ),
        ({"00081198": {"Value": [{"00081155": {"Value": ["1.2"]}}]}}, r"map\.dcm: it does not say why"),
    ],
)  # fmt: skip
def test_each_object_that_is_not_kept_has_a_clause(
    server: Dicomweb, archive: Archive, tmp_path: Path, answer: object, sentence: str
) -> None:
    server.plan(STUDIES, says(json.dumps(answer), "application/dicom+json"))
    with pytest.raises(ArchiveRefused, match=sentence):
        archive.store(objects_in(tmp_path))
    assert server.sent[0].count(b"Content-Type: application/dicom\r\n\r\nDICM") == 2


def objects_in(folder: Path) -> dict[str, Path]:
    objects = {"1.2": folder / "map.dcm", "1.3": folder / "report.dcm"}
    for path in objects.values():
        path.write_bytes(b"DICM" * 1000)
    return objects


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (HTML, "expected JSON; found a web page"),
        (says("[1, 2]"), "expected what became of each object, as JSON; found another answer with status 200"),
        (status(401), "refuses what is to be stored.*status 401"),
        (status(413), "refuses what is to be stored.*status 413"),
    ],
)
def test_an_answer_that_does_not_say_what_was_stored_is_an_error(
    server: Dicomweb, archive: Archive, tmp_path: Path, answer: Answer, sentence: str
) -> None:
    server.plan(STUDIES, answer)
    with pytest.raises(DownloadFailed, match=sentence):
        archive.store(objects_in(tmp_path))


def test_a_study_that_the_archive_does_not_have_takes_no_objects(server: Dicomweb, archive: Archive) -> None:
    assert archive.study_attributes(server.study)["0020000D"]["Value"] == [server.study]
    with pytest.raises(ArchiveRefused, match="does not have the study of this slide: .*found 0 such studies"):
        archive.study_attributes("1.2.3")
    server.plan(STUDIES, says(json.dumps([said("0020000D", server.study)] * 2)))
    with pytest.raises(ArchiveRefused, match="found 2 such studies"):
        archive.study_attributes(server.study)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"dicomweb_url": ""}, "There is no archive to ask"),
        ({"offline": True}, "There is no archive to ask"),
        ({"dicomweb_url": "ftp://archive.example"}, "CERVIX_DICOMWEB_URL is no address"),
        ({"dicomweb_url": "https://archive.example/?a=1"}, "CERVIX_DICOMWEB_URL is no address"),
        ({"dicomweb_url": "https://archive.example/dicom-web?"}, "CERVIX_DICOMWEB_URL is no address"),
        ({"dicomweb_url": "https://archive.example\\.another.example"}, "CERVIX_DICOMWEB_URL is no address"),
        ({"dicomweb_url": "https://[archive"}, "CERVIX_DICOMWEB_URL is no address"),
        ({"dicomweb_url": "https://ada:geheim@archive.example"}, "CERVIX_DICOMWEB_URL holds a user"),
        ({"dicomweb_token": "geheim\r\nX: 1"}, "CERVIX_DICOMWEB_TOKEN is no token"),
        ({"dicomweb_token": "geheim", "dicomweb_user": "ada"}, "two ways to say who this server is"),
        ({"dicomweb_password": "geheim"}, "CERVIX_DICOMWEB_USER is no user"),
        ({"dicomweb_user": "ada:geheim", "dicomweb_password": "x"}, "CERVIX_DICOMWEB_USER is no user"),
        ({"dicomweb_url": "http://archive.example", "dicomweb_token": "geheim"}, "would let others read token or password"),
        ({"dicomweb_url": "http://127.0.0.1.example", "dicomweb_user": "ada"}, "would let others read token or password"),
    ],
)
def test_an_archive_that_may_not_be_asked_as_it_is_set_up_is_refused_without_a_secret(
    named: dict[str, Any], sentence: str
) -> None:
    settings = Settings(**{"dicomweb_url": "https://archive.example/dicom-web", "offline": False} | named)
    with pytest.raises(ArchiveRefused, match=sentence) as caught:
        archive_of(settings)
    assert "geheim" not in str(caught.value) + repr(settings)


def test_an_archive_with_an_address_of_its_own_may_be_asked() -> None:
    for url, more in [
        ("https://archive.example:8443/dicom-web", {"dicomweb_token": "geheim"}),
        ("http://archive.example", {}),
        ("http://localhost:8042/dicom-web", {"dicomweb_user": "ada", "dicomweb_password": "geheim"}),
        ("http://[::1]:8042", {"dicomweb_token": "geheim"}),
    ]:
        archive_of(Settings(dicomweb_url=url, offline=False, **more))
