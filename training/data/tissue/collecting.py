"""Slides of a public archive: chosen from its list, fetched, and listed in a manifest that is true at every moment."""

import csv
import errno
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from cervix.errors import DownloadFailed
from cervix.files import replacing
from training.shared.stages import Log

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
CLASSES = ("scc", "ac")
MANIFEST_NAME, EXCLUDED_NAME = "manifest.csv", "excluded.csv"
MANIFEST_COLUMNS = (
    "path",
    "label",
    "source_group",
    "file_id",
    "file_name",
    "file_size",
    "md5sum",
    "primary_diagnosis",
    "status",
)
EXCLUDED_COLUMNS = ("file_id", "source_group", "primary_diagnosis", "reason")


@dataclass(frozen=True)
class ListedSlide:
    """One slide of an archive's list. Either ``label`` is its class, or ``reason`` says why it has none.

    Attributes
    ----------
    file_size : int
        In bytes; of a slide of several files what the list says of all, which may be rounded.
    md5sum : str
        Empty where the list has none.
    """

    file_id: str
    file_name: str
    file_size: int
    md5sum: str
    source_group: str
    primary_diagnosis: str
    label: str
    reason: str


class Archive(Protocol):
    """Where slides are had from. All paths are relative to the folder that they are fetched into."""

    title: str

    def listed(self) -> list[ListedSlide]:
        """Every slide that it has; ``DownloadFailed`` if it cannot be asked or does not answer as documented."""
        ...

    def opened_by(self, slide: ListedSlide, folder: Path) -> str:
        """The file that opens a slide if all of it is there, else an empty string."""
        ...

    def arrived_bytes(self, slide: ListedSlide, folder: Path) -> int:
        """How much is there of a slide that is not whole."""
        ...

    def fetch(self, slide: ListedSlide, folder: Path, which: str) -> None:
        """Fetch what is missing of a slide; ``DownloadFailed`` as ``Downloader.fetch``. ``which`` names it in the log."""
        ...


@dataclass(frozen=True)
class SlideManifest:
    """The slides that were chosen. Those that are not there have an empty path in the file.

    Attributes
    ----------
    slides : the chosen slides, in the order of the manifest
    excluded : slides of the archive that are neither SCC nor AC, with the reason
    path : the written ``manifest.csv``; its paths are relative to the folder it lies in
    """

    slides: tuple[ListedSlide, ...]
    excluded: tuple[ListedSlide, ...]
    path: Path

    @property
    def folder(self) -> Path:
        return self.path.parent

    def waiting(self, archive: Archive) -> list[ListedSlide]:
        """The slides that are not whole yet."""
        return [slide for slide in self.slides if not archive.opened_by(slide, self.folder)]

    def missing_bytes(self, archive: Archive) -> int:
        """Bytes still to download; what has arrived of a slide is not counted."""
        return sum(max(slide.file_size - archive.arrived_bytes(slide, self.folder), 0) for slide in self.waiting(archive))


def choose_slides(archive: Archive, folder: Path, *, limit: int | None, smallest: bool, log: Log) -> SlideManifest:
    """List the slides of an archive, choose some, and write ``manifest.csv`` and ``excluded.csv``.

    Parameters
    ----------
    limit : int or None
        Number of slides, taken in turn from both classes; None for all.
    smallest : bool
        Smallest files first; otherwise ordered by id, so that every run has the same order.

    Raises
    ------
    DownloadFailed
        If the archive does not answer as documented or has no suitable slide, or the disk is full.
    """
    if limit is not None and limit < 1:
        raise DownloadFailed(
            "No slide is asked for", expected="a limit of at least 1", found=str(limit), action="Or leave it out."
        )
    listed = archive.listed()
    excluded = tuple(slide for slide in listed if not slide.label)
    chosen = tuple(choose([slide for slide in listed if slide.label], limit=limit, smallest=smallest))
    log(f"{archive.title}: {len(listed)} diagnostic slides, {len(excluded)} excluded, {len(chosen)} chosen")
    for reason, count in Counter(slide.reason for slide in excluded).most_common():
        log(f"excluded: {count} × {reason}")
    manifest = SlideManifest(chosen, excluded, folder / MANIFEST_NAME)
    with _room_for(manifest, archive):
        _write(folder / EXCLUDED_NAME, EXCLUDED_COLUMNS, map(asdict, excluded))
        if not chosen:
            raise _nothing_to_choose(archive.title, len(listed), folder / EXCLUDED_NAME)
        _write_manifest(manifest, archive)
    return manifest


def choose(slides: Iterable[ListedSlide], *, limit: int | None, smallest: bool) -> list[ListedSlide]:
    """The first ``limit`` slides by size or id, taken in turn from the classes; without a limit all of them."""
    ordered = sorted(slides, key=lambda slide: (slide.file_size if smallest else 0, slide.file_id))
    if limit is None:
        return ordered
    queues = [[slide for slide in ordered if slide.label == label] for label in CLASSES]
    rounds = max(map(len, queues))
    return [slide for place in range(rounds) for queue in queues for slide in queue[place : place + 1]][:limit]


def fetch_chosen(manifest: SlideManifest, archive: Archive, log: Log) -> None:
    """Fetch the chosen slides that are not there, and write the manifest again after each.

    Raises
    ------
    DownloadFailed
        If a slide cannot be had whole, or the disk is too small or full.
    """
    waiting, missing = manifest.waiting(archive), manifest.missing_bytes(archive)
    log(f"{len(manifest.slides) - len(waiting)} there already, {len(waiting)} to download, {missing / 1e6:,.1f} MB")
    if shutil.disk_usage(manifest.folder).free < missing:
        raise _no_room(manifest.folder, missing)
    with _room_for(manifest, archive):
        for number, slide in enumerate(waiting, start=1):
            archive.fetch(slide, manifest.folder, f"{number} of {len(waiting)}: {slide.file_name}")
            _write_manifest(manifest, archive)


def _write_manifest(manifest: SlideManifest, archive: Archive) -> None:
    rows = []
    for slide in manifest.slides:
        path = archive.opened_by(slide, manifest.folder)
        rows.append(asdict(slide) | {"path": path, "status": "downloaded" if path else "listed"})
    _write(manifest.path, MANIFEST_COLUMNS, rows)


def _write(path: Path, columns: Iterable[str], rows: Iterable[dict[str, object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _room_for(manifest: SlideManifest, archive: Archive) -> Iterator[None]:
    """Report a full disk in bytes, without a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise _no_room(manifest.folder, manifest.missing_bytes(archive)) from error


def _no_room(folder: Path, missing: int) -> DownloadFailed:
    return DownloadFailed(
        f"No room for the slides under {folder}",
        expected=f"{missing:,} bytes free",
        found=f"{shutil.disk_usage(folder).free:,}",
        action="Make room, or ask for fewer slides, and run the command again: it continues where it stopped.",
    )


def _nothing_to_choose(title: str, listed: int, excluded_path: Path) -> DownloadFailed:
    if not listed:
        return DownloadFailed(
            f"{title} has no open diagnostic slides",
            expected="a project id such as TCGA-CESC",
            found="0 files",
            action="Check how it is written.",
        )
    return DownloadFailed(
        f"{title} has no slide of either class",
        expected="squamous-cell carcinoma or adenocarcinoma",
        found=f"{listed} slides of something else",
        action=f"The reasons are in {excluded_path}.",
    )
