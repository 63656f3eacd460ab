"""Unpack a zip without letting it out of its folder or letting it grow."""

import io
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from cervix.errors import NameRefused, NoRoomForUpload, UploadRefused
from cervix.outside_names import is_litter, safe_name

COPY_BLOCK_BYTES = 1 << 20
# The two that every system packs by. Of bzip2 and LZMA, zipfile unpacks a block at once, and one kilobyte of bzip2 can
# be a gigabyte.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
MEMBERS_AT_MOST = 20_000
# Of the list of members, which zipfile holds in memory whole: 2 kB a member.
DIRECTORY_BYTES_AT_MOST = MEMBERS_AT_MOST * (2 << 10)
# Slides are compressed already: a real one shrinks by little, a bomb by a thousand and more.
RATIO_AT_MOST = 100
RATIO_COUNTS_FROM_BYTES = 64 << 20
# What must stay free on the disk beside what is kept: results and thumbnails of other slides.
DISK_RESERVE_BYTES = 256 << 20
UNIX_FILE_TYPE_SHIFT = 16
UNIX_SYMLINK = 0o120000
UNIX_FILE_TYPE = 0o170000
ENCRYPTED = 0x1
# APPNOTE.TXT 4.3.16 and 4.3.14: end of central directory, its ZIP64 form, and where each states the directory's size.
DIRECTORY_SIZES = ((b"PK\x05\x06", 12, "<I"), (b"PK\x06\x06", 40, "<Q"))
SIZE_IS_ELSEWHERE = 0xFFFFFFFF
END_SEARCH_BYTES = 66 << 10
# Whatever zipfile and the decoders below it raise over bytes that are not what they should be.
DAMAGE: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError,
    NotImplementedError, ValueError, OverflowError, LookupError, TypeError, AttributeError, MemoryError,
)  # fmt: skip


def extract_archive(archive: Path, folder: Path, limit_bytes: int) -> list[tuple[Path, PurePosixPath]]:
    """Unpack under ``folder`` as numbered files; returns each with the path it has inside the archive.

    The names inside are never used as names on disk, so none can lead out of the folder. What a system put beside the files
    that were meant (``__MACOSX``, dot files, ``Thumbs.db``) is passed over.

    Raises
    ------
    UploadRefused
        An archive that is damaged, encrypted or packed by a method that is not read; one that holds a link, two files of one
        name, or a name that is no plain relative one; one that unpacks to more than ``limit_bytes`` or a hundred times its
        size, by what it really holds and not by what it says.
    NoRoomForUpload
        The disk has no room for what is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ceiling = min(limit_bytes, max(RATIO_COUNTS_FROM_BYTES, RATIO_AT_MOST * archive.stat().st_size))
    unpacked: list[tuple[Path, PurePosixPath]] = []
    total = 0
    with archive.open("rb") as stream:
        with _damage_is_one_sentence():
            _check_directory(stream)
            opened = zipfile.ZipFile(stream)
        members = [member for member in opened.infolist() if not member.filename.endswith("/")]
        members = [member for member in members if not is_litter(member.filename)]
        places = _checked(members)
        _check_room(folder, min(ceiling, sum(member.file_size for member in members)))
        for number, (member, place) in enumerate(zip(members, places, strict=True)):
            target = folder / f"{number:05d}"
            with target.open("wb") as copy:
                for block in _blocks(opened, member):
                    total += len(block)
                    if total > ceiling:
                        raise UploadRefused(
                            "The archive unpacks to more than it should",
                            expected=f"at most {ceiling / 1e6:,.0f} MB",
                            found="more",
                            action="Upload what is in it without packing it.",
                        )
                    copy.write(block)
            unpacked.append((target, place))
    return unpacked


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """What a member holds. Only reading is in here: an error of writing is none of the archive's."""
    with _damage_is_one_sentence():
        source = archive.open(member)
    with source:
        while True:
            with _damage_is_one_sentence():
                block = source.read(COPY_BLOCK_BYTES)
            if not block:
                return
            yield block


@contextmanager
def _damage_is_one_sentence() -> Iterator[None]:
    try:
        yield
    except UploadRefused:
        raise
    except DAMAGE as error:
        # Not the words of the error: they hold names of files.
        raise _not_unpacked("a damaged or incomplete file") from error


def _not_unpacked(found: str) -> UploadRefused:
    return UploadRefused(
        "The archive cannot be unpacked",
        expected="a zip without a password, stored or deflated",
        found=found,
        action="Pack it again.",
    )


def _check_directory(archive: BinaryIO) -> None:
    """Refuse a list of members that would not fit into memory, before it is read."""
    whole = archive.seek(0, io.SEEK_END)
    archive.seek(max(0, whole - END_SEARCH_BYTES))
    tail = archive.read()
    for mark, at, form in DIRECTORY_SIZES:
        # Every place that could be the record: which of them zipfile takes for it is its own affair.
        for found in re.finditer(re.escape(mark), tail):
            field = tail[found.start() + at :][: struct.calcsize(form)]
            size = struct.unpack(form, field)[0] if len(field) == struct.calcsize(form) else 0
            if DIRECTORY_BYTES_AT_MOST < size <= whole and size != SIZE_IS_ELSEWHERE:
                raise _too_many(f"a list of {size / 1e6:,.0f} MB")


def _too_many(found: str) -> UploadRefused:
    return UploadRefused("The archive holds too many files", expected=f"at most {MEMBERS_AT_MOST:,}", found=found)


def _checked(members: list[zipfile.ZipInfo]) -> list[PurePosixPath]:
    """The members' names, each a plain relative one and no two the same."""
    if len(members) > MEMBERS_AT_MOST:
        raise _too_many(f"{len(members):,}")
    places: dict[PurePosixPath, None] = {}
    for member in members:
        link = member.external_attr >> UNIX_FILE_TYPE_SHIFT & UNIX_FILE_TYPE == UNIX_SYMLINK
        try:
            place = None if link else safe_name(member.filename)
        except NameRefused:
            place = None
        if place is None:
            raise UploadRefused(
                "The archive leads out of its own folder, or names a file in no plain way",
                expected="files with plain relative paths",
                found="a link, a path with .., or a name that is none",
            )
        if place in places:
            raise UploadRefused("The archive holds two files of one name", expected="each once", action="Pack it again.")
        if member.flag_bits & ENCRYPTED:
            raise _not_unpacked("a file with a password")
        if member.compress_type not in METHODS:
            raise _not_unpacked("a method of packing that is not read here")
        places[place] = None
    return list(places)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free - DISK_RESERVE_BYTES
    if needed > free:
        raise NoRoomForUpload(
            "The server's disk has no room for what is in the archive",
            expected=f"{needed / 1e9:.1f} GB free",
            found=f"{max(free, 0) / 1e9:.1f} GB",
            action="Ask for space to be freed, then try again.",
        )
