"""Where the app's runs over many slides are started, paused, gone on with, stopped and found again."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from cervix.archive.desk_runs import DeskOrder, DeskRun, new_run, read_run, write_run
from cervix.archive.ledger import LEDGER_NAME, Ledger, Wanted
from cervix.archive.results.reading import reading
from cervix.archive.running import LISTED_SAID
from cervix.archive.runs import BUNDLE_NAME
from cervix.errors import ArchiveRunRefused
from cervix.jobs import Job, JobBoard
from cervix.own_process import LOCK_NAME, LOG_NAME, STOP_NAME, end, is_held, launched, locked, tell

logger = logging.getLogger(__name__)

GRACE_S: Final = 60.0
"""How long a run that was told to stop may take: the batches in hand are finished and kept."""
LOG_TAIL_BYTES: Final = 20_000
EXIT_STOPPED: Final = 130
"""Of the command, after a signal or ``archive stop``."""
REFUSAL: Final = "error: "
"""How the command begins the sentence by which it refuses."""


class ArchiveDesk:
    """Runs of one installation, one at a time: they would only share the device.

    The run is ``python -m cervix archive score``, a process of its own, in a group of its own: it continues when the server
    ends, and every server that shares the folder sees it. A thread of the server that started it waits for its end; a run that
    ends while no server watches is settled by whoever looks next.

    Parameters
    ----------
    archive_dir : Path
        Where runs are kept, on a local disk: locks tell which runs live.
    results_dir : Path
        Where scores go: the app's own, so that the viewer has them.
    grace_s : float
        How long a run that was told to stop may take before it is killed.
    command : callable
        From an order, the run's folder and ``results_dir`` to the program with its arguments.
    """

    def __init__(
        self,
        archive_dir: Path,
        results_dir: Path,
        *,
        grace_s: float = GRACE_S,
        command: "Callable[[DeskOrder, Path, Path], Sequence[str]] | None" = None,
    ) -> None:
        self.archive_dir = archive_dir
        self.results_dir = results_dir
        self._grace_s = grace_s
        self._command = command or score_command
        self._board: JobBoard[None, None] = JobBoard()

    def start(self, order: DeskOrder) -> DeskRun:
        """Start a run in the background.

        Raises
        ------
        ArchiveRunRefused
            If a run is under way, or there is no room for it.
        """
        return self._begin(new_run(order))

    def go_on(self, run: DeskRun) -> None:
        """Go on with a run that is paused, or that ended before its slides did.

        Raises ``ArchiveRunRefused`` as ``start`` does.
        """
        if run.state == "running":
            self._want(run, "run")
        else:
            self._begin(run.model_copy(update={"state": "running", "message": "", "ended": None}))

    def pause(self, run: DeskRun) -> None:
        """Begin no further slide; those in hand are finished."""
        self._want(run, "pause")

    def retry(self, run: DeskRun) -> None:
        """Let the slides that failed as often as they may wait again, and go on where the run has ended.

        Raises ``ArchiveRunRefused`` as ``start`` does.
        """
        with Ledger(self.folder(run) / LEDGER_NAME, read_only=True) as ledger:
            ledger.retry()
        if run.state != "running":
            self.go_on(run)

    def stop(self, run: DeskRun, who: str) -> None:
        """Tell a run to stop, and kill it where it does not; returns at once. What it has done stays."""
        try:
            (self.folder(run) / STOP_NAME).write_text(who, encoding="utf-8")
        except OSError as error:
            logger.warning("who stopped a run could not be written: %s", error.strerror)
        self._board.submit(f"stop {run.id}", partial(self._end_group, run))

    def is_stopping(self, run: DeskRun) -> bool:
        """Whether somebody has told a run to stop."""
        return (self.folder(run) / STOP_NAME).is_file()

    def runs(self) -> list[DeskRun]:
        """Every run: the one under way, then the latest first. Runs that died unseen are settled."""
        found = [run for folder in self.archive_dir.glob("*/") if (run := self.run(folder.name)) is not None]
        return sorted(found, key=lambda run: (run.state == "running", run.started), reverse=True)

    def running(self) -> DeskRun | None:
        """The run that is under way, whoever started it."""
        return next((run for run in self.runs() if run.state == "running"), None)

    def run(self, run_id: str) -> DeskRun | None:
        """One run as it is now; None where there is none of that id."""
        folder = self.archive_dir / run_id
        run = read_run(folder)
        if run is None or run.state != "running" or is_held(folder / LOCK_NAME):
            return run
        # Whoever held the lock has written the end before letting go of it: only what is still "running" died unseen.
        run = read_run(folder)
        return self._settle(run, None) if run is not None and run.state == "running" else run

    def folder(self, run: DeskRun) -> Path:
        """Where a run lies: what ``--out`` named."""
        return self.archive_dir / run.id

    def log_tail(self, run: DeskRun) -> str:
        """The end of what the command printed."""
        try:
            with (self.folder(run) / LOG_NAME).open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _want(self, run: DeskRun, wanted: Wanted) -> None:
        path = self.folder(run) / LEDGER_NAME
        if path.is_file():  # else it has not begun to list yet
            with Ledger(path, read_only=True) as ledger:
                ledger.want(wanted)

    def _begin(self, run: DeskRun) -> DeskRun:
        try:
            self.archive_dir.mkdir(parents=True, exist_ok=True)
            # Two servers must not both see that nothing runs.
            starting = locked(self.archive_dir / "starting")
        except OSError as error:
            raise _no_room(error) from error
        try:
            running = self.running()
            if running is not None:
                raise ArchiveRunRefused(
                    "A run is under way already",
                    found=f"one that {running.order.by} started at {running.started:%Y-%m-%d %H:%M} UTC",
                    action="Wait until it has ended, or stop it.",
                )
            return self._launch(run)
        finally:
            os.close(starting)

    def _launch(self, run: DeskRun) -> DeskRun:
        folder = self.folder(run)
        is_new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / STOP_NAME).unlink(missing_ok=True)
            self._want(run, "run")
            process, alive = launched(
                self._command(run.order, folder, self.results_dir),
                folder,
                {},
                lambda group: write_run(folder, run.model_copy(update={"group": group})),
            )
        except OSError as error:
            if is_new:
                shutil.rmtree(folder, ignore_errors=True)
            raise _no_room(error) from error
        run = run.model_copy(update={"group": process.pid})
        self._board.submit(run.id, partial(self._watch, run, process, alive))
        return run

    def _watch(self, run: DeskRun, process: "subprocess.Popen[bytes]", alive: int, job: Job[None, None]) -> None:  # noqa: ARG002
        try:
            code = process.wait()
            tell(run.group, signal.SIGKILL)  # what it started and left behind
            self._settle(run, code)
        finally:
            os.close(alive)

    def _end_group(self, run: DeskRun, job: Job[None, None]) -> None:  # noqa: ARG002
        end(run.group, self.folder(run) / LOCK_NAME, self._grace_s, leader_alone=True)

    def _settle(self, run: DeskRun, code: int | None) -> DeskRun:
        """Write how a run ended. ``code`` is None where nobody saw it end."""
        folder = self.folder(run)
        refusal = next((line for line in reversed(self.log_tail(run).splitlines()) if line.startswith(REFUSAL)), "")
        if code in (0, None) and self._is_through(folder):
            state, message = "done", ""
        elif self.is_stopping(run):
            state, message = (
                "stopped",
                f"Stopped by {(folder / STOP_NAME).read_text(encoding='utf-8')}. What it has done is kept.",
            )
        elif code == 1 and self._is_through(folder):
            # The command says so where any slide was refused.
            state, message = "done", ""
        elif code == 1 and refusal:
            state, message = "refused", refusal.removeprefix(REFUSAL)
        elif code == EXIT_STOPPED:
            state, message = "interrupted", "It was told to stop from elsewhere. What it has done is kept: go on with it."
        elif code is None:
            state, message = "interrupted", "It ended while no server watched it, with the machine or killed. Go on with it."
        elif code < 0:
            hint = " Memory may have run out." if code == -signal.SIGKILL else ""
            state, message = "failed", f"It was killed ({signal.Signals(-code).name}).{hint} Go on with it."
        else:
            state, message = "failed", f"It ended with exit code {code}; the end of its log says why."
        ended = run.model_copy(update={"state": state, "message": message, "ended": datetime.now(UTC)})
        try:
            write_run(folder, ended)
        except OSError as error:
            logger.warning("how a run ended could not be written: %s", error.strerror)
        return ended

    @staticmethod
    def _is_through(folder: Path) -> bool:
        """Whether there are slides, all that the sources hold, and none is left to be scored."""
        try:
            with reading(folder) as connection:
                counts = dict(connection.execute("SELECT state, count(*) FROM slides GROUP BY state").fetchall())
                listed = connection.execute("SELECT 1 FROM said WHERE name = ? AND value != ''", (LISTED_SAID,)).fetchone()
        except ArchiveRunRefused:
            return False
        return listed is not None and bool(counts) and not counts.get("waiting") and not counts.get("running")


def score_command(order: DeskOrder, folder: Path, results_dir: Path) -> list[str]:
    """The command that a run is. One that is gone on with keeps its own copy of the bundle, whatever is active now."""
    own = folder / BUNDLE_NAME
    bundle = own if own.is_dir() else order.bundle_root
    return [
        sys.executable, "-m", "cervix", "archive", "score", *order.sources,
        "--out", str(folder), "--results", str(results_dir), "--bundle", str(bundle), "--device", order.device,
        f"--by={order.by}", *(["--triage"] if order.triage else []),
    ]  # fmt: skip


def _no_room(error: OSError) -> ArchiveRunRefused:
    return ArchiveRunRefused(
        "No run can be started: the folder for runs cannot be written",
        found=error.strerror or "",
        action="Make room, or see to whom the folder belongs.",
    )
