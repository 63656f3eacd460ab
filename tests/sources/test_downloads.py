"""A file comes whole, from the one server that was asked, and is what it should be; or it does not come, with a reason."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from cervix.errors import Cancelled, DownloadFailed
from cervix.samples.slides import REAL, sample_slide
from cervix.settings import Settings
from cervix.sources import downloads
from cervix.sources.downloads import Downloader, RemoteFile, _may_lead_to, part_of
from tests.file_server import (
    HTML,
    Answer,
    Archive,
    Handler,
    cut_after,
    dripping,
    ignoring_range,
    other_range,
    serving,
    silent_after,
    status,
    unannounced,
    wrong_bytes,
)

pytestmark = pytest.mark.usefixtures("no_proxy")
SIZE = 3_000


class Delivery:
    """One file of the archive on its way to a folder, and what the log says of it."""

    def __init__(self, archive: Archive, folder: Path, *, size: int = SIZE) -> None:
        self.archive, self.lines = archive, list[str]()
        self.file_id = archive.add("A", size=size)
        self.content = archive.contents[self.file_id]
        self.target = folder / "new/slide.svs"
        self.target.parent.mkdir()
        self.part = part_of(self.target)

    def fetch(
        self, *, retry_wait_s: float = 0.001, read_timeout_s: float = 10.0, log: Callable[[str], None] | None = None
    ) -> None:
        log = log or self.lines.append
        with Downloader("The archive", log=log, retry_wait_s=retry_wait_s, read_timeout_s=read_timeout_s) as service:
            service.fetch(remote(self.archive, self.file_id), self.target)

    @property
    def ranges(self) -> list[str]:
        return self.archive.ranges(self.file_id)

    @property
    def is_whole(self) -> bool:
        """Whether the file is at its place, byte for byte, and nothing else beside it."""
        return list(self.target.parent.iterdir()) == [self.target] and self.target.read_bytes() == self.content


@pytest.fixture
def delivery(archive: Archive, tmp_path: Path) -> Delivery:
    return Delivery(archive, tmp_path)


@pytest.fixture
def downloader() -> Iterator[Downloader]:
    with Downloader("The archive", retry_wait_s=0.001, read_timeout_s=10.0) as service:
        yield service


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts in seconds, noted and not waited."""
    noted: list[float] = []
    monkeypatch.setattr(downloads.time, "sleep", noted.append)
    return noted


def remote(archive: Archive, file_id: str) -> RemoteFile:
    content = archive.contents[file_id]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return RemoteFile(f"{archive.address}/data/{file_id}", "slide.svs", len(content), digest)


def first_bytes(content: bytes) -> bytes:
    """What an earlier run left of a file."""
    return content[:1000]


def after(*starts: int) -> list[str]:
    """Ranges asked for, by their first byte."""
    return [f"bytes={start}-" if start else "" for start in starts]


def claiming(stated: str) -> Answer:
    """2,000 other bytes as the part that ``Content-Range`` says, or that nothing says."""
    return lambda handler: handler.send(206, b"x" * 2000, **({"Content_Range": stated} if stated else {}))


def redirect(address: str) -> Answer:
    return status(302, Location=address)


@pytest.mark.parametrize(
    ("left", "answers", "ranges", "said"),
    [
        pytest.param(None, [], after(0), "", id="at once"),
        pytest.param(lambda whole: whole[:1234], [], after(1234), "going on after 0.0 MB", id="an earlier part"),
        pytest.param(None, [cut_after(1000), cut_after(500), cut_after(0)], after(0, 1000, 1500, 1500), "", id="breaks off"),
        pytest.param(None, [unannounced(1000)], after(0, 1000), "ended after 1,000 of 3,000 bytes", id="no length, ends early"),
        pytest.param(None, [cut_after(1000), ignoring_range], after(0, 1000), "", id="the range is ignored"),
        pytest.param(
            None, [cut_after(1000), other_range], after(0, 1000, 1000),
            "asked for bytes 1000- of 3000, the server sent bytes 1001-2999/3000", id="another part",
        ),
        *(
            pytest.param(first_bytes, [claiming(stated)], after(1000, 1000), "", id=f"a part that claims {stated!r}")
            for stated in ("bytes 1000-2999/4000", "bytes */3000", "items 1000-2999/3000", "")
        ),
        pytest.param(
            first_bytes, [status(416, Content_Range="bytes */900")], after(1000, 0), "", id="the rest is not there"
        ),
        pytest.param(lambda whole: whole + b"more", [], after(0), "", id="an earlier part is longer than the file"),
        pytest.param(lambda whole: whole, [], [], "", id="an earlier part is the whole file"),
        pytest.param(lambda _: b"x" * 1000, [], after(1000, 0), "", id="an earlier part has other bytes"),
        pytest.param(None, [unannounced(2 * SIZE)], after(0, 0), "more came than the 3,000 bytes", id="no end"),
        pytest.param(None, [wrong_bytes], after(0, 0), "the SHA256 is wrong", id="other bytes"),
        *(
            pytest.param(None, [status(code)] * 2, after(0, 0, 0), f"the server answered {code}", id=f"status {code}")
            for code in (408, 429, 500, 502, 503, 504)
        ),
    ],
)  # fmt: skip
def test_a_file_comes_whole_and_alone_whatever_happens_on_its_way(
    delivery: Delivery, left: Callable[[bytes], bytes] | None, answers: list[Answer], ranges: list[str], said: str
) -> None:
    if left is not None:
        delivery.part.write_bytes(left(delivery.content))
    delivery.archive.plan(delivery.file_id, *answers)
    delivery.fetch()
    assert delivery.ranges == ranges
    assert delivery.is_whole
    assert said in "\n".join(delivery.lines)


