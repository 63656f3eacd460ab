"""A local archive that speaks the parts of DICOMweb that we use, with faults to order."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom

from tests.file_server import Answer, Archive, Handler

BOUNDARY = "a-boundary-of-ours"
BASE = "/dicom-web"
LIST, STUDIES = f"{BASE}/series", f"{BASE}/studies"


@dataclass
class Dicomweb(Archive):
    """One slide, how it is answered, and what was asked.

    Attributes
    ----------
    files : SOP Instance UID -> its bytes
    levels : what the list of its files says of each, in the DICOM JSON model
    told : the header ``Authorization`` of every request
    asked : path and query of every request
    sent : every body that was to be stored
    """

    files: dict[str, bytes] = field(default_factory=dict)
    levels: list[dict[str, Any]] = field(default_factory=list)
    study: str = ""
    series: str = ""
    told: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    @property
    def instances(self) -> str:
        """The path of the list of files."""
        return f"{STUDIES}/{self.study}/series/{self.series}/instances"

    def path_of(self, number: int) -> str:
        """The path of a file; 0 is the largest."""
        return f"{self.instances}/{list(self.files)[number]}"

    def fetched(self) -> list[int]:
        """Which files were asked for, in order."""
        names = [path.removeprefix(f"{self.instances}/") for path, _ in self.asked]
        return [list(self.files).index(name) for name in names if name in self.files]


def holding(folder: Path) -> Dicomweb:
    """An archive that holds the series of a folder."""
    archive = Dicomweb()
    for path in sorted(folder.iterdir(), key=lambda path: -path.stat().st_size):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        archive.study, archive.series = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
        archive.files[str(header.SOPInstanceUID)] = path.read_bytes()
        archive.levels.append(
            said(
                "00080008", *header.ImageType, **{"00080018": header.SOPInstanceUID},
                **{"00480006": header.TotalPixelMatrixColumns, "00480007": header.TotalPixelMatrixRows},
            )
        )  # fmt: skip
    return archive


def said(tag: str, *values: Any, **others: Any) -> dict[str, Any]:
    """One entry of a list in the DICOM JSON model."""
    return {tag: {"vr": "UN", "Value": list(values)}} | {
        name: {"vr": "UN", "Value": [value if isinstance(value, int) else str(value)]} for name, value in others.items()
    }


def multipart(*files: bytes, boundary: str = BOUNDARY, headers: str = "Content-Type: application/dicom") -> bytes:
    parts = b"".join(f"--{boundary}\r\n{headers}\r\n\r\n".encode() + file + b"\r\n" for file in files)
    return parts + f"--{boundary}--\r\n".encode()


class DicomwebHandler(Handler):
    archive: Dicomweb

    def got(self) -> None:
        self._say(_regular)

    def posted(self, body: bytes) -> None:
        self.archive.sent.append(body)
        self._say(lambda handler: handler.send(200, b"{}", kind="application/dicom+json"))

    def _say(self, usual: Answer) -> None:
        address = urlsplit(self.path)
        self.archive.told.append(self.headers.get("Authorization", ""))
        self.archive.asked.append((address.path, parse_qs(address.query)))
        plan = self.archive.plans[address.path]
        (plan.popleft() if plan else usual)(self)

    @property
    def slide(self) -> bytes:
        return multipart(self.archive.files[urlsplit(self.path).path.rsplit("/", 1)[1]])

    def begin(self) -> bytes:
        body = self.slide
        self.head(200, len(body), Content_Type=f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"')
        return body


def _regular(handler: Handler) -> None:
    assert isinstance(handler, DicomwebHandler)
    archive, path = handler.archive, urlsplit(handler.path).path
    if path == LIST:
        uids = {"0020000D": archive.study, "0020000E": archive.series, "00201209": len(archive.files)}
        _list(handler, [said("00080060", "SM", **uids)])
    elif path == STUDIES:
        _list(handler, [said("0020000D", archive.study)])
    elif path.endswith("/instances"):
        _list(handler, archive.levels)
    else:
        handler.wfile.write(handler.begin())


def _list(handler: Handler, found: list[dict[str, Any]]) -> None:
    handler.send(200, json.dumps(found).encode(), kind="application/dicom+json")
