"""What the engine of a cluster decides before any cluster is there."""

import socket
import sys
from pathlib import Path

import pytest

from cervix.archive.engines.ray_joining import join
from cervix.archive.engines.ray_room import Share
from cervix.errors import ArchiveRunRefused


def node(cores: int, gpus: int = 0) -> dict[str, object]:
    return {"Resources": {"CPU": float(cores)} | ({"GPU": float(gpus)} if gpus else {})}


@pytest.mark.parametrize(
    ("cores", "each", "workers"),
    [([1, 1], 1, 2), ([2], 2, 1), ([4, 4], 4, 2), ([6], 3, 2), ([16, 16], 4, 8), ([3, 4], 1, 7), ([64], 4, 16), ([2, 4], 2, 3)],
)
def test_cores_are_divided_so_that_few_sessions_leave_few_cores_idle(cores: list[int], each: int, workers: int) -> None:
    nodes = [node(count) for count in cores]
    share = Share.of(nodes, "auto")
    assert (share.cores, share.gpus, share.threads) == (each, 0, each)
    assert share.room(nodes) == workers


def test_where_there_are_gpus_each_worker_has_a_whole_one_and_no_cap_on_threads() -> None:
    nodes = [node(32, 4), node(64)]
    share = Share.of(nodes, "auto")
    assert (share.gpus, share.threads, share.room(nodes)) == (1, None, 4)
    assert share.asked == {"num_cpus": 1, "num_gpus": 1}
    assert Share.of(nodes, "cpu").gpus == 0


@pytest.mark.parametrize(("nodes", "device"), [([node(8)], "cuda"), ([node(0)], "auto"), ([], "cpu")])
def test_a_cluster_without_the_device_that_was_asked_for_is_refused(nodes: list[dict[str, object]], device: str) -> None:
    with pytest.raises(ArchiveRunRefused, match="no device for this run"):
        Share.of(nodes, device)


def test_room_that_comes_later_is_counted_by_the_same_share() -> None:
    share = Share.of([node(4)], "auto")
    assert share.room([node(4), node(8), node(3)]) == 3


def test_an_address_where_nobody_answers_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ArchiveRunRefused, match="Nobody answers"):
            join(f"127.0.0.1:{port}")
    with pytest.raises(ArchiveRunRefused, match="Nobody answers"):
        join("no address")


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ArchiveRunRefused, match=r"pip install -r requirements-archive\.txt"):
        join("auto")
