"""Runs that the app starts: found again, paused, stopped, settled; by the real command and by small programs in its place."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cervix.archive.desk import ArchiveDesk, score_command
from cervix.archive.desk_runs import DeskOrder, DeskRun
from cervix.archive.ledger import LEDGER_NAME, Ledger
from cervix.archive.offers import SAMPLES, offers, typed_source
from cervix.archive.results.reading import reading
from cervix.archive.results.watching import watched
from cervix.archive.running import LISTED_SAID
from cervix.archive.work import Found
from cervix.bundle import Bundle
from cervix.errors import ArchiveRunRefused, NameRefused
from cervix.own_process import LOCK_NAME, is_held
from cervix.people import Person
from cervix.settings import Settings
from cervix.slides.results import load_score
from cervix.sources.opening import open_slide

PATIENCE_S = 180.0
WAITING = "import time; print('listing', flush=True); time.sleep(600)"
REFUSING = "import sys; print('error: A source is not there. Look at its name.', file=sys.stderr); sys.exit(1)"


def eventually(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def order(bundle: Bundle, tmp_path: Path) -> DeskOrder:
    return DeskOrder(
        title="Server folder scans", sources=[str(tmp_path / "scans")], by="Ms Admin", bundle_root=bundle.root,
        bundle_sha256=bundle.sha256, device="cpu",
    )  # fmt: skip


@pytest.fixture
def desk_of(tmp_path: Path) -> Iterator[Callable[[str], ArchiveDesk]]:
    """A desk whose runs are a small Python program; nothing is left running."""
    desks: list[ArchiveDesk] = []

    def make(body: str) -> ArchiveDesk:
        desk = ArchiveDesk(tmp_path / "runs", tmp_path / "results", grace_s=5, command=lambda *_: [sys.executable, "-c", body])
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        running = desk.running()
        if running is not None:
            desk.stop(running, "the test")
            eventually(lambda desk=desk: desk.running() is None)


def ended(desk: ArchiveDesk, run: DeskRun) -> DeskRun:
    eventually(lambda: desk.running() is None)
    found = desk.run(run.id)
    assert found is not None
    return found


@pytest.mark.slow
def test_a_run_scores_a_folder_into_the_results_that_the_viewer_reads(
    tmp_path: Path, order: DeskOrder, bundle: Bundle, carcinoma_slide: Path
) -> None:
    (tmp_path / "scans").mkdir()
    shutil.copy(carcinoma_slide, tmp_path / "scans/one.tiff")
    (tmp_path / "scans/bad.svs").write_bytes(b"no slide at all" * 999)
    desk = ArchiveDesk(tmp_path / "runs", tmp_path / "results")
    run = ended(desk, desk.start(order))
    assert (run.state, run.message) == ("done", ""), desk.log_tail(run)
    with reading(desk.folder(run)) as connection:
        now = watched(connection)
    assert now.states == {"done": 1, "refused": 1}
    assert load_score(tmp_path / "results", open_slide(tmp_path / "scans/one.tiff"), bundle) is not None


def test_one_run_at_a_time_and_another_server_sees_it(
    order: DeskOrder, desk_of: Callable[[str], ArchiveDesk], tmp_path: Path
) -> None:
    desk = desk_of(WAITING)
    run = desk.start(order)
    other = ArchiveDesk(tmp_path / "runs", tmp_path / "results")
    assert other.running() == run
    with pytest.raises(ArchiveRunRefused, match="under way already"):
        other.start(order)
    eventually(lambda: "listing" in desk.log_tail(run))
    other.stop(run, "Mr Second")
    stopped = ended(desk, run)
    assert (stopped.state, stopped.message) == ("stopped", "Stopped by Mr Second. What it has done is kept.")


def test_a_run_whose_ledger_is_damaged_is_refused_and_leaves_no_lock_behind(
    order: DeskOrder, desk_of: Callable[[str], ArchiveDesk]
) -> None:
    desk = desk_of("pass")
    run = ended(desk, desk.start(order))
    (desk.folder(run) / LEDGER_NAME).write_bytes(b"no ledger at all" * 99)
    with pytest.raises(ArchiveRunRefused, match="ledger"):
        desk.go_on(run)
    assert not is_held(desk.folder(run) / LOCK_NAME), "whoever goes on with it next would wait for ever"


def test_a_run_that_died_unseen_is_settled_and_can_be_gone_on_with(
    order: DeskOrder, desk_of: Callable[[str], ArchiveDesk], tmp_path: Path
) -> None:
    desk = desk_of(WAITING)
    run = desk.start(order)
    desk._board._jobs.clear()
    os.killpg(run.group, signal.SIGKILL)
    found = ended(ArchiveDesk(tmp_path / "runs", tmp_path / "results"), run)
    assert found.state in ("failed", "interrupted")
    assert "Go on with it." in found.message
    desk.go_on(found)
    again = desk.running()
    assert again is not None
    assert (again.id, again.message, again.started) == (run.id, "", run.started)


def test_what_the_command_refuses_is_told_in_its_words(order: DeskOrder, desk_of: Callable[[str], ArchiveDesk]) -> None:
    desk = desk_of(REFUSING)
    run = ended(desk, desk.start(order))
    assert (run.state, run.message) == ("refused", "A source is not there. Look at its name.")


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_ended_before_its_sources_were_listed_is_not_done(
    code: int, order: DeskOrder, desk_of: Callable[[str], ArchiveDesk]
) -> None:
    desk = desk_of(f"import sys; print('error: The store is away.', file=sys.stderr); sys.exit({code})")
    run = desk.start(order)
    with Ledger(desk.folder(run) / LEDGER_NAME) as ledger:
        ledger.add([Found("/a.svs", "1")], order.bundle_sha256)
        ledger._connection.execute("UPDATE slides SET state = 'done'")
        eventually(lambda: desk.running() is None)
        state = {0: "failed", 1: "refused"}[code]
        assert desk._settle(run, code).state == state
        ledger.say(LISTED_SAID, "yes")
        assert desk._settle(run, code).state == "done"


def test_pause_and_retry_are_words_in_the_ledger(order: DeskOrder, desk_of: Callable[[str], ArchiveDesk]) -> None:
    desk = desk_of(WAITING)
    run = desk.start(order)
    desk.pause(run)  # before there is a ledger: nothing to say it to
    with Ledger(desk.folder(run) / LEDGER_NAME) as ledger:
        ledger.add([Found("/a.svs", "1")], order.bundle_sha256)
        ledger._connection.execute("UPDATE slides SET state = 'quarantined', attempts = 3")
        desk.pause(run)
        assert ledger.said("wanted") == "pause"
        desk.go_on(run)
        assert ledger.said("wanted") == "run"
        desk.retry(run)
        assert ledger.counts() == {"waiting": 1}


def test_a_run_that_is_gone_on_with_keeps_its_own_bundle(order: DeskOrder, tmp_path: Path) -> None:
    assert str(order.bundle_root) in score_command(order, tmp_path, tmp_path)
    (tmp_path / "bundle").mkdir()
    command = score_command(order, tmp_path, tmp_path)
    assert str(tmp_path / "bundle") in command
    assert str(order.bundle_root) not in command


def test_sources_are_those_of_the_settings_and_folders_within_the_inbox(tmp_path: Path) -> None:
    (tmp_path / "scans/may").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    (tmp_path / "scans/out").symlink_to(tmp_path / "private")
    settings = Settings(inbox=(tmp_path / "scans",), dicomweb_url="https://archive.example/dicom-web", offline=False)
    assert [offer.title for offer in offers(settings)][:2] == ["Server folder scans", "The hospital's archive"]
    assert [offer.id for offer in offers(Settings(offline=True))] == [SAMPLES]
    assert typed_source(f" {tmp_path}/scans/may ", settings) == str(tmp_path / "scans/may")
    assert typed_source(str(tmp_path / "scans"), settings) == str(tmp_path / "scans")
    assert typed_source("s3://slides/2026", settings) == "s3://slides/2026"
    for place in (str(tmp_path / "private"), "/etc", "may", "s3://", f"{tmp_path}/scans/none", "http://10.0.0.1/"):
        with pytest.raises(ArchiveRunRefused):
            typed_source(place, settings)
    for place in (f"{tmp_path}/scans/../private", f"{tmp_path}/scans/out"):
        with pytest.raises(NameRefused):
            typed_source(place, settings)
    with pytest.raises(ArchiveRunRefused, match="network"):
        typed_source("s3://slides/2026", Settings(offline=True))


def test_admins_run_archives_and_nobody_does_who_plays() -> None:
    assert [Person("A", role).may_run_archive for role in ("viewer", "reader", "admin")] == [False, False, True]  # type: ignore[arg-type]
    assert not Person("A", "admin").in_a_sandbox().may_run_archive
