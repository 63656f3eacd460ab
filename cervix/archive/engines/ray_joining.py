"""How this process becomes part of a Ray cluster, or starts one of its own on this machine."""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cervix.errors import ArchiveRunRefused

AUTO: Final = "auto"
QUIET: Final = {
    # Usage statistics go to Ray's makers unless told not to (docs.ray.io, "Usage stats collection").
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else it announces, in every process, what it will do about accelerators in a later version.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
CURRENT_CLUSTER: Final = Path("ray", "ray_current_cluster")
"""Where Ray keeps the address of the cluster that was last started on a machine, under its folder of temporary files."""
ANSWERS_WITHIN_S: Final = 5.0
"""A head that cannot be reached is said at once; Ray itself tries for two minutes."""
OBJECT_STORE_BYTES: Final = 200_000_000
"""For a cluster of this machine alone: slides lie on disk, and only their places and answers go through Ray."""

logger = logging.getLogger(__name__)


def join(address: str) -> tuple[Any, Callable[[], None]]:
    """Join the cluster at ``address``; with ``auto`` one that runs on this machine, or else one that starts here.

    The token of a cluster that asks for one (``RAY_AUTH_MODE=token``) is taken from the environment, as Ray does it.

    Returns
    -------
    ray : module
    leave : callable
        Leaves the cluster again, and ends it where it was started here. Does nothing where this process had joined before.

    Raises
    ------
    ArchiveRunRefused
        Where Ray is not installed, nobody answers at the address, or the cluster does not take us.
    """
    running = address if address != AUTO else _running_here()
    if running:
        _require_answer(running)
    first = "ray" not in sys.modules
    os.environ.update(QUIET)
    if not running and first:
        # Both are read when Ray is imported. The first keeps Ray on loopback, where it otherwise listens on all interfaces; the
        # token keeps out other users of this machine.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray  # the app's environment has none
    except ImportError as error:
        raise ArchiveRunRefused(
            "Ray is not installed", expected="the package ray", action="Run: pip install -r requirements-archive.txt"
        ) from error
    if ray.is_initialized():
        return ray, lambda: None
    # It prints on the standard output of a driver, log_to_driver or not, when a node is lost; the engine says that itself.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    quiet: dict[str, object] = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    if not running:
        return ray, _start(ray, quiet)
    try:
        with _stderr_aside():
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ArchiveRunRefused(
            "The Ray cluster does not take this machine",
            expected="a cluster of this version of Ray and Python, its token, and a Ray node on this machine",
            found=type(error).__name__,
            action="Start Ray here as a node of the cluster, and set RAY_AUTH_MODE and RAY_AUTH_TOKEN as the cluster has them.",
        ) from error
    return ray, ray.shutdown


def _start(ray: Any, quiet: dict[str, object]) -> Callable[[], None]:
    """Start Ray for this process; what it wrote goes with it."""
    folder = tempfile.mkdtemp(prefix="cervix-ray-")
    logger.info("No Ray cluster runs here: Ray starts on this machine, on loopback, without usage statistics or dashboard")
    ray.init(
        address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, _temp_dir=folder,
        **quiet,
    )  # fmt: skip

    def leave() -> None:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

    return leave


@contextmanager
def _stderr_aside() -> Iterator[None]:
    """Ray's C++ half writes each of its tries to join to the terminal; what came of them is raised."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def _running_here() -> str:
    """The address of a cluster that runs on this machine; empty where none does."""
    told = os.environ.get("RAY_ADDRESS", "")
    if told:
        return told
    note = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / CURRENT_CLUSTER
    try:
        address = note.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return address if _answers(address) else ""  # the note of a cluster that was killed stays behind


def _require_answer(address: str) -> None:
    if not _answers(address):
        raise ArchiveRunRefused(
            "Nobody answers at the address of the Ray cluster",
            expected="host:port of its head node",
            action="Look whether the cluster runs and this machine may reach it, or leave the address out.",
        )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN_S):
            return True
    except (OSError, ValueError, OverflowError):
        return False
