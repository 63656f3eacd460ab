"""A real archive: Orthanc with its DICOMweb plug-in, started for the tests and gone after them."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

PROGRAM = "Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "workbench", "Sesam-öffne-dich"
STARTS_WITHIN_S = 30.0


@dataclass(frozen=True)
class Orthanc:
    """An archive on this computer that everybody on it may ask, or only ``USER`` with ``PASSWORD``."""

    address: str

    @property
    def dicomweb(self) -> str:
        return f"{self.address}/dicom-web"

    def put(self, *paths: Path) -> None:
        """Store files by the program's own interface, past DICOMweb."""
        for path in paths:
            requests.post(f"{self.address}/instances", data=path.read_bytes(), timeout=30).raise_for_status()

    def clear(self) -> None:
        for patient in requests.get(f"{self.address}/patients", timeout=30).json():
            requests.delete(f"{self.address}/patients/{patient}", timeout=30).raise_for_status()


@contextmanager
def running(folder: Path, *, password: bool = False) -> Iterator[Orthanc]:
    """Run an archive that starts empty; a test that needs one is skipped where it is not installed."""
    program = shutil.which(PROGRAM)
    if program is None or not PLUGIN.is_file():
        pytest.skip("Orthanc is not installed with its DICOMweb plug-in (Debian: orthanc, orthanc-dicomweb)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "files"),
        "HttpPort": port,
        # It listens on every interface and refuses whoever is not on this computer.
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": password,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
    try:
        archive = Orthanc(f"http://127.0.0.1:{port}")
        _wait_for(process, archive, folder / "log.txt")
        yield archive
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(process: "subprocess.Popen[bytes]", archive: Orthanc, log: Path) -> None:
    """Until it answers, be it with a refusal."""
    until_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until_s:
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        try:
            requests.get(f"{archive.dicomweb}/studies?limit=1", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"Orthanc did not answer within {STARTS_WITHIN_S:g} s")
