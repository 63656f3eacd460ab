"""Programs watched from outside while they run: which addresses they ask, which files they leave in an empty home.

strace sees every system call, of native code and of all child processes too, so nothing that a library compiles in
escapes it. It cannot see what would be sent later than the program ran.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cervix.settings import PROJECT_ROOT

STRACE = shutil.which("strace")
DNS_PORT = "53"
# What would make a library quieter, or put its files elsewhere, than it is for somebody who just starts the app.
# ONNX Runtime's telemetry is off wherever CI is set.
NOT_INHERITED = re.compile(r"CI|DO_NOT_TRACK|PYTEST_.*|(CERVIX|HF|ORT|STREAMLIT|XDG)_.*")
_INTERNET = re.compile(
    r"sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\(\"|inet_pton\(AF_INET6, \")(?P<address>[0-9a-fA-F.:]+)\""
)
# systemd answers for the resolver over a socket of its own.
_RESOLVER = re.compile(r"sun_path=\"(?P<address>[^\"]*resolve[^\"]*)\"")

needs_strace = pytest.mark.skipif(STRACE is None and "CI" not in os.environ, reason="no strace is installed")


@dataclass(frozen=True)
class Watched:
    """A program under watch.

    Attributes
    ----------
    process : subprocess.Popen
    home : Path
        Its home folder, empty when it started.
    calls : Path
        What strace wrote down.
    """

    process: "subprocess.Popen[str]"
    home: Path
    calls: Path

    def asked(self) -> set[str]:
        """Every address outside this machine that was spoken to, and every name server, as ``address:port``."""
        found = set()
        for line in self.calls.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := _INTERNET.search(line):
                address, port = match["address"], match["port"]
                if port == DNS_PORT or not (address.startswith(("127.", "0.0.0.0")) or address in ("::1", "::")):
                    found.add(f"{address}:{port}")
            elif match := _RESOLVER.search(line):
                found.add(match["address"])
        return found

    def left(self) -> set[str]:
        """Files in its home, relative to it."""
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*") if not path.is_dir()}


@contextmanager
def watching(command: list[str], folder: Path, **environment: str) -> Iterator[Watched]:
    """Start a command in an empty home, in ``folder`` and not in the project's; end it and all its children at the end."""
    assert STRACE, "strace is not installed"
    home, calls = folder / "home", folder / "calls"
    home.mkdir(parents=True)
    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if not NOT_INHERITED.fullmatch(name)}
    process = subprocess.Popen(
        [STRACE, "--follow-forks", "--seccomp-bpf", "-qq", "--signal=none", "--trace=connect,sendto,sendmsg,sendmmsg",
         f"--output={calls}", *command],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**kept, "HOME": str(home), "PYTHONPATH": str(PROJECT_ROOT), "CERVIX_DEVICE": "cpu", **environment},
    )  # fmt: skip
    try:
        yield Watched(process, home, calls)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)


def watched(command: list[str], folder: Path, **environment: str) -> Watched:
    """Run a command to its end under watch; it must succeed."""
    with watching(command, folder, **environment) as seen:
        said, _ = seen.process.communicate(timeout=200)
        assert seen.process.returncode == 0, said
    return seen