def test_an_undisturbed_file_is_two_lines(delivery: Delivery) -> None:
    delivery.fetch()
    assert delivery.lines[0] == "slide.svs, 0.0 MB"
    assert [line.rpartition(" after ")[0] for line in delivery.lines[1:]] == ["slide.svs is whole"]


@pytest.mark.usefixtures("waits")
def test_a_page_in_place_of_the_file_costs_no_byte_of_what_is_there(delivery: Delivery) -> None:
    delivery.archive.plan(delivery.file_id, *[HTML] * downloads.ATTEMPTS)
    delivery.part.write_bytes(first_bytes(delivery.content))
    with pytest.raises(DownloadFailed, match="the server announced 46 bytes instead of 3000"):
        delivery.fetch()
    assert delivery.part.read_bytes() == first_bytes(delivery.content)
    delivery.fetch()
    assert delivery.ranges[-1] == "bytes=1000-"
    assert delivery.is_whole


@pytest.mark.parametrize(
    ("answers", "first_wait_s", "waited"),
    [
        ([status(500)] * 4, 2.0, [2.0, 4.0, 8.0, 16.0]),
        *(
            ([status(code, Retry_After=asked) for asked in ("9", "86400", "soon")], 0.5, [9.0, downloads.LONGEST_WAIT_S, 2.0])
            for code in (429, 503)
        ),
    ],
)
def test_waits_double_or_last_as_long_as_the_server_asks_within_reason(
    delivery: Delivery, waits: list[float], answers: list[Answer], first_wait_s: float, waited: list[float]
) -> None:
    delivery.archive.plan(delivery.file_id, *answers)
    delivery.fetch(retry_wait_s=first_wait_s)
    assert waits == waited


def test_a_date_to_come_back_at_is_waited_for(delivery: Delivery, waits: list[float]) -> None:
    moments = [datetime.now(UTC) + timedelta(seconds=30), datetime.now(UTC) - timedelta(seconds=30)]
    delivery.archive.plan(
        delivery.file_id, *[status(503, Retry_After=format_datetime(moment, usegmt=True)) for moment in moments]
    )
    delivery.fetch(retry_wait_s=0.5)
    assert waits[0] == pytest.approx(30, abs=8)
    assert waits[1:] == [1.0]


def test_a_lasting_fault_ends_with_a_sentence_after_a_few_attempts(delivery: Delivery, waits: list[float]) -> None:
    delivery.archive.plan(delivery.file_id, *[status(500)] * 100)
    with pytest.raises(DownloadFailed, match=r"did not deliver slide\.svs") as caught:
        delivery.fetch()
    assert caught.value.expected == f"success within {downloads.ATTEMPTS} attempts"
    assert caught.value.found == "the server answered 500"
    assert caught.value.action == "Try again later."
    assert len(delivery.ranges) == downloads.ATTEMPTS == len(waits) + 1


@pytest.mark.parametrize(
    ("code", "meaning"), [(403, "it is not open access"), (401, "not open access"), (404, "it is not there"), (400, "400")]
)
def test_a_refusal_is_said_at_once(delivery: Delivery, waits: list[float], code: int, meaning: str) -> None:
    delivery.archive.plan(delivery.file_id, status(code))
    with pytest.raises(DownloadFailed, match=rf"refuses slide\.svs: expected status 200; found status {code}") as caught:
        delivery.fetch()
    assert meaning in caught.value.found
    assert caught.value.action
    assert (delivery.ranges, waits) == ([""], [])
    assert list(delivery.target.parent.iterdir()) == []


