"""Where retraining runs are started, watched, stopped and found again."""

import logging
import os
import shutil
import signal
import subprocess
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cervix.errors import RetrainingRefused
from cervix.jobs import Job, JobBoard
from cervix.own_process import GRACE_S, LOCK_NAME, LOG_NAME, STOP_NAME, end, is_held, launched, locked, tell
from cervix.retraining.command import LABELS_VARIABLE, RetrainingOrder, retraining_command
from cervix.retraining.log import LogLine, read_log
from cervix.retraining.runs import SCRATCH_NAME, Run, new_run, read_run, write_run

logger = logging.getLogger(__name__)

POLL_S = 0.5
LARGEST_LOG_BYTES = 64 << 20


class RetrainingDesk:
    """Retraining runs of one installation, one at a time.

    The trainer is a process of its own, in a group of its own, that writes its log itself: it continues when the server ends,
    and every server that shares the folder sees it. A thread of the server that started it waits for its end; a run that
    ends while no server watches is settled by whoever looks next.

    Parameters
    ----------
    runs_dir : Path
        Where runs are kept, on a local disk: locks tell which runs live.
    bundles_dir : Path
        Where candidates go.
    grace_s : float
        How long a trainer that was told to stop may take before it is killed.
    largest_log_bytes : int
        A trainer whose log grows beyond is stopped before it fills the disk.
    """

    def __init__(
        self, runs_dir: Path, bundles_dir: Path, *, grace_s: float = GRACE_S, largest_log_bytes: int = LARGEST_LOG_BYTES
    ) -> None:
        self.runs_dir = runs_dir
        self.bundles_dir = bundles_dir
        self._grace_s = grace_s
        self._largest_log_bytes = largest_log_bytes
        self._board: JobBoard[None, None] = JobBoard()
        self._unwritten: dict[str, Run] = {}
        """How runs ended whose end could not be written: the disk was full."""

    def start(self, order: RetrainingOrder, python: Path, labels_url: str) -> Run:
        """Start the trainer in the background.

        Parameters
        ----------
        python : Path
            ``TrainingEnvironment.python``.
        labels_url : str
            ``Settings.label_store_url``; handed to the trainer in its environment only, since it may hold a password.

        Raises
        ------
        RetrainingRefused
            If a run is under way, the program cannot be started, or there is no room for its log.
        """
        try:
            self.runs_dir.mkdir(parents=True, exist_ok=True)
            # Two servers must not both see that nothing runs.
            starting = locked(self.runs_dir / "starting")
        except OSError as error:
            raise _no_room(self.runs_dir, error) from error
        try:
            running = self.running()
            if running is not None:
                raise RetrainingRefused(
                    "A retraining is under way already",
                    found=f"one that {running.order.by} started at {running.started:%Y-%m-%d %H:%M} UTC",
                    action="Wait until it has ended, or stop it.",
                )
            return self._start(order, python, labels_url)
        finally:
            os.close(starting)

    def runs(self) -> list[Run]:
        """Every run, the latest first. Runs that died unseen are settled."""
        found = [run for folder in self.runs_dir.glob("*/") if (run := self.run(folder.name)) is not None]
        return sorted(found, key=lambda run: run.started, reverse=True)

    def running(self) -> Run | None:
        """The run that is under way, whoever started it."""
        return next((run for run in self.runs() if run.state == "running"), None)

    def run(self, run_id: str) -> Run | None:
        """One run as it is now; None where there is none of that id."""
        folder = self.runs_dir / run_id
        run = read_run(folder)
        if run is None or run.state != "running":
            return run
        if run_id in self._unwritten:
            self._write_end(self._unwritten[run_id])
            return self._unwritten.get(run_id) or read_run(folder)
        if is_held(folder / LOCK_NAME):
            return run
        # Whoever held the lock has written the end before letting go of it: only what is still "running" died unseen.
        run = read_run(folder)
        return self._settle(run, None) if run is not None and run.state == "running" else run

    def log_path(self, run: Run) -> Path:
        """What the trainer printed."""
        return self.runs_dir / run.id / LOG_NAME

    def stop(self, run: Run, who: str) -> None:
        """Tell the trainer and all its processes to stop, and kill them if they do not; returns at once."""
        try:
            (self.runs_dir / run.id / STOP_NAME).write_text(who, encoding="utf-8")
        except OSError as error:
            logger.warning("who stopped a retraining could not be written: %s", error.strerror)
        self._board.submit(f"stop {run.id}", partial(self._end_group, run))

    def is_stopping(self, run: Run) -> bool:
        """Whether somebody has told a run to stop."""
        return (self.runs_dir / run.id / STOP_NAME).is_file()

    def _start(self, order: RetrainingOrder, python: Path, labels_url: str) -> Run:
        run = new_run(order, self.bundles_dir)
        folder = self.runs_dir / run.id
        try:
            self.bundles_dir.mkdir(parents=True, exist_ok=True)
            (folder / SCRATCH_NAME).mkdir(parents=True)
            process, alive = launched(
                retraining_command(python, order, run.candidate_dir),
                folder,
                # What a killed trainer leaves in its scratch folder is removed with it.
                {LABELS_VARIABLE: labels_url, "TMPDIR": str(folder / SCRATCH_NAME)},
                lambda group: write_run(folder, run.model_copy(update={"group": group})),
            )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.filename == str(python):
                raise RetrainingRefused(
                    "The trainer cannot be started",
                    found=error.strerror or "",
                    action="See whether CERVIX_TRAINING_PYTHON is right.",
                ) from error
            raise _no_room(self.runs_dir, error) from error
        run = run.model_copy(update={"group": process.pid})
        self._board.submit(run.id, partial(self._watch, run, process, alive))
        return run

    def _watch(self, run: Run, process: "subprocess.Popen[bytes]", alive: int, job: Job[None, None]) -> None:  # noqa: ARG002
        try:
            while True:
                try:
                    code = process.wait(POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    if self._log_bytes(run) > self._largest_log_bytes:
                        tell(run.group, signal.SIGKILL)
            tell(run.group, signal.SIGKILL)  # what it started and left behind
            self._settle(run, code)
        finally:
            os.close(alive)

    def _end_group(self, run: Run, job: Job[None, None]) -> None:  # noqa: ARG002
        end(run.group, self.runs_dir / run.id / LOCK_NAME, self._grace_s)

    def _settle(self, run: Run, code: int | None) -> Run:
        """Write how a run ended and remove what it left unfinished. ``code`` is None where nobody saw it end."""
        told = read_log(self.log_path(run))
        candidate = told.candidate if (run.candidate_dir / "manifest.json").is_file() else ""
        ended = self._how_it_ended(run, code, told.refusal, candidate)
        for path in self.bundles_dir.glob(f"*{run.candidate_dir.name}*"):
            if not (candidate and path == run.candidate_dir):
                _remove(path)
        _remove(self.runs_dir / run.id / SCRATCH_NAME)
        self._write_end(ended)
        return ended

    def _how_it_ended(self, run: Run, code: int | None, refusal: LogLine | None, candidate: str) -> Run:
        log = self.log_path(run)
        now = datetime.now(UTC)
        if code is None and log.is_file():
            now = max(run.started, datetime.fromtimestamp(log.stat().st_mtime, UTC))
        if candidate:
            # A complete candidate is one, also where the trainer fell over on its way out or the stop came too late.
            state, message = "done", ""
        elif self.is_stopping(run):
            who = (self.runs_dir / run.id / STOP_NAME).read_text(encoding="utf-8")
            state, message = "stopped", f"Stopped by {who}. What was unfinished is removed."
        elif refusal is not None and code in (1, None):
            state, message = "refused", refusal.message
        elif code is None:
            state, message = (
                "interrupted",
                "The trainer ended while no server watched it, with the machine or killed. Start again.",
            )
        elif self._log_bytes(run) > self._largest_log_bytes:
            state, message = "failed", f"Its log grew beyond {self._largest_log_bytes >> 20} MB, so it was stopped."
        elif code < 0:
            hint = " Memory may have run out." if code == -signal.SIGKILL else ""
            state, message = "failed", f"The trainer was killed ({signal.Signals(-code).name}).{hint}"
        elif code == 0:
            state, message = "failed", "The trainer ended without an error and without a candidate."
        else:
            state, message = "failed", f"The trainer stopped with an error (exit code {code}); the end of its log says why."
        return run.model_copy(update={"state": state, "message": message, "candidate": candidate, "ended": now})

    def _log_bytes(self, run: Run) -> int:
        log = self.log_path(run)
        return log.stat().st_size if log.is_file() else 0

    def _write_end(self, run: Run) -> None:
        try:
            write_run(self.runs_dir / run.id, run)
        except OSError as error:
            logger.warning("how a retraining ended could not be written: %s", error.strerror)
            self._unwritten[run.id] = run
        else:
            self._unwritten.pop(run.id, None)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _no_room(folder: Path, error: OSError) -> RetrainingRefused:
    return RetrainingRefused(
        f"No retraining can be started: {folder} cannot be written",
        found=error.strerror or "",
        action="Make room, or see to whom the folder belongs.",
    )
