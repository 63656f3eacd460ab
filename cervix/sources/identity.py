"""Which files make up one slide, and the hash that identifies them."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from cervix.files import sha256_of
from cervix.outside_names import is_litter
from cervix.sources.dicom import DICOM, dicom_head, series_of
from cervix.sources.mirax import MIRAX, listed_files
from cervix.sources.photographs.dicom import shows_tissue
from cervix.sources.readers.registry import picture_suffixes, slide_suffixes

Mark = tuple[tuple[int, int, int, int], ...]
FOLDERS_DEEP_AT_MOST = 4
FILES_AT_MOST = 50_000
# What scanners call the pictures that they put beside a slide, some of them as TIFF.
PICTURE_NAMES = frozenset({"label", "macro", "thumbnail", "overview", "preview"})


def files_of(path: Path) -> list[Path]:
    """Every file of the slide that ``path`` opens: itself, a MIRAX data folder, or the DICOM series it belongs to.

    Of a MIRAX folder those that its list names; of a DICOM folder those with the same Series Instance UID. What else lies
    there is not the slide's, and does not change its identity.
    """
    if path.suffix.lower() == MIRAX:
        return [path, *listed_files(path.with_suffix(""))]
    return [path] if dicom_head(path) is None and path.suffix.lower() != DICOM else series_of(path)


def mark_of(path: Path) -> Mark:
    """Device, inode, size and time of change of each file of a slide: the same for as long as none of them was changed.

    Raises ``FileNotFoundError`` where one is gone.
    """
    stats = (file.stat() for file in files_of(path))
    return tuple((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def identity_of(path: Path) -> str:
    """SHA-256 that identifies a slide: of its file, or of the sorted hashes of its files."""
    return joint_hash([sha256_of(file) for file in files_of(path)])


def joint_hash(hashes: list[str]) -> str:
    """One hash for a set of files, whatever they are called; a single file's is its own."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def slides_among(files: Mapping[PurePosixPath, Path]) -> list[list[PurePosixPath]]:
    """The slides in a set of files, each as the names of its files; the first of them opens it.

    Parameters
    ----------
    files : mapping
        Where each file stands for whoever brought it -> where it lies now.

    A DICOM series of a folder is one slide, by its Series Instance UID and with or without a suffix; photographs of its label
    are left out. A MIRAX slide has the files of the folder of its name. A picture beside a slide in its folder is not a slide:
    scanners put label, thumbnail and macro there.
    """
    slides: list[list[PurePosixPath]] = []
    series: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = {}
    pictures: list[PurePosixPath] = []
    meant = sorted((name for name in files if not is_litter(name.as_posix())), key=PurePosixPath.as_posix)
    data: dict[PurePosixPath, list[PurePosixPath]] = {
        name.with_suffix(""): [] for name in meant if name.suffix.lower() == MIRAX
    }
    for name in meant:
        suffix = name.suffix.lower()
        folder = next((parent for parent in name.parents if parent in data), None)
        if folder is not None:
            data[folder].append(name)
        elif suffix == MIRAX:
            slides.append([name])
        elif is_picture(name):
            pictures.append(name)
        elif suffix in slide_suffixes() and suffix != DICOM:
            slides.append([name])
        else:
            head = dicom_head(files[name])
            is_dicom = suffix == DICOM or (head is not None and head.is_of_a_slide)
            if is_dicom and shows_tissue(files[name]):
                series.setdefault((name.parent, head.series_uid if head else ""), []).append(name)
    slides = [[slide[0], *data.get(slide[0].with_suffix(""), [])] for slide in slides]
    slides += series.values()
    taken = {slide[0].parent for slide in slides}
    slides += [[picture] for picture in pictures if picture.parent not in taken]
    return sorted(slides, key=lambda slide: slide[0].as_posix())


def is_picture(name: PurePosixPath) -> bool:
    """Whether a name is that of a picture, which is a slide only where no other slide is beside it."""
    return name.suffix.lower() in picture_suffixes() or name.stem.lower() in PICTURE_NAMES


def slides_in(folder: Path) -> list[Path]:
    """The files that open the slides in a folder and those below it, sorted.

    Links are not followed, hidden files and folders are ignored; a folder that is not there holds none.
    """
    files: dict[PurePosixPath, Path] = {}
    for where, below, names in os.walk(folder):
        depth = len(Path(where).relative_to(folder).parts)
        below[:] = sorted(name for name in below if not is_litter(name)) if depth < FOLDERS_DEEP_AT_MOST else []
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                files[PurePosixPath(path.relative_to(folder).as_posix())] = path
        if len(files) >= FILES_AT_MOST:
            break
    return [files[slide[0]] for slide in slides_among(files)]
