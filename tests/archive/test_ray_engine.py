"""Slides on a real Ray cluster of two nodes on this computer; one cluster for the whole file."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from cervix.archive.driver import drive
from cervix.archive.engines.ray_cluster import RayEngine
from cervix.archive.engines.ray_joining import join
from cervix.archive.engines.ray_tables import map_buckets
from cervix.archive.ledger import Ledger
from cervix.archive.sources import listed
from cervix.archive.work import Found, Outcome, Station
from cervix.errors import ArchiveRunRefused, BundleError
from cervix.files import sha256_of
from cervix.settings import get_settings
from tests.archive.conftest import made_slide
from tests.ray_nodes import RayNodes, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayNodes]:
    """Two nodes of one core each; this process speaks with them by their token."""
    with running() as nodes, pytest.MonkeyPatch.context() as patch:
        nodes.add()
        nodes.add()
        for name, value in nodes.environment.items():
            if name.startswith("RAY_"):
                patch.setenv(name, value)
        yield nodes


@pytest.fixture(scope="module")
def joined(cluster: RayNodes) -> Iterator[str]:
    """The address of the cluster, which this process has joined: every engine of the file goes through that."""
    _, leave = join(cluster.address)
    yield cluster.address
    leave()


def ledger_of(folder: Path, station: Station) -> Ledger:
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.add(listed([str(folder)], get_settings()), station.bundle_sha256)
    return ledger


def rows_of(ledger: Ledger) -> list[tuple[object, ...]]:
    reading = ledger._connection.execute("SELECT locator, state, code, attempts, worker FROM slides ORDER BY locator")
    return [(Path(row["locator"]).name, row["state"], row["code"], row["attempts"], row["worker"]) for row in reading]


def workers_of(cluster: RayNodes, node: int) -> list[psutil.Process]:
    """The processes of actors on a node, by the names that Ray gives them."""
    return [process for process in cluster.nodes[node].everything() if "Holder" in "".join(process.cmdline())]


def until(condition: object, within_s: float = 30.0) -> None:
    ends = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < ends, "did not come about"
        time.sleep(0.02)


def test_a_worker_and_a_node_die_and_every_slide_has_one_end(
    cluster: RayNodes, joined: str, station: Station, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    for seed in range(10):
        made_slide(folder / f"good-{seed}.tiff", seed=seed, tiles=6)
    (folder / "bad-text.tiff").write_text("not a slide")
    (folder / "bad-truncated.tiff").write_bytes((folder / "good-0.tiff").read_bytes()[:5000])
    engine = RayEngine(station, joined)
    assert {worker.name for worker in engine.workers()} == {f"{node.address} 1" for node in cluster.nodes}
    assert {worker.device for worker in engine.workers()} == {"CPU, int8"}
    assert engine.places == 6

    def disturb() -> None:
        until(lambda: any(station.results_dir.glob("*/*")))
        workers_of(cluster, 0)[0].kill()
        time.sleep(2.0)
        cluster.nodes[1].kill()
        cluster.add()

    disturbing = Thread(target=disturb)
    with ledger_of(folder, station) as ledger:
        disturbing.start()
        drive(ledger, engine)
        disturbing.join()
        rows = rows_of(ledger)
        lost = ledger._connection.execute("SELECT count(*) FROM slides WHERE attempts > 1").fetchone()[0]
    until(lambda: engine.take(0.1) or len(engine.workers()) == 2)  # the node that came has its worker
    assert {worker.name for worker in engine.workers()} == {f"{cluster.nodes[n].address} 1" for n in (0, 2)}
    engine.close()
    assert [(name, state) for name, state, *_ in rows if name.startswith("bad")] == [
        ("bad-text.tiff", "refused"),
        ("bad-truncated.tiff", "refused"),
    ]
    assert all(str(code).startswith("slide-") for name, _, code, *_ in rows if str(name).startswith("bad"))
    good = [row for row in rows if row[0].startswith("good")]
    assert [row[1] for row in good] == ["done"] * 10
    assert 1 <= lost <= 2, "the slides that were in hand, and no others"
    assert len(list(station.results_dir.glob("*/*/summary.json"))) == 10
    assert not list(station.results_dir.glob(".worker-*"))
    told = capfd.readouterr()
    assert "raylet" not in told.out + told.err


def test_errors_cross_as_codes_and_a_stop_costs_no_attempt(joined: str, station: Station, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    whole = made_slide(folder / "0.tiff", tiles=12).read_bytes()
    for more in range(1, 10):
        (folder / f"{more}.tiff").write_bytes(whole + bytes(more))
    engine, stop = RayEngine(station, joined), Event()
    with Ledger(tmp_path / "gone.sqlite") as ledger:
        ledger.add([Found(str(tmp_path / "Anna Muster.svs"), "1")], station.bundle_sha256)
        (work,) = ledger.take(1)
    engine.give(work)
    ended: list[Outcome] = []
    until(lambda: ended.extend(engine.take(0.5)) or ended)
    assert [(outcome.ended, outcome.code) for outcome in ended] == [("failed", "source-vanished")]
    assert "Muster" not in ended[0].reason

    def once_begun() -> None:
        until(lambda: any(station.results_dir.glob("*/*/*")))
        stop.set()

    with ledger_of(folder, station) as ledger:
        stopping = Thread(target=once_begun)
        stopping.start()
        drive(ledger, engine, stop=stop)
        stopping.join()
        ends = {(state, attempts) for _, state, _, attempts, _ in rows_of(ledger)}
        # A slide may have ended between the first file of results and the stop.
        assert ("waiting", 0) in ends
        assert ends <= {("waiting", 0), ("done", 1)}


def test_a_node_that_cannot_do_its_part_is_named(cluster: RayNodes, joined: str, station: Station) -> None:
    network = cluster.nodes[0].address.rpartition(".")[0]
    with pytest.raises(ArchiveRunRefused, match=rf"The node {network}\.\d cannot score"):
        RayEngine(replace(station, bundle_sha256="another"), joined)


def test_a_cluster_without_the_device_is_refused(joined: str, station: Station) -> None:
    with pytest.raises(ArchiveRunRefused, match="nodes with a GPU"):
        RayEngine(replace(station, device="cuda"), joined)


def test_buckets_of_a_table_come_back_from_the_cluster_and_our_errors_as_they_are(joined: str, tmp_path: Path) -> None:
    buckets = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    for number, bucket in enumerate(buckets):
        bucket.write_bytes(bytes(number))
    assert dict(map_buckets(buckets, "cervix.files:sha256_of", joined)) == {bucket: sha256_of(bucket) for bucket in buckets}
    with pytest.raises(BundleError):
        list(map_buckets(buckets[:1], "cervix.bundle.loading:read_manifest", joined))


def test_without_a_cluster_ray_starts_on_loopback_for_this_run_alone(slides: Path, bundle_root: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-m", "cervix", "archive", "score", str(slides), "--out", str(tmp_path / "out"), "--ray", "auto"]
    command += ["--bundle", str(bundle_root), "--device", "cpu"]
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        # Ray has its workers give way to everything else, and something always runs beside a test.
        environment |= {"TMPDIR": folder, "CERVIX_HOME": str(tmp_path / "home"), "RAY_worker_niceness": "0"}
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        listening, started = set[str](), dict[int, psutil.Process]()
        while driver.poll() is None:
            for process in children(driver.pid):
                started[process.pid] = process
                try:
                    found = process.net_connections("inet")
                except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
                    continue
                listening |= {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}
            time.sleep(0.5)
        told = driver.communicate()[0]
        assert driver.returncode == 0, told
        assert "raylet" not in told
        assert listening
        assert listening <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
        assert list(Path(folder).glob("*ray*")) == []
    until(lambda: not any(process.is_running() for process in started.values()))
    with Ledger(tmp_path / "out" / "ledger.sqlite", read_only=True) as ledger:
        assert ledger.counts() == {"done": len(list(slides.iterdir()))}


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