@pytest.mark.parametrize("address", ["api.gdc.cancer.gov", "ftp://127.0.0.1"])
def test_what_is_no_web_address_is_refused_at_once(downloader: Downloader, address: str, waits: list[float]) -> None:
    with pytest.raises(DownloadFailed, match="cannot be asked: expected an address such as https://"):
        downloader.ask(f"{address}/files", {}, "the list of files")
    assert waits == []


def test_a_server_that_is_not_there_ends_with_a_sentence(downloader: Downloader, waits: list[float]) -> None:
    with serving(Archive()) as address:
        pass
    with pytest.raises(DownloadFailed, match="did not deliver the list of files: .*the connection failed .*refused"):
        downloader.ask(f"{address}/files", {}, "the list of files")
    assert len(waits) == downloads.ATTEMPTS - 1


def late(handler: Handler) -> None:
    """Nothing for longer than anybody waits."""
    handler.archive.closing.wait(30)


@pytest.mark.parametrize(
    ("answer", "timeout_s", "start", "said"),
    [
        pytest.param(silent_after(1000, seconds=30), 0.5, 1000, "the server was silent for too long", id="falls silent"),
        pytest.param(late, 0.5, 0, "the server was silent for too long", id="does not begin"),
        pytest.param(dripping(200, seconds=0.02), 0.6, None, "less than 1,024 bytes a second", id="only drips"),
    ],
)
def test_a_transfer_that_does_not_move_is_given_up_for_a_new_connection(
    delivery: Delivery, answer: Answer, timeout_s: float, start: int | None, said: str
) -> None:
    delivery.archive.plan(delivery.file_id, answer)
    started = time.monotonic()
    delivery.fetch(read_timeout_s=timeout_s)
    assert time.monotonic() - started < 10
    second = int(delivery.ranges[1].removeprefix("bytes=").removesuffix("-") or 0)
    assert second == start if start is not None else 200 < second < 1000
    assert delivery.is_whole
    assert any(said in line for line in delivery.lines)


def test_a_slow_transfer_that_moves_is_left_alone_and_told_now_and_then(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LOG_EVERY_S", 0.2)
    delivery = Delivery(archive, tmp_path, size=40_000)
    archive.plan(delivery.file_id, dripping(0, seconds=0.03, step=1000))
    started = time.monotonic()
    delivery.fetch(read_timeout_s=1.0)
    took_s = time.monotonic() - started
    assert took_s > 1.0, "at least one window was looked at"
    assert delivery.ranges == [""]
    assert delivery.is_whole
    assert 1 <= len([line for line in delivery.lines if "MB/s" in line]) <= took_s / 0.2


def test_a_line_that_breaks_often_is_followed_as_long_as_it_brings_something(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "WORTHWHILE_BYTES", 100)
    breaks = 3 * downloads.ATTEMPTS
    delivery.archive.plan(delivery.file_id, *[cut_after(100)] * breaks)
    delivery.fetch()
    assert len(delivery.ranges) == breaks + 1
    assert delivery.is_whole


def test_a_line_that_brings_too_little_each_time_is_given_up(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "WORTHWHILE_BYTES", 100)
    delivery.archive.plan(delivery.file_id, *[cut_after(99)] * 50)
    came = 99 * downloads.ATTEMPTS
    with pytest.raises(DownloadFailed, match=f"the connection ended after {came} of 3,000 bytes|the connection failed"):
        delivery.fetch()
    assert len(delivery.ranges) == downloads.ATTEMPTS
    assert delivery.part.read_bytes() == delivery.content[:came]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a mistake in this program")])
def test_what_interrupts_a_download_passes_through_and_the_next_one_goes_on(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupted(line: str) -> None:
        if "MB/s" in line:
            raise error

    delivery.archive.plan(delivery.file_id, dripping(1000, seconds=0.2, step=1000))
    with monkeypatch.context() as patched:
        patched.setattr(downloads, "LOG_EVERY_S", 0.0)
        with pytest.raises(type(error)):
            delivery.fetch(log=interrupted)
    kept = delivery.part.stat().st_size
    assert 0 < kept < SIZE
    assert not delivery.target.exists()
    delivery.fetch()
    assert delivery.ranges == after(0, kept)
    assert delivery.is_whole


def test_speed_and_time_left_are_those_of_what_came_in_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = 0.0
    monkeypatch.setattr(downloads, "time", SimpleNamespace(monotonic=lambda: clock_s))
    meter = downloads._Meter(have=100_000_000, size=400_000_000, window_s=60.0)
    for clock_s, have, line in (
        (4.9, 110_000_000, ""),
        (10.0, 120_000_000, "120.0 of 400.0 MB, 2.0 MB/s, 2 min left"),
        (14.0, 370_000_000, ""),
        (15.0, 370_000_000, "370.0 of 400.0 MB, 18.0 MB/s, 2 s left"),
    ):
        assert meter.line(have) == line, clock_s


def test_bytes_that_stay_wrong_are_never_kept(delivery: Delivery) -> None:
    delivery.archive.plan(delivery.file_id, wrong_bytes, wrong_bytes)
    with pytest.raises(DownloadFailed, match=r"does not arrive as it was deposited: expected SHA256 \w{64}; found SHA256"):
        delivery.fetch()
    assert delivery.ranges == after(0, 0)
    assert list(delivery.target.parent.iterdir()) == []


def test_a_redirect_within_the_server_is_followed(archive: Archive, downloader: Downloader, tmp_path: Path) -> None:
    asked, meant = archive.add("A", size=SIZE), archive.add("B", size=SIZE)
    archive.plan(asked, redirect(f"/data/{meant}"))
    wanted = remote(archive, meant)
    downloader.fetch(
        RemoteFile(f"{archive.address}/data/{asked}", wanted.name, wanted.size_bytes, wanted.digest), tmp_path / "slide.svs"
    )
    assert (tmp_path / "slide.svs").read_bytes() == archive.contents[meant]


def test_another_server_is_refused_and_never_asked(archive: Archive, downloader: Downloader, tmp_path: Path) -> None:
    file_id = archive.add("A", size=SIZE)
    other = Archive()
    with serving(other) as elsewhere:  # another port is another server
        archive.plan(file_id, redirect(f"{elsewhere}/data/{file_id}"))
        with pytest.raises(DownloadFailed, match="leads to another server"):
            downloader.fetch(remote(archive, file_id), tmp_path / "slide.svs")
        archive.plan("/files", redirect(f"{elsewhere}/files"))
        with pytest.raises(DownloadFailed, match="leads to another server"):
            downloader.ask(f"{archive.address}/files", {}, "the list of files")
    assert other.requests == []
    assert len(archive.requests) == 2, "a refusal is not tried again"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:{port}/data/x",
        "//localhost:{port}/data/x",
        "https://127.0.0.1:{port}/data/x",
        "http://169.254.169.254/latest/meta-data",
        "http://user:word@localhost:{port}/data/x",
        "file:///etc/hostname",
    ],
)
def test_another_name_scheme_or_address_is_another_server(
    archive: Archive, downloader: Downloader, tmp_path: Path, address: str
) -> None:
    file_id = archive.add("A", size=SIZE)
    archive.plan(file_id, redirect(address.format(port=archive.address.rpartition(":")[2])))
    with pytest.raises(DownloadFailed, match="leads to another server: expected the file from 127"):
        downloader.fetch(remote(archive, file_id), tmp_path / "slide.svs")
    assert len(archive.requests) == 1


