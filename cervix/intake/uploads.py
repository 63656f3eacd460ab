"""Uploads that go straight to disk: resumable, hashed on the way, with the memory of one block.

A browser sends each file of an upload in order (``PUT`` with an offset); a dropped connection goes on where the disk
says it ended. A finished upload becomes one folder a slide, ``uploads/<slide hash>/``, whose files have names of ours:
what a person called them can name a patient, and never reaches the disk. Until an upload is finished its names are in
memory; after a restart of the server the browser tells them again when it finishes the upload.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from cervix.errors import NoRoomForUpload, SlideNotReadable, UploadBusy, UploadNotYours, UploadRefused, UploadTooLarge
from cervix.files import replacing, sha256_of
from cervix.intake.archive import DISK_RESERVE_BYTES, extract_archive
from cervix.intake.photographs import erase_photographs
from cervix.outside_names import safe_name
from cervix.sources.dicom import DICOM, dicom_head
from cervix.sources.dicom_elements import HEAD_BYTES, MAGIC
from cervix.sources.identity import joint_hash, slides_among
from cervix.sources.mirax import LIST_NAME, MIRAX, names_of_ours
from cervix.sources.readers.registry import picture_suffixes, slide_suffixes

if TYPE_CHECKING:
    from hashlib import _Hash

logger = logging.getLogger(__name__)

ARCHIVE = ".zip"
PLAIN_SLIDE_SUFFIXES = (".tif", ".tiff")
PARTS_FOLDER = ".parts"
FETCHED_FOLDER, FETCHED_MARK = ".fetched", "fetched-"
OWNER_FILE = "owner"
KEEP_MARK = "keep"
WRITE_BLOCK_BYTES = 4 << 20
HASH_AGAIN_BLOCK_BYTES = 1 << 20
UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
FILES_AT_MOST = 20_000
# MIRAX keeps its data under the slide's own name; these have none of a person's.
SLIDE_STEM = "slide"
# What MIRAX scanners call their files, for a slide whose list cannot be read.
MIRAX_NAMES = re.compile(r"Slidedat\.ini|Index\.dat|Data\d{1,6}\.dat")
# An unfinished upload that nobody touched for so long makes room for another where all places are taken.
MAKES_ROOM_AFTER_S = 3600.0


@dataclass(frozen=True)
class Quotas:
    """How much may be under way at once, by what is announced and not by what has arrived."""

    session_uploads: int = 4
    session_bytes: int = 32 * 10**9
    all_uploads: int = 100
    all_bytes: int = 128 * 10**9
    keep_s: float = 24 * 3600.0
    """For how long an unfinished upload is kept that nobody goes on with."""


@dataclass(frozen=True)
class ReceivedFile:
    """One file of an upload as it lies on disk, and its hash."""

    path: Path
    sha256: str


@dataclass
class _Part:
    """A file on its way in: how long it will be, and how much of it is here."""

    path: Path
    length: int = 0
    here: int = 0
    digest: "_Hash" = field(default_factory=hashlib.sha256)
    hashed: int = 0
    busy: bool = False


@dataclass
class _Upload:
    """An upload on its way in: whose it is, its files by number, and their names, which are nowhere else.

    Its keys are hashes of the secrets that were told when it was begun; the first stands for the session that began it.
    """

    keys: list[str]
    parts: dict[int, _Part] = field(default_factory=dict)
    names: dict[int, PurePosixPath] = field(default_factory=dict)
    announced: int = 0
    here: int = 0
    """Bytes over all its files."""
    finishing: bool = False

    def announce(self, part: _Part, length: int) -> None:
        self.announced += length - part.length
        part.length = length

    def arrive(self, part: _Part, here: int) -> None:
        self.here += here - part.here
        part.here = here

    @property
    def missing(self) -> int:
        return max(0, self.announced - self.here)


class UploadStore:
    """Uploads under one folder. Whoever begins one is its owner: their secret, of which the disk holds a hash.

    Parameters
    ----------
    folder : Path
        Where finished slides lie; unfinished parts are below it.
    limit_bytes : int
        The largest upload, over all its files, and the most an archive may unpack to.
    quotas : Quotas
        How much may be under way at once.
    keep_photographs : bool
        Leave photographs of label and glass, and names in DICOM headers, where they are: no slide is then changed, and none
        refused because of them.
    """

    def __init__(self, folder: Path, limit_bytes: int, quotas: Quotas | None = None, *, keep_photographs: bool = False) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.quotas = quotas or Quotas()
        self.keep_photographs = keep_photographs
        self._lock = Lock()
        self._uploads: dict[str, _Upload] = {}
        self.sweep_unfinished(self.quotas.keep_s)
        self._uploads = {path.name: _found(path) for path in self._parts_folders()}

    def offset(self, upload: str, number: int, *, owners: Sequence[str] = ("",)) -> int:
        """How many bytes of a file are here; ``UploadNotYours`` for an upload that none of ``owners`` began."""
        self._mine(upload, owners)
        path = self._part_path(upload, number)
        return path.stat().st_size if _is_upload(upload, number) and path.is_file() else 0

    async def receive(
        self,
        upload: str,
        number: int,
        sent_as: str,
        offset: int,
        length: int,
        blocks: AsyncIterator[bytes],
        *,
        owners: Sequence[str] = ("",),
    ) -> int:
        """Append a stream to a file of an upload; returns how many bytes of it are here now.

        Parameters
        ----------
        upload : str
            32 hex digits the sender made up.
        number : int
            Which file of the upload.
        sent_as : str
            Relative path as the sender knows it. It stays in memory.
        offset, length : int
            Where the stream begins, and how long the file will be.
        owners : sequence of str
            Secrets of the sender, that of their session first. Whoever knows one of those that an upload was begun with may
            go on with it.

        Raises
        ------
        UploadRefused
            A wrong offset, a file of another kind, one too large, somebody else's, or no room for it.
        NameRefused
            A name that is no plain relative one.
        """
        name = safe_name(sent_as)
        if not _is_upload(upload, number):
            raise UploadRefused("This is not an upload of this page", action="Reload the page.")
        self._mine(upload, owners)
        if number == 0 and len(name.parts) == 1 and not _may_be_a_slide(name):
            blocks = await _dicom_only(blocks, name, offset)
        known, part = await run_in_threadpool(self._admit, upload, number, name, length, owners)
        try:
            return await self._append(known, part, offset, blocks)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise NoRoomForUpload("The server's disk is full", action="Ask for space to be freed, then try again.") from error
        finally:
            part.busy = False

    def _admit(
        self, upload: str, number: int, name: PurePosixPath, length: int, owners: Sequence[str]
    ) -> tuple[_Upload, _Part]:
        """Take a file in, or go on with it, where limits and disk allow; the part is then this caller's."""
        if upload not in self._uploads:
            self.sweep_unfinished(self.quotas.keep_s)
        if self._is_full(upload, length):
            self.sweep_unfinished(MAKES_ROOM_AFTER_S)
        with self._lock:
            known = self._uploads.get(upload) or _Upload([_secret_hash(secret) for secret in owners])
            part = known.parts.get(number) or _Part(self._part_path(upload, number))
            if part.busy or known.finishing:
                raise UploadBusy("The earlier connection of this upload is still open", action="Try again in a moment.")
            self._check_limits(upload, known, part, length)
            part.path.parent.mkdir(parents=True, exist_ok=True)
            owner = part.path.parent / OWNER_FILE
            if not owner.is_file():
                owner.write_text("\n".join(known.keys), encoding="ascii")
            part.path.with_suffix(".json").write_text(json.dumps({"length": length}), encoding="ascii")
            part.path.touch()
            part.busy = True
            known.announce(part, length)
            known.arrive(part, _size(part.path))
            known.parts[number], known.names[number] = part, name
            self._uploads[upload] = known
        return known, part

    def _is_full(self, upload: str, length: int) -> bool:
        with self._lock:
            others = [other for name, other in self._uploads.items() if name != upload]
            announced = sum(other.announced for other in others) + length
            return len(others) >= self.quotas.all_uploads or announced > self.quotas.all_bytes

    def _check_limits(self, upload: str, known: _Upload, part: _Part, length: int) -> None:
        quotas, others = self.quotas, [other for name, other in self._uploads.items() if name != upload]
        whole = known.announced - part.length + length
        if whole > self.limit_bytes:
            raise UploadTooLarge(
                "The upload is too large",
                expected=f"at most {self.limit_bytes / 1e9:.1f} GB",
                found=f"{whole / 1e9:.1f} GB",
                action="The limit is CERVIX_UPLOAD_LIMIT_GB; or put the slide into an inbox folder.",
            )
        mine = [other for other in others if other.keys[0] == known.keys[0]]
        for them, uploads, size, whose, setting in (
            (mine, quotas.session_uploads, quotas.session_bytes, "yours", "_A_SESSION"),
            (others, quotas.all_uploads, quotas.all_bytes, "everybody's", ""),
        ):
            if len(them) >= uploads:
                raise UploadRefused(
                    "Too many uploads are unfinished",
                    expected=f"at most {uploads} of {whose}",
                    found=f"{len(them)} already",
                    action=f"Finish or cancel one, or wait. The limit is CERVIX_UNFINISHED_UPLOADS{setting}.",
                )
            announced = sum(other.announced for other in them) + whole
            if announced > size:
                raise NoRoomForUpload(
                    "The unfinished uploads would be too large together",
                    expected=f"at most {size / 1e9:.1f} GB of {whose}",
                    found=f"{announced / 1e9:.1f} GB",
                    action=f"Finish or cancel one, or wait. The limit is CERVIX_UNFINISHED_GB{setting}.",
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        promised = sum(other.missing for other in others) + known.missing - max(0, part.length - part.here)
        free = shutil.disk_usage(self.folder).free - DISK_RESERVE_BYTES - promised
        missing = length - part.here
        if missing > free:
            raise NoRoomForUpload(
                "The server's disk has no room for this slide",
                expected=f"{missing / 1e9:.1f} GB free",
                found=f"{max(free, 0) / 1e9:.1f} GB, uploads under way counted",
                action="Ask for space to be freed, then try again.",
            )

    async def _append(self, known: _Upload, part: _Part, offset: int, blocks: AsyncIterator[bytes]) -> int:
        here = part.here
        if offset != here:
            raise UploadBusy("The upload is already running elsewhere", expected=f"offset {here}", found=str(offset))
        await run_in_threadpool(_catch_up, part, here)
        gathered = bytearray()
        with part.path.open("ab", buffering=0) as stream:

            def write(block: bytes) -> None:
                view = memoryview(block)
                while view:
                    view = view[stream.write(view) or 0 :]
                part.digest.update(block)
                part.hashed += len(block)
                known.arrive(part, part.hashed)

            try:
                async for block in blocks:
                    gathered += block
                    here += len(block)
                    if here > part.length:
                        raise UploadRefused("More was sent than announced", expected=f"{part.length:,} bytes")
                    if len(gathered) >= WRITE_BLOCK_BYTES:
                        full, gathered = bytes(gathered), bytearray()
                        await run_in_threadpool(write, full)
            finally:
                # What arrived before a connection dropped is kept, so that it need not be sent again.
                if gathered and here <= part.length:
                    write(bytes(gathered))
        return here

    def discard(self, upload: str, *, owners: Sequence[str] = ("",)) -> None:
        """Forget an upload and what has arrived of it; ``UploadNotYours`` for one that none of ``owners`` began."""
        self._mine(upload, owners)
        if UPLOAD_ID.fullmatch(upload):
            self._forget(upload)

    def _forget(self, upload: str) -> None:
        with self._lock:
            self._uploads.pop(upload, None)
        shutil.rmtree(self._parts_folder(upload), ignore_errors=True)

    def finish(self, upload: str, names: Mapping[int, str] | None = None, *, owners: Sequence[str] = ("",)) -> dict[Path, str]:
        """Turn a complete upload into slides.

        Parameters
        ----------
        upload : str
        names : mapping, optional
            Number of a file -> its name, for what the server has forgotten since it was sent.
        owners : sequence of str
            Secrets of the sender.

        Returns
        -------
        dict
            The file that opens each slide -> what its sender calls it, for their session only.

        Raises
        ------
        UploadRefused, NameRefused
            A name is not known or not plain, or the upload is somebody else's: the parts stay.
        CervixError
            A file is not complete, what is among them is no slide that can be kept, or a photograph of a label may be left
            in one: the parts are then gone.
        """
        self._mine(upload, owners)
        with self._lock:
            known = self._uploads.get(upload)
            if known is None or not _is_upload(upload, 0):
                raise UploadRefused("There is no such upload", action="Choose the file again.")
            if known.finishing or any(part.busy for part in known.parts.values()):
                raise UploadBusy("The earlier connection of this upload is still open", action="Try again in a moment.")
            places = known.names | {number: safe_name(name) for number, name in (names or {}).items()}
            if not known.parts.keys() <= places.keys():
                raise UploadRefused("The server was started again and has forgotten names", action="Choose the files again.")
            parts = {places[number]: part for number, part in known.parts.items()}
            known.finishing = True
        try:
            if len(parts) < len(known.parts):
                raise UploadRefused("Two files of the upload have one name", action="Choose the files again.")
            return self._settled(self._parts_folder(upload), parts)
        finally:
            self._forget(upload)

    def _settled(self, folder: Path, parts: dict[PurePosixPath, _Part]) -> dict[Path, str]:
        received: dict[PurePosixPath, ReceivedFile] = {}
        left = self.limit_bytes
        for number, (name, part) in enumerate(sorted(parts.items())):
            file = _received(part)
            if name.suffix.lower() != ARCHIVE:
                received[name] = file
                continue
            # Names of a single archive count from within it.
            above = PurePosixPath() if len(parts) == 1 else name
            for path, inner in extract_archive(file.path, folder / f"unpacked-{number}", left):
                left -= path.stat().st_size
                received[above / inner] = ReceivedFile(path, sha256_of(path))
            file.path.unlink()
        found = slides_among({name: file.path for name, file in received.items()})
        if not found:
            raise UploadRefused(
                "There is no slide in this upload",
                expected=", ".join(suffix.removeprefix(".") for suffix in slide_suffixes()),
                found=f"{len(received)} other files",
            )
        return {self._settle(_named(names, received), folder / "slides"): _shown_name(names, found) for names in found}

    def on_the_way(self, key: str) -> Path:
        """Where files of a slide gather that this server fetches; ``key`` is a name of ours."""
        return self.folder / FETCHED_FOLDER / key

    def keep_fetched(self, key: str) -> Path:
        """Turn the files of one DICOM series that have gathered into a slide, as if it had been uploaded.

        Raises as ``finish`` does; what has gathered is gone in any case.
        """
        folder = self.on_the_way(key)
        try:
            files = {PurePosixPath(path.name): ReceivedFile(path, sha256_of(path)) for path in folder.glob(f"*{DICOM}")}
            found = slides_among({name: file.path for name, file in files.items()})
            if len(found) != 1:
                raise UploadRefused("What was fetched is not one slide", expected="one series", found=str(len(found)))
            path = self._settle(_named(found[0], files), folder / "slides")
            (path.parent / f"{FETCHED_MARK}{key}").touch()
            return path
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def fetched(self, key: str) -> Path | None:
        """The file that opens a slide that was fetched under a key, if it is still here."""
        for mark in self.folder.glob(f"*/{FETCHED_MARK}{key}"):
            return next(iter(sorted(mark.parent.glob(f"*{DICOM}"))), None)
        return None

    def _settle(self, files: dict[str, ReceivedFile], staging: Path) -> Path:
        """Move the files of one slide to their place; what is there already is left as it is."""
        hashes, opens = [file.sha256 for file in files.values()], next(iter(files))
        shutil.rmtree(staging, ignore_errors=True)
        for name, file in files.items():
            target = staging / name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.path.replace(target)
        # By what it is: a DICOM file may be called a TIFF.
        cleared = not self.keep_photographs and dicom_head(staging / opens) is not None
        if cleared:
            # The hash is of what is kept: names in a header go into none.
            erase_photographs(staging / opens)
            hashes = [sha256_of(staging / name) for name in files]
        home = self.folder / joint_hash(hashes)
        if not self.keep_photographs and not cleared:
            # One that came while photographs were kept may lie there with its own.
            erase_photographs((home if (home / opens).is_file() else staging) / opens)
        try:
            staging.rename(home)
        except OSError:
            if not home.is_dir():
                raise
            # The same bytes came before, perhaps with another suffix: then both names open them.
            for name in files:
                if not (home / name).is_file():
                    (home / name).parent.mkdir(parents=True, exist_ok=True)
                    (staging / name).replace(home / name)
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
        limit = time.time() - older_than_s
        ours = (PARTS_FOLDER, FETCHED_FOLDER)
        slides = [path for path in self.folder.iterdir() if path.name not in ours] if self.folder.is_dir() else []
        old = [
            path
            for path in slides
            if path.is_dir() and path.stat().st_mtime < limit and path.name not in in_use and not (path / KEEP_MARK).is_file()
        ]
        for path in old:
            shutil.rmtree(path, ignore_errors=True)
        if old:
            logger.info("%d uploads were deleted after %.0f h", len(old), older_than_s / 3600)
        return len(old) + self.sweep_unfinished(older_than_s)

    def sweep_unfinished(self, older_than_s: float) -> int:
        """Delete unfinished uploads that nobody touched for so long, or that cannot be gone on with; returns how many.

        What gathers of slides that this server fetches goes after as long.
        """
        limit = time.time() - older_than_s
        fetched = [path for path in self.on_the_way("").glob("*") if _newest(path) < limit]
        for path in fetched:
            shutil.rmtree(path, ignore_errors=True)
        old = []
        for path in self._parts_folders():
            upload = self._uploads.get(path.name)
            at_work = upload is not None and (upload.finishing or any(part.busy for part in upload.parts.values()))
            # Without an owner it is of a version that kept names beside the parts.
            if not at_work and (not (path / OWNER_FILE).is_file() or _newest(path) < limit):
                old.append(path)
        for path in old:
            self._forget(path.name)
        if gone := len(fetched) + len(old):
            logger.info("%d unfinished uploads were deleted", gone)
        return gone

    def store_picture(self, name: str, content: memoryview) -> Path:
        """Keep a small image that came whole, as from ``st.file_uploader``; ``UploadRefused`` for another kind of file,
        and as in ``finish``."""
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in (*picture_suffixes(), *PLAIN_SLIDE_SUFFIXES):
            raise _another_kind(suffix)
        if bytes(content[:HEAD_BYTES]).endswith(MAGIC):
            # Its folder would be named after the hash of names in its header.
            raise UploadRefused(
                "This is no picture",
                expected="an RGB picture",
                found="a DICOM file",
                action="Drop it where slides are uploaded.",
            )
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.folder / sha256 / f"{SLIDE_STEM}{suffix}"
        if not path.is_file():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
                if not self.keep_photographs:
                    erase_photographs(temporary)
        return path

    def _mine(self, upload: str, owners: Sequence[str]) -> None:
        known = self._uploads.get(upload)
        if known is not None and not {_secret_hash(secret) for secret in owners}.intersection(known.keys):
            raise UploadNotYours("This upload was begun by another session", action="Choose the file again.")

    def _parts_folders(self) -> list[Path]:
        parts = self.folder / PARTS_FOLDER
        return [path for path in parts.iterdir() if path.is_dir()] if parts.is_dir() else []

    def _parts_folder(self, upload: str) -> Path:
        return self.folder / PARTS_FOLDER / upload

    def _part_path(self, upload: str, number: int) -> Path:
        return self._parts_folder(upload) / f"{number:05d}.part"


def _is_upload(upload: str, number: int) -> bool:
    return UPLOAD_ID.fullmatch(upload) is not None and 0 <= number < FILES_AT_MOST


def _secret_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _found(folder: Path) -> _Upload:
    """An unfinished upload that an earlier run of the server left. Its names are not known any more."""
    upload = _Upload((folder / OWNER_FILE).read_text(encoding="ascii", errors="replace").split("\n"))
    for told in folder.glob("*.json"):
        try:
            part, length = _Part(told.with_suffix(".part")), int(json.loads(told.read_bytes())["length"])
            upload.parts[int(told.stem)] = part
            upload.announce(part, length)
            upload.arrive(part, _size(part.path))
        except (OSError, ValueError, TypeError, KeyError):
            logger.info("a part of an unfinished upload cannot be gone on with and is passed over")
    return upload


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _newest(folder: Path) -> float:
    try:
        return max((path.stat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime)
    except OSError:  # gone meanwhile
        return time.time()


def _catch_up(part: _Part, size: int) -> None:
    """Hash what is on disk and was not hashed on its way, as after a restart of the server."""
    if part.hashed == size:
        return
    part.digest, part.hashed = hashlib.sha256(), 0
    with part.path.open("rb") as stream:
        while block := stream.read(HASH_AGAIN_BLOCK_BYTES):
            part.digest.update(block)
            part.hashed += len(block)


def _may_be_a_slide(name: PurePosixPath) -> bool:
    return name.suffix.lower() in (*slide_suffixes(), *picture_suffixes(), ARCHIVE)


def _another_kind(suffix: str) -> UploadRefused:
    return UploadRefused(
        "This kind of file is not a slide",
        expected=", ".join(name.removeprefix(".") for name in (*slide_suffixes(), ARCHIVE)),
        found=suffix.removeprefix(".")[:12] or "no suffix",
    )


async def _dicom_only(blocks: AsyncIterator[bytes], name: PurePosixPath, offset: int) -> AsyncIterator[bytes]:
    """The same stream, once its first bytes have shown that a file of any other name is DICOM."""
    head = bytearray()
    while offset == 0 and len(head) < HEAD_BYTES:
        try:
            head += await anext(blocks)
        except StopAsyncIteration:
            break
    if offset == 0 and head[HEAD_BYTES - len(MAGIC) : HEAD_BYTES] != MAGIC:
        raise _another_kind(name.suffix.lower())

    async def whole() -> AsyncIterator[bytes]:
        if head:
            yield bytes(head)
        async for block in blocks:
            yield block

    return whole()


def _received(part: _Part) -> ReceivedFile:
    _catch_up(part, _size(part.path))
    if part.hashed != part.length:
        raise UploadRefused(
            "The upload is not complete", expected=f"{part.length:,} bytes", found=f"{part.hashed:,}", action="Send it again."
        )
    return ReceivedFile(part.path, part.digest.hexdigest())


def _named(names: list[PurePosixPath], received: Mapping[PurePosixPath, ReceivedFile]) -> dict[str, ReceivedFile]:
    """The files of one slide by the names they get, which are ours; the one that opens it comes first."""
    first = names[0]
    suffix = first.suffix.lower()
    if suffix == MIRAX:
        return _named_as_mirax(names, received)
    if (suffix in slide_suffixes() and suffix != DICOM) or suffix in picture_suffixes():
        return {f"{SLIDE_STEM}{suffix}": received[first]}
    return {f"{index:05d}{DICOM}": received[name] for index, name in enumerate(names)}


def _named_as_mirax(names: list[PurePosixPath], received: Mapping[PurePosixPath, ReceivedFile]) -> dict[str, ReceivedFile]:
    first, data = names[0], names[0].with_suffix("")
    inside = {name.relative_to(data).as_posix(): received[name] for name in names[1:]}
    files = {f"{SLIDE_STEM}{MIRAX}": received[first]}
    if LIST_NAME in inside:
        content, renamed = names_of_ours(inside[LIST_NAME].path)
        if renamed and not renamed.keys() <= inside.keys():
            raise SlideNotReadable("A file of a MIRAX slide is missing", expected="every file that its list names")
        if renamed:
            inside[LIST_NAME].path.write_bytes(content)
            kept = {LIST_NAME: inside[LIST_NAME]} | {ours: inside[sent] for sent, ours in renamed.items()}
            return files | {f"{SLIDE_STEM}/{name}": file for name, file in kept.items()}
    kept = {name: file for name, file in inside.items() if MIRAX_NAMES.fullmatch(name)}
    if not kept:
        raise UploadRefused(
            "A MIRAX slide came without its data",
            expected="the .mrxs file and the folder of the same name",
            found="the .mrxs file alone",
            action="Drop both together, or a zip of both.",
        )
    return files | {f"{SLIDE_STEM}/{name}": file for name, file in kept.items()}


def _shown_name(names: list[PurePosixPath], found: list[list[PurePosixPath]]) -> str:
    """What a slide is called in front of its sender: a series of DICOM files by its folder, where it is alone in it."""
    first = names[0]
    alone = sum(other[0].parent == first.parent for other in found) == 1
    return str(first.parent) if len(names) > 1 and first.suffix.lower() != MIRAX and alone and first.parent.name else str(first)
