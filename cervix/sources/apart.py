"""Run one function in a process of its own, which may run out of memory, hang or crash without harm to anybody.

Decoders of slides and graphs are native code fed by strangers. Whatever they do to a process, they do to one that
holds nothing and is thrown away. What goes in and comes out is JSON; no code and no pickle crosses.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cervix.errors
from cervix.errors import CervixError, LostApart

# Not from the settings: the child would wait for pydantic before it begins.
PROJECT_ROOT: Final = Path(cervix.errors.__file__).resolve().parents[1]
# Exit status that the child sends when Python itself ran out of memory.
OUT_OF_MEMORY: Final = 77
# One thread of linear algebra: each more reserves memory before it computes anything.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Limits:
    """What a process apart may take.

    Attributes
    ----------
    memory_bytes : int
        Of address space, where the system can limit it (Linux, macOS in part).
    seconds : float
        By the clock, starting it included.
    file_bytes : int
        The largest file that it may write.
    """

    memory_bytes: int = 2 << 30
    seconds: float = 20.0
    file_bytes: int = 64 << 20


def run_apart(function: str, arguments: dict[str, Any], limits: Limits, *, subject: str) -> Any:
    """Call ``function(**arguments)`` in a process of its own and return what it returns.

    Parameters
    ----------
    function : str
        ``package.module:name`` of a function of this library.
    arguments : dict
        JSON values.
    limits : Limits
    subject : str
        What is looked at, for the sentence when the process is lost: ``"slide"``, ``"bundle"``.

    Raises
    ------
    CervixError
        The very error that the function raised, with its class and its words.
    LostApart
        The process ran out of memory or time, or ended without an answer.
    """
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cervix.sources.apart"],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=said,
            cwd=tempfile.gettempdir(),
            env={**os.environ, **QUIET, "PYTHONPATH": str(PROJECT_ROOT)},
            start_new_session=True,
        )
        order = {"function": function, "arguments": arguments, "memory": limits.memory_bytes, "file": limits.file_bytes}
        try:
            child.communicate(json.dumps(order).encode(), timeout=limits.seconds)
        except subprocess.TimeoutExpired as error:
            raise _lost(subject, f"more than {limits.seconds:g} s") from error
        finally:
            _end(child)
        if child.returncode != 0:
            said.seek(0)
            raise _lost(subject, _how_it_ended(child.returncode, said.read().decode(errors="replace")))
        answer.seek(0)
        told = json.loads(answer.read())
    if "error" in told:
        raise _error_of(told["error"])
    return told["result"]


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the child with all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()


def _lost(subject: str, found: str) -> LostApart:
    return LostApart(
        f"The {subject} could not be examined safely",
        expected="an answer within the limits of memory and time",
        found=found,
        action="The file is damaged or malicious; nothing else was affected.",
    )


def _how_it_ended(status: int, said: str) -> str:
    if status == OUT_OF_MEMORY or "MemoryError" in said or "bad_alloc" in said:
        return "more memory than it may take"
    if status < 0:
        return f"that it ended the program that read it ({signal.Signals(-status).name})"
    return "no answer"


def _error_of(told: dict[str, str]) -> CervixError:
    kind = getattr(cervix.errors, told["class"], CervixError)
    error = kind(told["problem"], expected=told["expected"], found=told["found"], action=told["action"])
    assert isinstance(error, CervixError)
    return error


def _limit(memory_bytes: int, file_bytes: int) -> None:
    """Limit this process where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the clock alone
        return
    for name, most in (("RLIMIT_AS", memory_bytes), ("RLIMIT_FSIZE", file_bytes), ("RLIMIT_CORE", 0)):
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _main() -> int:
    """The child: one order from standard input, one answer to standard output."""
    # Whatever libraries print goes where errors go; the answer has standard output for itself.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order = json.load(sys.stdin)
    _limit(order["memory"], order["file"])
    module, name = order["function"].split(":")
    told: dict[str, Any]
    try:
        told = {"result": getattr(importlib.import_module(module), name)(**order["arguments"])}
    except CervixError as error:
        told = {
            "error": {
                "class": type(error).__name__,
                "problem": error.problem,
                "expected": error.expected,
                "found": error.found,
                "action": error.action,
            }
        }
    except MemoryError:
        return OUT_OF_MEMORY
    json.dump(told, answer)
    answer.flush()
    return 0


if __name__ == "__main__":
    # Not sys.exit: threads of native code may hang at the end of a process that ran out of memory.
    os._exit(_main())
