"""Whatever ends an addition, a kill or a full disk: nothing half-added is listed, nothing stays, the next one works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cervix.intake.archive
from cervix.errors import CervixError
from cervix.promotion.adding import add_listed, labels_there
from cervix.promotion.candidates import candidate_folders
from cervix.promotion.leftovers import ARRIVING, ON_ITS_WAY, UNPACKING_AT_MOST_S, clear_leftovers, on_its_way
from cervix.promotion.registry import Listed
from cervix.settings import Settings
from tests import file_server
from tests.promotion.test_registry import NAME, VERSION, entry, left, write_list

PATIENCE_S = 240.0
"""Of a machine that does much else; a quiet one needs seconds."""


def on_their_way(settings: Settings) -> list[Path]:
    return sorted(settings.bundles_dir.glob(f"{ON_ITS_WAY}*"))


def bytes_arrived(settings: Settings) -> int:
    return sum(path.stat().st_size for path in (settings.bundles_dir / ARRIVING).glob("*.part"))


def killed_once(condition: Callable[[], object]) -> int:
    """Add the bundle in a process of its own, which is killed as soon as the condition holds; how it ended."""
    adding = [sys.executable, "-m", "cervix", "bundle", "add", NAME]
    with subprocess.Popen(adding, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + PATIENCE_S
        while not (reached := condition()) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert reached, "it was killed too early or too late"
    return process.returncode


@pytest.mark.slow
def test_an_addition_that_is_killed_lists_nothing_and_the_next_one_sweeps_and_works(
    settings: Settings, archive: file_server.Archive
) -> None:
    write_list(settings, entry(archive))
    archive.plan("bundle.zip", file_server.silent_after(3000, PATIENCE_S))
    assert killed_once(lambda: bytes_arrived(settings) >= 3000) == -signal.SIGKILL, "while it arrives"
    assert candidate_folders(settings.bundles_dir) == {}

    assert killed_once(lambda: [*settings.bundles_dir.glob(f"{ON_ITS_WAY}*/bundle/manifest.json")]) == -signal.SIGKILL
    assert archive.ranges("bundle.zip") == ["", "bytes=3000-"], "it went on where the kill had stopped it"
    assert candidate_folders(settings.bundles_dir) == {}, "killed while it is proved"
    assert on_their_way(settings), "what a killed process holds cannot be taken away by itself"

    folder = add_listed(Listed(**entry(archive)), settings)
    assert candidate_folders(settings.bundles_dir) == {folder.name: folder}
    assert labels_there(settings) == {(NAME, VERSION)}
    assert on_their_way(settings) == [], "nobody waits six hours for the room"
    assert all(path.startswith(str(folder)) for path in map(str, settings.bundles_dir.rglob("*.onnx")))


def test_what_somebody_is_at_work_on_is_no_leftover_however_old(tmp_path: Path) -> None:
    with on_its_way(tmp_path) as place:
        long_ago = time.time() - 2 * UNPACKING_AT_MOST_S
        os.utime(place, (long_ago, long_ago))
        clear_leftovers(tmp_path)
        assert place.is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full_disk_settings(settings: Settings, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a server whose home has 200 kB, and nothing kept free of them for the app's own work."""
    monkeypatch.setattr("cervix.sources.downloads.KEPT_FREE_BYTES", 0)
    monkeypatch.setattr("cervix.intake.archive.DISK_RESERVE_BYTES", 0)
    return settings.model_copy(update={"home": small_disk / "home"})


def fill_up(disk: Path) -> Path:
    """A file that takes what is left, as a neighbour of the app does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            return filler


@pytest.mark.parametrize("moment", ["while it arrives", "while it is unpacked"])
def test_a_disk_that_is_full_lists_nothing_and_works_once_there_is_room(
    moment: str,
    full_disk_settings: Settings,
    archive: file_server.Archive,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, looked = Listed(**entry(archive)), cervix.intake.archive._check_room
    archive.plan("bundle.zip", file_server.dripping(1000, 0.0, step=500))

    def fill_when_it_arrives(_: object) -> None:
        if moment == "while it arrives":
            fill_up(small_disk)

    def fill_after_the_look(folder: Path, needed: int) -> None:
        looked(folder, needed)
        fill_up(small_disk)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("cervix.intake.archive._check_room", fill_after_the_look)
        with pytest.raises(CervixError, match="No space left on device"):
            add_listed(listed, full_disk_settings, arriving=fill_when_it_arrives)
    assert candidate_folders(full_disk_settings.bundles_dir) == {}
    assert on_their_way(full_disk_settings) == []
    assert [name for name in left(full_disk_settings) if not name.endswith(".part")] == []

    (small_disk / "filler").unlink()
    folder = add_listed(listed, full_disk_settings)
    assert candidate_folders(full_disk_settings.bundles_dir) == {folder.name: folder}
    assert [path.name for path in (full_disk_settings.bundles_dir / ARRIVING).iterdir()] == [f"{listed.sha256}.lock"]
