"""Uploads that go straight to disk: resumable, hashed on the way, with the memory of one block.

A browser sends each file of an upload in order (``PUT`` with an offset); a dropped connection goes on where the disk
says it ended. A finished upload becomes one folder a slide, ``uploads/<slide hash>/``, whose files have names of ours:
what a person called them can name a patient, and is not kept.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from cervix.errors import UploadRefused
from cervix.files import replacing, sha256_of
from cervix.intake.archive import extract_archive
from cervix.intake.photographs import erase_photographs
from cervix.slides.identity import DICOM, MIRAX, PICTURE_SUFFIXES, SLIDE_SUFFIXES, joint_hash
from cervix.sources.photographs.dicom import shows_tissue

if TYPE_CHECKING:
    from hashlib import _Hash

logger = logging.getLogger(__name__)

ARCHIVE = ".zip"
PARTS_FOLDER = ".parts"
KEEP_MARK = "keep"
WRITE_BLOCK_BYTES = 4 << 20
HASH_AGAIN_BLOCK_BYTES = 1 << 20
# What must stay free on the disk beside an upload: results and thumbnails of other slides.
DISK_RESERVE_BYTES = 256 << 20
UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
FILES_AT_MOST = 20_000
# MIRAX keeps its data under the slide's own name; these have none of a person's.
SLIDE_STEM = "slide"


@dataclass(frozen=True)
class ReceivedFile:
    """One file of an upload as it lies on disk: where it stood for the sender, and its hash."""

    path: Path
    sent_as: PurePosixPath
    sha256: str

    @property
    def suffix(self) -> str:
        return self.sent_as.suffix.lower()


@dataclass
class _Part:
    """A file on its way in."""

    path: Path
    digest: "_Hash" = field(default_factory=hashlib.sha256)
    hashed: int = 0
    busy: bool = False


class UploadStore:
    """Uploads under one folder.

    Parameters
    ----------
    folder : Path
        Where finished slides lie; unfinished parts are below it.
    limit_bytes : int
        The largest upload, over all its files, and the most an archive may unpack to.
    keep_photographs : bool
        Leave photographs of label and glass where they are: no slide is then changed, and none refused because of them.
    """

    def __init__(self, folder: Path, limit_bytes: int, *, keep_photographs: bool = False) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.keep_photographs = keep_photographs
        self._parts: dict[tuple[str, int], _Part] = {}
        self._lock = Lock()

    def offset(self, upload: str, number: int) -> int:
        """How many bytes of a file are here."""
        path = self._part_path(upload, number)
        return path.stat().st_size if path.is_file() else 0

    async def receive(
        self, upload: str, number: int, sent_as: str, offset: int, length: int, blocks: AsyncIterator[bytes]
    ) -> int:
        """Append a stream to a file of an upload; returns how many bytes of it are here now.

        Parameters
        ----------
        upload : str
            32 hex digits the sender made up; unguessable, so nobody else can add to it.
        number : int
            Which file of the upload.
        sent_as : str
            Relative path as the sender knows it.
        offset, length : int
            Where the stream begins, and how long the file will be.

        Raises
        ------
        UploadRefused
            A wrong offset, a file of another kind, one too large, or no room on the disk.
        """
        self._check(upload, number, sent_as, length)
        with self._lock:
            part = self._parts.setdefault((upload, number), _Part(self._part_path(upload, number)))
            if part.busy:
                raise UploadRefused("The earlier connection of this upload is still open", action="Try again in a moment.")
            part.busy = True
        try:
            return await self._append(part, offset, length, blocks, sent_as)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise UploadRefused("The server's disk is full", action="Ask for space to be freed, then go on.") from error
        finally:
            part.busy = False

    async def _append(self, part: _Part, offset: int, length: int, blocks: AsyncIterator[bytes], sent_as: str) -> int:
        def prepare() -> int:
            part.path.parent.mkdir(parents=True, exist_ok=True)
            part.path.with_suffix(".json").write_text(json.dumps({"sent_as": sent_as, "length": length}), encoding="utf-8")
            part.path.touch()
            return part.path.stat().st_size

        here = await run_in_threadpool(prepare)
        if offset != here:
            raise UploadRefused("The upload goes on elsewhere", expected=f"offset {here}", found=str(offset))
        await run_in_threadpool(_catch_up, part, here)
        gathered = bytearray()
        with part.path.open("ab", buffering=0) as stream:

            def write(block: bytes) -> None:
                view = memoryview(block)
                while view:
                    view = view[stream.write(view) or 0 :]
                part.digest.update(block)
                part.hashed += len(block)

            try:
                async for block in blocks:
                    gathered += block
                    here += len(block)
                    if here > length:
                        raise UploadRefused("More was sent than announced", expected=f"{length:,} bytes")
                    if len(gathered) >= WRITE_BLOCK_BYTES:
                        full, gathered = bytes(gathered), bytearray()
                        await run_in_threadpool(write, full)
            finally:
                # What arrived before a connection dropped is kept, so that it need not be sent again.
                if gathered and here <= length:
                    write(bytes(gathered))
        return here

    def _check(self, upload: str, number: int, sent_as: str, length: int) -> None:
        suffix = PurePosixPath(sent_as).suffix.lower()
        if not UPLOAD_ID.fullmatch(upload) or not 0 <= number < FILES_AT_MOST:
            raise UploadRefused("This is not an upload of this page", action="Reload the page.")
        single = number == 0 and "/" not in sent_as
        if single and suffix not in (*SLIDE_SUFFIXES, *PICTURE_SUFFIXES, ARCHIVE):
            raise UploadRefused(
                "This kind of file is not a slide",
                expected=", ".join(name.removeprefix(".") for name in (*SLIDE_SUFFIXES, ARCHIVE)),
                found=suffix.removeprefix(".")[:12] or "no suffix",
            )
        others = sum(path.stat().st_size for path in self._parts_folder(upload).glob("*.part")) - self.offset(upload, number)
        if others + length > self.limit_bytes:
            raise UploadRefused(
                "The upload is too large",
                expected=f"at most {self.limit_bytes / 1e9:.1f} GB",
                found=f"{(others + length) / 1e9:.1f} GB",
                action="The limit is CERVIX_UPLOAD_LIMIT_GB; or put the slide into an inbox folder.",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free - DISK_RESERVE_BYTES
        missing = length - self.offset(upload, number)
        if missing > free:
            raise UploadRefused(
                "The server's disk has no room for this slide",
                expected=f"{missing / 1e9:.1f} GB free",
                found=f"{max(free, 0) / 1e9:.1f} GB",
                action="Ask for space to be freed, then go on.",
            )

    def discard(self, upload: str) -> None:
        """Forget an upload and what has arrived of it."""
        if not UPLOAD_ID.fullmatch(upload):
            return
        with self._lock:
            for key in [key for key in self._parts if key[0] == upload]:
                del self._parts[key]
        shutil.rmtree(self._parts_folder(upload), ignore_errors=True)

    def finish(self, upload: str) -> list[Path]:
        """Turn a complete upload into slides; returns the file that opens each of them.

        Raises ``UploadRefused`` where a file is not complete, no slide is among them, or a photograph of a label may be left in
        one; the parts are then gone.
        """
        folder = self._parts_folder(upload)
        if not UPLOAD_ID.fullmatch(upload) or not folder.is_dir():
            raise UploadRefused("There is no such upload", action="Choose the file again.")
        staging = folder / "slides"
        try:
            received = [self._received(upload, path) for path in sorted(folder.glob("*.part"))]
            received = [
                inner
                for file in received
                for inner in (self._unpacked(file, folder / "unpacked") if file.suffix == ARCHIVE else [file])
            ]
            return [self._settle(files, staging) for files in _slides_among(received)]
        finally:
            self.discard(upload)

    def _received(self, upload: str, path: Path) -> ReceivedFile:
        told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        part = self._parts.get((upload, int(path.stem))) or _Part(path)
        _catch_up(part, path.stat().st_size)
        if part.hashed != told["length"]:
            raise UploadRefused(
                "The upload is not complete",
                expected=f"{told['length']:,} bytes",
                found=f"{part.hashed:,}",
                action="Send it again.",
            )
        return ReceivedFile(path, PurePosixPath(told["sent_as"]), part.digest.hexdigest())

    def _unpacked(self, archive: ReceivedFile, folder: Path) -> list[ReceivedFile]:
        files = extract_archive(archive.path, folder, self.limit_bytes)
        archive.path.unlink()
        return [ReceivedFile(path, sent_as, sha256_of(path)) for path, sent_as in files]

    def _settle(self, files: dict[str, ReceivedFile], staging: Path) -> Path:
        """Move the files of one slide to their place; a slide that is there already is left as it is."""
        sha256 = joint_hash([file.sha256 for file in files.values()])
        home, opens = self.folder / sha256, next(iter(files))
        shutil.rmtree(staging, ignore_errors=True)
        for name, file in files.items():
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.path.replace(target)
        if not self.keep_photographs:
            # One that came while photographs were kept may lie there with its own.
            erase_photographs((home if (home / opens).is_file() else staging) / opens)
        try:
            staging.rename(home)
        except OSError:
            if not (home / opens).is_file():
                raise
        home.touch()
        return home / opens

    def sha256_at(self, path: Path) -> str | None:
        """The hash of a slide that lies in this store; None for any other path."""
        return path.parent.name if path.parent.parent == self.folder else None

    def keep(self, sha256: str, kept: bool) -> None:
        """Keep a slide until it is deleted by hand, or let it go with the others."""
        mark = self.folder / sha256 / KEEP_MARK
        if kept:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)

    def is_kept(self, sha256: str) -> bool:
        return (self.folder / sha256 / KEEP_MARK).is_file()

    def delete(self, sha256: str) -> None:
        """Delete an uploaded slide now."""
        shutil.rmtree(self.folder / sha256, ignore_errors=True)

    def sweep(self, older_than_s: float, in_use: set[str]) -> int:
        """Delete slides and unfinished uploads that nobody touched for so long; returns how many.

        Slides that are marked ``keep`` or whose hash is ``in_use`` stay.
        """
        if not self.folder.is_dir():
            return 0
        limit = time.time() - older_than_s
        slides = [path for path in self.folder.iterdir() if path.is_dir() and path.name != PARTS_FOLDER]
        old = [
            path
            for path in slides
            if path.stat().st_mtime < limit and path.name not in in_use and not (path / KEEP_MARK).is_file()
        ]
        parts = self.folder / PARTS_FOLDER
        old += [path for path in (parts.iterdir() if parts.is_dir() else ()) if _newest(path) < limit]
        for path in old:
            shutil.rmtree(path, ignore_errors=True)
        if old:
            logger.info("%d uploads were deleted after %.0f h", len(old), older_than_s / 3600)
        return len(old)

    def store_picture(self, name: str, content: memoryview) -> Path:
        """Keep a small image that came whole, as from ``st.file_uploader``; ``UploadRefused`` as in ``finish``."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.folder / sha256 / f"{SLIDE_STEM}{PurePosixPath(name).suffix.lower()}"
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
                if not self.keep_photographs:
                    erase_photographs(temporary)
        return path

    def _parts_folder(self, upload: str) -> Path:
        return self.folder / PARTS_FOLDER / upload

    def _part_path(self, upload: str, number: int) -> Path:
        return self._parts_folder(upload) / f"{number:05d}.part"


