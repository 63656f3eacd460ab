"""Which Python on this machine can run the trainer."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cervix.errors import CervixError
from cervix.settings import PROJECT_ROOT

NEEDED = ("tensorflow", "keras", "tf2onnx")
ANSWER = "missing:"
CHECK = f"import importlib.util as u; print('{ANSWER}', *[name for name in {NEEDED!r} if u.find_spec(name) is None])"
CHECK_LIMIT_S = 20.0


@dataclass(frozen=True)
class TrainingEnvironment:
    """The Python that would run the trainer.

    Attributes
    ----------
    python : Path
        Absolute.
    problem : str
        Sentences for people on why it cannot; empty where it can.
    """

    python: Path
    problem: str = ""

    @property
    def usable(self) -> bool:
        return not self.problem


def find_training_environment(named: Path | None, *, limit_s: float = CHECK_LIMIT_S) -> TrainingEnvironment:
    """Look whether the trainer can be run: by the named Python, or else by the one that runs this.

    Another Python is started once and asked for its packages, none of which is imported.

    Parameters
    ----------
    named : Path or None
        ``Settings.training_python``.
    limit_s : float
        How long another Python may take to answer.
    """
    if sys.platform == "win32":
        return _unusable(Path(sys.executable), "The app can start the trainer on Linux and macOS only")
    if named is None:
        python = Path(sys.executable)
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        return TrainingEnvironment(python, _lacking(missing, "the environment that this app runs in"))
    found = shutil.which(named.expanduser())
    if found is None:
        return _unusable(named, "CERVIX_TRAINING_PYTHON does not name a program that can be run", found=str(named))
    # Not resolved: the python of a virtual environment is a link, and knows itself by the link's place.
    python = Path(found).absolute()
    try:
        asked = subprocess.run(
            [python, "-c", CHECK], capture_output=True, cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _unusable(
            python, "The Python that CERVIX_TRAINING_PYTHON names does not answer", expected=f"an answer in {limit_s:.0f} s"
        )
    except OSError as error:
        return _unusable(
            python, "The Python that CERVIX_TRAINING_PYTHON names cannot be started", found=error.strerror or str(python)
        )
    answers = [line for line in asked.stdout.decode(errors="replace").splitlines() if line.startswith(ANSWER)]
    if asked.returncode != 0 or not answers:
        return _unusable(
            python,
            "What CERVIX_TRAINING_PYTHON names does not answer as Python does",
            found=f"exit code {asked.returncode}",
            action="Name the python of the training environment, such as .venv-training/bin/python.",
        )
    return TrainingEnvironment(python, _lacking(answers[-1].removeprefix(ANSWER).split(), str(python)))


def _lacking(missing: list[str], where: str) -> str:
    if not missing:
        return ""
    return str(
        CervixError(
            "The trainer cannot be run here", expected=", ".join(NEEDED), found=f"no {', no '.join(missing)} in {where}"
        )
    )


def _unusable(python: Path, problem: str, **more: str) -> TrainingEnvironment:
    return TrainingEnvironment(python, str(CervixError(problem, **more)))
