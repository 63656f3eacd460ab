"""Slides as DICOM series, from the NCI Imaging Data Commons.

Series lie in public buckets, one folder a series. Interface: ListObjectsV2 and GetObject of
https://docs.aws.amazon.com/AmazonS3/latest/API/.
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from cervix.sources.downloads import Downloader, RemoteFile, size_of, undocumented
from cervix.sources.identity import slides_in

IDC_SERVICE = "The Imaging Data Commons"
IDC_ADDRESS = "https://{bucket}.s3.amazonaws.com"
MD5 = re.compile(r'"([0-9a-f]{32})"')
INSTANCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Series:
    """Where a series lies: its folder, the bucket, and how many files it has."""

    id: str
    bucket: str
    instances: int


def fetch_series(service: Downloader, series: Series, folder: Path, address: str = IDC_ADDRESS, which: str = "") -> None:
    """Fetch all files of a series into a folder, which is whole or not there. Files that are whole are not fetched again.

    On its way it is ``<name>.coming`` beside the folder.

    Parameters
    ----------
    address : str
        Of the buckets; ``{bucket}`` stands for the name of one.
    which : str
        What lines of the log call it; its id where that is empty.

    Raises
    ------
    DownloadFailed
        As ``Downloader.fetch``; if the bucket lists something else than was expected, or the files are no slide.
    Cancelled
        If the downloader was told to stop.
    """
    files, coming = _files_of(service, series, address), _coming(folder)
    for number, file in enumerate(files, start=1):
        if size_of(coming / file.name) != file.size_bytes:
            service.fetch(file, coming / file.name, f"{which or series.id}, file {number} of {len(files)}")
    if not slides_in(coming):
        raise undocumented(IDC_SERVICE, "a whole-slide image in DICOM", f"other files in series {series.id}")
    coming.replace(folder)


def arrived_bytes(folder: Path) -> int:
    """Bytes of a series that is on its way to a folder, of whole files and of others."""
    return sum(map(size_of, _coming(folder).glob("*")))


def _files_of(service: Downloader, series: Series, address: str) -> list[RemoteFile]:
    """What the bucket lists of a series."""
    bucket = address.format(bucket=series.bucket).rstrip("/")
    reply = service.read(f"{bucket}/?list-type=2&prefix={series.id}/", f"the list of series {series.id}")
    files = []
    try:
        for entry in ET.fromstring(reply).iterfind("{*}Contents"):
            key, size, tag = (entry.findtext(f"{{*}}{name}", "") for name in ("Key", "Size", "ETag"))
            name = key.removeprefix(f"{series.id}/")
            if not INSTANCE_NAME.fullmatch(name):
                raise ValueError(f"a file called {key[:80]!r}")
            # The tag of an object that was uploaded in parts is not the MD5 of its bytes, and has another form.
            digest = MD5.fullmatch(tag)
            files.append(RemoteFile(f"{bucket}/{key}", name, int(size), f"md5:{digest[1]}" if digest else ""))
    except (ET.ParseError, ValueError) as error:
        raise undocumented(IDC_SERVICE, "a list of the files of a series, as XML", str(error)) from error
    if len(files) != series.instances:
        raise undocumented(IDC_SERVICE, f"{series.instances} files in series {series.id}", str(len(files)))
    return files


def _coming(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.coming")