@pytest.mark.parametrize(
    ("here", "there", "may"),
    [
        ("http://a.org/x", "https://a.org/y", True),
        ("http://a.org:80/x", "https://a.org:443/y", True),
        ("https://a.org/x", "http://a.org/y", False),
        ("http://a.org/x", "https://a.org:8443/y", False),
        ("http://a.org/x", "https://b.a.org/y", False),
        ("https://A.org/x", "https://a.org/y", True),
    ],
)
def test_a_server_may_lead_to_its_own_encrypted_door_and_to_no_other(here: str, there: str, may: bool) -> None:
    assert _may_lead_to(here, there) is may


def test_two_downloads_of_one_sample_share_it(archive: Archive, data_dir: Path, tmp_path: Path) -> None:
    """Sessions that ask at once do not write into each other's file."""
    file_id = archive.add("A")
    archive.contents[file_id] = (data_dir / "slides/CMU-1-Small-Region.svs").read_bytes()
    settings = Settings(home=tmp_path, sample_slide_url=f"{archive.address}/data/{file_id}")
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(sample_slide, [REAL] * 4, [settings] * 4))
    assert len(paths) == 1
    assert archive.ranges(file_id) == [""]


def test_a_stop_ends_the_wait_before_the_next_attempt_and_keeps_what_came(delivery: Delivery) -> None:
    """Set between two attempts, and noticed at once however long the server asks to wait."""
    delivery.archive.plan(delivery.file_id, cut_after(1000), status(503, Retry_After="100"))
    stop, arrived = Event(), list[int]()

    def log(line: str) -> None:
        if "503" in line:
            stop.set()

    with (
        Downloader("The archive", log=log, retry_wait_s=0.001, arrived=arrived.append, cancel=stop) as service,
        pytest.raises(Cancelled),
    ):
        service.fetch(remote(delivery.archive, delivery.file_id), delivery.target)
    assert sum(arrived) == delivery.part.stat().st_size == 1000
    delivery.fetch()
    assert delivery.ranges[-1] == "bytes=1000-"
    assert delivery.is_whole
