"""Which files a MIRAX slide consists of, and the same slide with names of ours.

A ``.mrxs`` file opens a folder of its own name, whose ``Slidedat.ini`` lists index and data files by name. OpenSlide joins
those names to the folder as they are: one with ``..`` in it would read any file of the machine.
"""

import re
from itertools import chain, count
from pathlib import Path
from typing import Final

from cervix.errors import NameRefused, SlideNotReadable
from cervix.outside_names import safe_name

LIST_NAME: Final = "Slidedat.ini"
LIST_BYTES_AT_MOST: Final = 4 << 20
# GKeyFile, with which OpenSlide reads the list, takes blanks around keys and before values away.
LISTED = re.compile(rb"^([ \t\v\f\r]*(INDEXFILE|FILE_\d{1,6})[ \t\v\f\r]*=[ \t\v\f\r]*)([^\n]*?)([ \t\v\f\r]*)$", re.MULTILINE)
# The scanner writes the name that a person gave the slide here as well; OpenSlide does not need it.
NAMED = re.compile(rb"^([ \t\v\f\r]*SLIDE_NAME[ \t\v\f\r]*=)[^\n]*$", re.MULTILINE)
INDEX_KEY: Final = b"INDEXFILE"


def listed_files(folder: Path) -> list[Path]:
    """``Slidedat.ini`` and the files it lists that are there, sorted; every file of a folder whose list names none of them."""
    try:
        names = set(_names(_content(folder / LIST_NAME)))
    except OSError:
        names = set()
    # Each is one plain part, so none leads out of the folder.
    listed = [folder / name for name in names if (folder / name).is_file()]
    if not listed:
        return sorted(file for file in folder.rglob("*") if file.is_file())
    return sorted([folder / LIST_NAME, *listed])


def names_of_ours(slidedat: Path) -> tuple[bytes, dict[str, str]]:
    """The list with names of ours in place of a person's, and for each name that stood there the one that stands there now.

    Raises
    ------
    SlideNotReadable
        The list is far too long, or names a file that is not beside it.
    """
    content = _content(slidedat)
    renamed: dict[str, str] = {}

    def replaced(match: re.Match[bytes]) -> bytes:
        sent = match[3].decode("utf-8", "surrogateescape")
        if not _is_plain(sent):
            raise SlideNotReadable(
                f"The {LIST_NAME} of a MIRAX slide names a file that is not beside it",
                expected="names of files in its own folder",
                found="a path, or no plain name",
            )
        if sent not in renamed:
            is_index = match[2] == INDEX_KEY
            usual = ["Index.dat" if is_index else f"Data{int(match[2].removeprefix(b'FILE_')):04d}.dat"]
            # A key that stands there twice, with another name each time.
            others = (f"{'Index' if is_index else 'Data'}{number:07d}.dat" for number in count())
            renamed[sent] = next(ours for ours in chain(usual, others) if ours not in renamed.values())
        # Not the blanks behind a name: OpenSlide takes them for a part of it.
        return match[1] + renamed[sent].encode() + (b"\r" if match[4].endswith(b"\r") else b"")

    return NAMED.sub(rb"\1", LISTED.sub(replaced, content)), renamed


def _content(slidedat: Path) -> bytes:
    with slidedat.open("rb") as stream:
        content = stream.read(LIST_BYTES_AT_MOST + 1)
    if len(content) > LIST_BYTES_AT_MOST:
        raise SlideNotReadable(
            f"The {LIST_NAME} of a MIRAX slide is not a list", expected=f"at most {LIST_BYTES_AT_MOST >> 20} MB", found="more"
        )
    return content


def _names(content: bytes) -> list[str]:
    """The plain names that a list holds; anything else is left out."""
    found = [match[3].decode("utf-8", "surrogateescape") for match in LISTED.finditer(content)]
    return [name for name in found if _is_plain(name)]


def _is_plain(name: str) -> bool:
    try:
        return len(safe_name(name).parts) == 1
    except NameRefused:
        return False
