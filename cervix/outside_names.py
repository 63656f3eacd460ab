"""The one place where a name that comes from outside becomes part of a path, or does not.

Names come with uploads, folders, zip members, DICOM and MIRAX files, bundles, and on the command line. ``safe_name`` turns
one into a plain relative name or refuses it; ``inside`` is the only function that joins such a name to a folder.
"""

import unicodedata
from pathlib import Path, PurePosixPath

from cervix.errors import NameRefused

PART_BYTES_AT_MOST = 255
NAME_BYTES_AT_MOST = 1024
PARTS_AT_MOST = 16
# Reserved by Windows, with or without a suffix (Microsoft, Naming Files, Paths, and Namespaces).
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"} | {f"{kind}{digit}" for kind in ("com", "lpt") for digit in range(10)}
)
# Controls, halves of surrogate pairs, and the separators of lines and paragraphs.
NOT_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the rest of a name round: "gpj.svs" is shown where "svs.jpg" stands (Unicode Technical Report 36).
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What systems put beside people's files of their own accord; Windows writes them in any case.
LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
APPLE_DOUBLES = "__MACOSX"


def safe_name(name: str) -> PurePosixPath:
    """A name from outside as a relative path of plain parts, none of which leads anywhere else.

    Backslashes count as separators, and so do characters that some file systems take for one. Nothing is repaired: what is
    not plainly safe is refused, so that two names never become one.

    Raises
    ------
    NameRefused
        An absolute or empty name; a part that is ``.``, ``..`` or empty; a drive, stream or device name; control
        characters or surrogates; a name that is too long or too deep. The name itself is not in the message.
    """
    parts = name.replace("\\", "/").split("/")
    if len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES_AT_MOST or len(parts) > PARTS_AT_MOST:
        raise _refused("one that is too long or too deep")
    for part in parts:
        # What a file system makes of a part that keeps names in their compatible form: "／" is "/", "‥" is "..".
        plain = unicodedata.normalize("NFKC", part)
        if not plain.strip(" .") or "/" in plain or "\\" in plain:
            raise _refused("an empty part, or one of dots alone")
        if ":" in plain or plain.split(".")[0].rstrip().lower() in DEVICES or plain != plain.rstrip(" ."):
            raise _refused("a drive, a device, or a dot or space at its end")
        if any(unicodedata.category(character) in NOT_IN_NAMES or character in TURNING for character in part):
            raise _refused("control characters")
        if len(part.encode()) > PART_BYTES_AT_MOST:
            raise _refused("one that is too long or too deep")
    return PurePosixPath(*parts)


def inside(folder: Path, name: str | PurePosixPath) -> Path:
    """``folder / name`` for a name from outside; ``NameRefused`` where that is not a place within ``folder``.

    Links on the way are followed before the answer, so a folder that somebody turned into a link does not lead out either.
    """
    path = folder.joinpath(safe_name(str(name)))
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _refused("a link that leads elsewhere")
    return path


def is_litter(name: str) -> bool:
    """Whether a system put a file beside those that a person meant: AppleDouble, dot files, thumbnails of Windows.

    A name that leads elsewhere is never litter: it is refused, not passed over.
    """
    parts = name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return False
    hidden = any(part.startswith(".") and not part.startswith("..") for part in parts)
    return hidden or APPLE_DOUBLES in parts[:-1] or parts[-1].lower() in LITTER


def _refused(found: str) -> NameRefused:
    return NameRefused("A name leads out of its own folder or is no plain name", expected="a relative name", found=found)
