"""A small program in place of the Python of the training environment: what is tested is how a process is handled."""

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cervix.retraining import RetrainingDesk, RetrainingOrder, Run

PATIENCE_S = 60.0

# As ``python -m training retrain`` is to behave; the bodies below do what a trainer might.
HEAD = f"""#!{sys.executable}
import json, os, signal, subprocess, sys, time
from pathlib import Path
if sys.argv[1] == "-c":
    print("missing:")
    raise SystemExit
out = Path(sys.argv[sys.argv.index("--out") + 1])
half = out.with_name("." + out.name + "-half")
def say(message="", event="said", **more):
    print(json.dumps({{"event": event, "message": message, **more}}), flush=True)
def wait_for(name):
    while not (Path(__file__).parent / name).exists():
        time.sleep(0.01)
def finish():
    half.mkdir()
    (half / "manifest.json").write_text("{{}}")
    half.rename(out)
    say(f"candidate in {{out}}", "candidate", candidate="cervix-demonstration 0.4.1 (0123456789)")
"""
QUICK = """
say("[     0 s] reading 20 labels")
say("fitting the head", "progress", stage="slide", done=0.5)
finish()
"""
SLOW = """
say("[     0 s] reading 20 labels")
say("fitting the head", "progress", stage="slide", done=1, total=4)
half.mkdir()
wait_for("go-on")
half.rmdir()
finish()
"""
REFUSING = """
say("Labels of slide aaaa are of the test group: expected other slides. Label others.", "refused", code="labels-too-few")
raise SystemExit(1)
"""
DEAF = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"])
half.mkdir()
say("not listening", "progress", stage="slide", done=0.1)
time.sleep(60)
"""


def stand_in(folder: Path, body: str) -> Path:
    """A program with this body that is started as the trainer's Python would be."""
    program = folder / "python-of-training"
    program.write_text(HEAD + textwrap.dedent(body))
    program.chmod(0o755)
    return program


def an_order(tmp_path: Path, *, by: str = "Dr Reed") -> RetrainingOrder:
    return RetrainingOrder(
        bundle_dir=tmp_path / "bundle", bundle_label="cervix-demonstration 0.4.0 (aaaaaaaaaa)", bundle_sha256="a" * 64,
        models=["slide"], recipe="retrain-small", seed=1, by=by,
    )  # fmt: skip


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ended(desk: RetrainingDesk, run: Run) -> Run:
    """The run, once it is not running any more."""
    eventually(lambda: desk.running() is None)
    last = desk.run(run.id)
    assert last is not None
    return last


def end_what_is_left(desk: RetrainingDesk) -> None:
    """Kill what a test left running."""
    if left := desk.running():
        with suppress(ProcessLookupError):
            os.killpg(left.group, signal.SIGKILL)
        ended(desk, left)
