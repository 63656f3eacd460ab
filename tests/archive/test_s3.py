"""Slides of an object store come whole into a bounded cache, or a sentence says why not."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.archive.sources import PassedOver, at_hand, listed
from cervix.archive.sources.cache import Cache
from cervix.archive.work import Found, Station, Work
from cervix.errors import ArchiveRunRefused, Cancelled, CervixError, SlideNotSuitable, SourceUnavailable, SourceVanished
from cervix.settings import Settings, get_settings
from cervix.sources.downloads import Arriving, Onlooker
from cervix.sources.identity import identity_of
from tests.archive.s3_server import BUCKET, KEYS, Store, cut_short, object_store, passed_on, refusing, silent
from tests.file_server import Handler, status

LIST = f"/{BUCKET}"
TIMEOUT_S = 0.5


@pytest.fixture(scope="module")
def running_store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        with object_store() as store:
            yield store


@pytest.fixture
def store(running_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("CERVIX_S3_ENDPOINT", running_store.address)
    monkeypatch.setenv("CERVIX_S3_TIMEOUT_S", str(TIMEOUT_S))
    monkeypatch.setenv("CERVIX_OFFLINE", "false")
    get_settings.cache_clear()
    running_store.plans.clear()
    running_store.requests.clear()
    yield running_store
    get_settings.cache_clear()


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path, "", "cpu", tmp_path, tmp_path / "cache", 10_000)


def found_in(prefix: str, passed: PassedOver | None = None) -> list[Found]:
    return list(listed([f"s3://{BUCKET}/{prefix}"], get_settings(), passed))


def work(key: str) -> Work:
    return Work(1, f"s3://{BUCKET}/{key}", 1, "")


def fetched(key: str, station: Station) -> bytes:
    with at_hand(work(key), station) as path:
        return path.read_bytes()


def test_all_below_a_prefix_is_listed_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        store.put(f"flat/{number}.svs", b"slide")
    store.put("flat/below/deep/one.svs", b"slide")
    store.put("flat/label.png", b"a picture beside slides")
    store.put("flat/IM0001", b"without a suffix")
    store.put("flat/notes.txt", b"no slide")
    monkeypatch.setattr("cervix.sources.objects.PAGE_OBJECTS", 2)
    passed = PassedOver()
    found = found_in("flat", passed)

    keys = [f"flat/{number}.svs" for number in range(5)] + ["flat/below/deep/one.svs"]
    assert [one.locator for one in found] == [f"s3://{BUCKET}/{key}" for key in keys]
    assert {one.bytes for one in found} == {5}
    assert passed.counts == {"no-suffix": 1}
    assert [one.locator for one in found_in("flat/3.svs")] == [f"s3://{BUCKET}/flat/3.svs"]


def test_a_slide_is_fetched_once_and_again_when_it_is_another(store: Store, station: Station) -> None:
    store.put("one.svs", b"slide")
    (before,) = found_in("one.svs")
    assert fetched("one.svs", station) == fetched("one.svs", station) == b"slide"
    assert store.asked_for("one.svs") == 1

    store.put("one.svs", b"other")
    (after,) = found_in("one.svs")
    assert fetched("one.svs", station) == b"other"
    assert before.mark != after.mark


def test_a_mirax_slide_comes_with_its_folder(store: Store, station: Station) -> None:
    parts = {
        "deep/Slidedat.ini": b"[X]\nINDEXFILE = Index.dat\nFILE_0 = Data0.dat\n",
        "deep/Index.dat": b"i",
        "deep/Data0.dat": b"d",
    }
    for name, content in {"deep.mrxs": b"head", **parts}.items():
        store.put(f"mirax/{name}", content)
    (found,) = found_in("mirax/")
    assert found.bytes == 4 + sum(len(content) for content in parts.values())

    with at_hand(work("mirax/deep.mrxs"), station) as path:
        assert {file.name for file in (path.parent / "deep").iterdir()} == {"Slidedat.ini", "Index.dat", "Data0.dat"}


def test_a_dicom_series_comes_with_all_its_files(store: Store, station: Station, cmu_dicom: Path) -> None:
    for file in cmu_dicom.iterdir():
        store.put(f"dicom/{file.name}", file.read_bytes())
    (found,) = found_in("dicom/")
    large = Station(
        *(getattr(station, name) for name in ("bundle_root", "bundle_sha256", "device", "results_dir", "cache_dir")), 10**9
    )

    with at_hand(Work(1, found.locator, 1, found.mark), large) as path:
        assert identity_of(path) == identity_of(min(cmu_dicom.iterdir()))


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (silent, SourceUnavailable, "cannot be reached"),
        (cut_short, SourceUnavailable, "whole"),
        (status(503), SourceUnavailable, "cannot answer now"),
        (refusing(503, "SlowDown"), SourceUnavailable, "cannot answer now"),
        (refusing(404, "NoSuchKey"), SourceVanished, "not any more"),
        (refusing(400, "ExpiredToken"), SourceUnavailable, "expired"),
        (refusing(403, "AccessDenied"), SourceUnavailable, "does not accept"),
        (refusing(403, "RequestTimeTooSkewed"), SourceUnavailable, "clock"),
    ],
)
def test_a_fault_of_the_store_is_one_sentence_and_leaves_nothing_half(
    store: Store, station: Station, answer: object, kind: type[CervixError], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("fault.svs", b"slide" * 100)
    store.plan(f"{LIST}/fault.svs", answer)  # type: ignore[arg-type]
    with pytest.raises(kind, match=says) as raised, at_hand(work("fault.svs"), station):
        pass

    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]  # the store's own
    told = "\n".join([str(raised.value), *ours])
    assert not [word for word in ("key-of-the-test", "fault.svs", store.address) if word in told]
    assert not [path.name for path in station.cache_dir.iterdir() if path.name.endswith((".part", ".used"))]
    assert fetched("fault.svs", station) == b"slide" * 100


def test_who_looks_on_is_told_of_every_block_and_may_stop(
    store: Store, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.sources.objects.BLOCK_BYTES", 1_000)
    store.put("watched.svs", b"slide" * 1_000)
    told: list[Arriving] = []

    def stop_at_half(now: Arriving) -> None:
        told.append(now)
        if now.share >= 0.5:
            onlooker.cancel.set()

    onlooker = Onlooker(stop_at_half)
    with pytest.raises(Cancelled), at_hand(work("watched.svs"), station, onlooker):
        pass
    assert told[-1].total_bytes == 5_000
    assert 2_500 <= told[-1].done_bytes < 5_000, "no block more than was asked for"
    assert [now.done_bytes for now in told] == sorted(now.done_bytes for now in told)
    assert not [path.name for path in station.cache_dir.iterdir() if path.name.endswith((".part", ".used"))]
    assert fetched("watched.svs", station) == b"slide" * 1_000, "the next try begins anew"


def test_an_object_that_is_replaced_while_it_is_fetched_is_fetched_anew(store: Store, station: Station) -> None:
    store.put("moving.svs", b"first")

    def replaced(handler: Handler) -> None:
        store.put("moving.svs", b"second")
        passed_on(handler)

    store.plan(f"{LIST}/moving.svs", replaced)
    assert fetched("moving.svs", station) == b"second"


def test_credentials_that_expired_end_the_listing(store: Store) -> None:
    store.plan(LIST, refusing(400, "ExpiredToken"))
    with pytest.raises(SourceUnavailable, match="expired"):
        found_in("flat")


def test_the_cache_stays_within_its_bound_and_keeps_what_is_used(store: Store, station: Station) -> None:
    for number in range(4):
        store.put(f"large-{number}.svs", bytes([number]) * 4_000)
    with at_hand(work("large-0.svs"), station) as held:
        for number in (1, 2, 3):
            fetched(f"large-{number}.svs", station)
        assert held.read_bytes() == bytes(4_000)
        with at_hand(work("large-1.svs"), station), pytest.raises(SourceUnavailable, match="no room"):
            fetched("large-2.svs", station)
    kept = [path for path in station.cache_dir.iterdir() if path.is_dir()]
    assert sum(int(path.name.rpartition("-")[2]) for path in kept) <= station.cache_bytes
    store.put("huge.svs", bytes(10_001))
    with pytest.raises(SlideNotSuitable, match="larger than the cache"):
        fetched("huge.svs", station)


def hold(folder: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with Cache(folder, 10_000).held("a" * 32, 4_000, lambda part: part.joinpath("slide").write_bytes(bytes(4_000)) and None):
        ready.set()
        multiprocessing.Event().wait()


def test_what_a_killed_process_had_fetched_of_a_slide_costs_the_next_attempt_nothing(tmp_path: Path) -> None:
    for size in (4_000, 5_000):
        (tmp_path / f"{'a' * 32}-{size}.part").mkdir()
    with Cache(tmp_path, 10_000).held(
        "a" * 32, 4_000, lambda part: part.joinpath("slide").write_bytes(b"s") and None
    ) as folder:
        assert [path.name for path in folder.iterdir()] == ["slide"]
    assert not list(tmp_path.glob("*.part"))


def test_what_another_process_uses_stays_until_that_process_ends(tmp_path: Path) -> None:
    def fill(part: Path) -> None:
        part.joinpath("slide").write_bytes(bytes(7_000))

    spawn = multiprocessing.get_context("forkserver")
    ready = spawn.Event()
    other = spawn.Process(target=hold, args=(tmp_path, ready))
    other.start()
    assert ready.wait(30)
    with pytest.raises(SourceUnavailable), Cache(tmp_path, 10_000).held("b" * 32, 7_000, fill):
        pass
    other.kill()
    other.join()
    with Cache(tmp_path, 10_000).held("b" * 32, 7_000, fill) as folder:
        assert (folder / "slide").stat().st_size == 7_000
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [f"{'b' * 32}-7000"]


@pytest.mark.parametrize("endpoint", ["http://store.example", "ftp://127.0.0.1", "https://user:word@store.example"])
def test_an_endpoint_that_would_let_others_read_is_refused(endpoint: str) -> None:
    with pytest.raises(ArchiveRunRefused) as refused:
        list(listed(["s3://slides/"], Settings(s3_endpoint=endpoint, offline=False)))
    assert "example" not in str(refused.value)
