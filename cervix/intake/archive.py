"""Unpack a zip of slides without letting it out of its folder or letting it grow."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from cervix.errors import UploadRefused

COPY_BLOCK_BYTES = 1 << 20
MEMBERS_AT_MOST = 20_000
# Slides are compressed already: a real one shrinks by little, a bomb by a thousand and more.
RATIO_AT_MOST = 100
RATIO_COUNTS_FROM_BYTES = 64 << 20
UNIX_FILE_TYPE_SHIFT = 16
UNIX_SYMLINK = 0o120000
UNIX_FILE_TYPE = 0o170000


def extract_archive(archive: Path, folder: Path, limit_bytes: int) -> list[tuple[Path, PurePosixPath]]:
    """Unpack under ``folder`` as numbered files; returns each with the path it has inside the archive.

    The names inside are never used as names on disk, so none can lead out of the folder.

    Raises ``UploadRefused`` for an archive that is damaged or encrypted, holds a link or a path that leads out of
    it, or unpacks to more than ``limit_bytes`` or a hundred times its size, by what it really holds and not by what it says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ceiling = min(limit_bytes, max(RATIO_COUNTS_FROM_BYTES, RATIO_AT_MOST * archive.stat().st_size))
    unpacked: list[tuple[Path, PurePosixPath]] = []
    total = 0
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check_members(members)
            for number, member in enumerate(members):
                target = folder / f"{number:05d}"
                with opened.open(member) as source, target.open("wb") as copy:
                    while block := source.read(COPY_BLOCK_BYTES):
                        total += len(block)
                        if total > ceiling:
                            raise UploadRefused(
                                "The archive unpacks to more than it should",
                                expected=f"at most {ceiling / 1e6:,.0f} MB",
                                found="more",
                                action="Upload what is in it without packing it.",
                            )
                        copy.write(block)
                unpacked.append((target, PurePosixPath(member.filename.replace("\\", "/"))))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UploadRefused(
            "The archive cannot be unpacked",
            expected="a zip without a password",
            found=str(error)[:120],
            action="Pack it again.",
        ) from error
    return unpacked


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MEMBERS_AT_MOST:
        raise UploadRefused(
            "The archive holds too many files", expected=f"at most {MEMBERS_AT_MOST:,}", found=f"{len(members):,}"
        )
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        link = member.external_attr >> UNIX_FILE_TYPE_SHIFT & UNIX_FILE_TYPE == UNIX_SYMLINK
        if place.is_absolute() or ".." in place.parts or ":" in place.parts[0] or link:
            raise UploadRefused(
                "The archive leads out of its own folder",
                expected="files with plain relative paths",
                found="a link or a path with ..",
            )
