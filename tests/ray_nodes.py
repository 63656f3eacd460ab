"""A real Ray cluster of several nodes on this computer, each with its own address on loopback; gone after the tests."""

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cervix.archive.engines.ray_joining import QUIET
from cervix.settings import PROJECT_ROOT

STARTS_WITHIN_S = 90.0
STARTED = b"Ray runtime started"
SEES_A_LOSS_SOON = {"health_check_period_ms": 500, "health_check_failure_threshold": 2, "health_check_initial_delay_ms": 500}
"""Ray's own settings leave a node that is gone some fifteen seconds."""


@dataclass(frozen=True)
class Node:
    """One node: the process that started it, and where it is."""

    process: subprocess.Popen[bytes]
    address: str

    def everything(self) -> list[psutil.Process]:
        """Its processes: head or raylet, their helpers, the workers."""
        try:
            started = psutil.Process(self.process.pid)
            return [started, *started.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End it as a power cut would."""
        for process in self.everything():
            if process.is_running():
                process.kill()
        self.process.wait()


class RayNodes:
    """A cluster to which nodes come and from which they go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[Node] = []
        # Addresses and port are of this cluster alone: others may run beside it.
        self._network = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
        with socket.socket() as free:
            free.bind((f"{self._network}.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **os.environ,
            **QUIET,
            # Ray has its workers give way to everything else (15): what runs beside them would be measured, too.
            "RAY_worker_niceness": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PYTHONPATH": str(PROJECT_ROOT),
        }

    @property
    def address(self) -> str:
        """Of the head node, which is the first."""
        return f"{self._network}.1:{self.port}"

    def add(self, cores: int = 1, *, core: int | None = None) -> Node:
        """Start one more node; the first is the head.

        Parameters
        ----------
        core : int, optional
            The core of this computer that it is held to.
        """
        number = len(self.nodes) + 1
        first = number == 1
        where = [f"--address={self.address}"]
        if first:
            settings = f"--system-config={json.dumps(SEES_A_LOSS_SOON)}"
            where = ["--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.folder}", settings]
        log = self.folder / f"node-{number}.txt"
        held = [] if core is None else ["taskset", "--cpu-list", str(core)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    *held, sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *where,
                    f"--num-cpus={cores}", "--num-gpus=0", f"--node-ip-address={self._network}.{number}",
                    "--min-worker-port=0", "--max-worker-port=0",
                    "--object-store-memory=80000000", "--disable-usage-stats",
                ],
                stdout=stream, stderr=stream, env=self.environment, cwd=self.folder,
            )  # fmt: skip
        node = Node(process, f"{self._network}.{number}")
        self.nodes.append(node)
        until = time.monotonic() + STARTS_WITHIN_S
        while STARTED not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"a Ray node did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        return node


@contextmanager
def running(folder: Path | None = None) -> Iterator[RayNodes]:
    """A cluster without nodes yet; what it has when the block ends is ended, by process id."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install -r requirements-archive.txt")
    # Ray's sockets lie below it, and the name of a socket may have no more than 107 characters.
    folder = folder or Path(tempfile.mkdtemp(prefix="ray-"))
    cluster = RayNodes(folder)
    try:
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)
