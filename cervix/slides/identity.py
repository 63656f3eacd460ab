"""Which files make up one slide, and the hash that stands for them."""

import hashlib
from pathlib import Path

from cervix.files import sha256_of

DICOM = ".dcm"
MIRAX = ".mrxs"
SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".svslide", ".czi", MIRAX, DICOM)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def files_of(path: Path) -> list[Path]:
    """Every file of the slide that ``path`` opens: itself, a MIRAX data folder, or a DICOM series in its folder."""
    suffix = path.suffix.lower()
    if suffix == MIRAX:
        return [path, *sorted(file for file in path.with_suffix("").rglob("*") if file.is_file())]
    if suffix == DICOM:
        return sorted(file for file in path.parent.iterdir() if file.suffix.lower() == DICOM and file.is_file())
    return [path]


def identity_of(path: Path) -> str:
    """SHA-256 that stands for a slide: of its file, or of the sorted hashes of its files."""
    return joint_hash([sha256_of(file) for file in files_of(path)])


def joint_hash(hashes: list[str]) -> str:
    """One hash for a set of files, whatever they are called; a single file's is its own."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