def _newest(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime)


def _catch_up(part: _Part, size: int) -> None:
    """Hash what is on disk and was not hashed on its way, as after a restart of the server."""
    if part.hashed == size:
        return
    part.digest, part.hashed = hashlib.sha256(), 0
    with part.path.open("rb") as stream:
        while block := stream.read(HASH_AGAIN_BLOCK_BYTES):
            part.digest.update(block)
            part.hashed += len(block)


def _slides_among(received: list[ReceivedFile]) -> list[dict[str, ReceivedFile]]:
    """The slides in a set of files: for each its files by the name they get, the one that opens it first."""
    slides: list[dict[str, ReceivedFile]] = []
    series: dict[PurePosixPath, list[ReceivedFile]] = {}
    for file in sorted(received, key=lambda file: file.sent_as.as_posix()):
        if file.suffix == MIRAX:
            data = file.sent_as.with_suffix("")
            inside = [other for other in received if data in other.sent_as.parents]
            if not inside:
                raise UploadRefused(
                    "A MIRAX slide came without its data",
                    expected="the .mrxs file and the folder of the same name",
                    found="the .mrxs file alone",
                    action="Drop both together, or a zip of both.",
                )
            names = {f"{SLIDE_STEM}/{other.sent_as.relative_to(data).as_posix()}": other for other in inside}
            slides.append({f"{SLIDE_STEM}{MIRAX}": file} | names)
        elif file.suffix == DICOM:
            if shows_tissue(file.path):
                series.setdefault(file.sent_as.parent, []).append(file)
        elif file.suffix in (*SLIDE_SUFFIXES, *PICTURE_SUFFIXES):
            slides.append({f"{SLIDE_STEM}{file.suffix}": file})
    slides += [{f"{index:05d}{DICOM}": file for index, file in enumerate(files)} for files in series.values()]
    if not slides:
        raise UploadRefused(
            "There is no slide in this upload",
            expected=", ".join(suffix.removeprefix(".") for suffix in SLIDE_SUFFIXES),
            found=f"{len(received)} other files",
        )
    return slides
