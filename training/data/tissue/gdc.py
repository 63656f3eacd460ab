"""Open-access diagnostic slides of a TCGA project, from the Genomic Data Commons.

Interface: https://docs.gdc.cancer.gov/API/Users_Guide/ (files and data endpoints).
"""

import csv
import errno
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from cervix.errors import DownloadFailed
from cervix.files import replacing
from cervix.sources.downloads import READ_TIMEOUT_S, RETRY_WAIT_S, Downloader, RemoteFile, part_of, size_of
from training.data.tissue.diagnoses import classify
from training.shared.stages import Log

SERVICE = "The Genomic Data Commons"
GDC_API = "https://api.gdc.cancer.gov"
FIELDS = (
    "file_id",
    "file_name",
    "file_size",
    "md5sum",
    "cases.submitter_id",
    "cases.diagnoses.primary_diagnosis",
)
PAGE_SIZE = 500
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
class SlideFile:
    """One slide as listed by the files endpoint. Either ``label`` is its class, or ``reason`` says why it has none."""

    file_id: str
    file_name: str
    file_size: int
    md5sum: str
    source_group: str
    primary_diagnosis: str
    label: str
    reason: str

    @property
    def path(self) -> str:
        """Its path in the download folder."""
        return f"slides/{self.file_id}/{self.file_name}"


@dataclass(frozen=True)
class SlideManifest:
    """The result of a run. When it is returned, every chosen slide is complete.

    Attributes
    ----------
    slides : the chosen slides, in the order of the manifest
    excluded : slides of the project that are neither SCC nor AC, with the reason
    path : the written ``manifest.csv``; its paths are relative to the folder it lies in
    """

    slides: tuple[SlideFile, ...]
    excluded: tuple[SlideFile, ...]
    path: Path


def fetch_slides(
    project: str,
    out_dir: Path,
    *,
    limit: int | None,
    smallest: bool,
    log: Log,
    base_url: str = GDC_API,
    retry_wait_s: float = RETRY_WAIT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> SlideManifest:
    """List the slides of a project, choose some and download them. Slides that are already there are not downloaded again.

    Slides go to ``out_dir/slides/<file_id>/<file_name>``. ``manifest.csv`` (``path, label, source_group, …``; the path is
    empty until the slide is there) and ``excluded.csv`` are written before the first download, and the manifest again after
    each, so an interruption loses nothing. A partial download is kept as ``.part``, and the next run continues it.

    Parameters
    ----------
    project : str
        Project id, such as ``TCGA-CESC``.
    limit : int or None
        Number of slides, taken in turn from both classes; None for all.
    smallest : bool
        Smallest files first; otherwise ordered by id, so that every run has the same order.
    retry_wait_s : float
        Wait before the second attempt in seconds; it doubles each time, up to ``LONGEST_WAIT_S``.
    read_timeout_s : float
        Longest silence of the server in seconds.

    Raises
    ------
    DownloadFailed
        If the service does not answer as documented, the project has no suitable slide, a slide cannot be downloaded
        completely, or the disk is too small or full.
    """
    if limit is not None and limit < 1:
        raise DownloadFailed(
            "No slide is asked for", expected="a limit of at least 1", found=str(limit), action="Or leave it out."
        )
    base_url = base_url.rstrip("/")
    with Downloader(SERVICE, log=log, retry_wait_s=retry_wait_s, read_timeout_s=read_timeout_s) as service:
        listed = _list_slides(service, base_url, project)
        excluded = tuple(slide for slide in listed if not slide.label)
        chosen = tuple(choose([slide for slide in listed if slide.label], limit=limit, smallest=smallest))
        log(f"{project}: {len(listed)} diagnostic slides, {len(excluded)} excluded, {len(chosen)} chosen")
        for reason, count in Counter(slide.reason for slide in excluded).most_common():
            log(f"excluded: {count} × {reason}")
        with _room_for(out_dir, chosen):
            _write(out_dir / EXCLUDED_NAME, EXCLUDED_COLUMNS, map(asdict, excluded))
            if not chosen:
                raise _nothing_to_choose(project, len(listed), out_dir / EXCLUDED_NAME)
            manifest = SlideManifest(chosen, excluded, out_dir / MANIFEST_NAME)
            _write_manifest(manifest)
            _download(manifest, service, base_url, log)
    return manifest


def choose(slides: Iterable[SlideFile], *, limit: int | None, smallest: bool) -> list[SlideFile]:
    """The first ``limit`` slides by size or id, taken in turn from the classes; without a limit all of them."""
    ordered = sorted(slides, key=lambda slide: (slide.file_size if smallest else 0, slide.file_id))
    if limit is None:
        return ordered
    queues = [[slide for slide in ordered if slide.label == label] for label in CLASSES]
    rounds = max(map(len, queues))
    return [slide for place in range(rounds) for queue in queues for slide in queue[place : place + 1]][:limit]


def is_whole(path: Path, slide: SlideFile) -> bool:
    """Whether a slide was downloaded before.

    Checking the size is enough: a file gets this name only after its MD5 was verified and its bytes were on the disk.
    Reading hundreds of gigabytes again at every start would add nothing.
    """
    return path.is_file() and path.stat().st_size == slide.file_size


def _download(manifest: SlideManifest, service: Downloader, base_url: str, log: Log) -> None:
    out_dir = manifest.path.parent
    waiting = [slide for slide in manifest.slides if not is_whole(out_dir / slide.path, slide)]
    missing = _missing_bytes(out_dir, waiting)
    log(f"{len(manifest.slides) - len(waiting)} there already, {len(waiting)} to download, {missing / 1e6:,.1f} MB")
    if shutil.disk_usage(out_dir).free < missing:
        raise _no_room(out_dir, missing)
    for number, slide in enumerate(waiting, start=1):
        file = RemoteFile(f"{base_url}/data/{slide.file_id}", slide.file_name, slide.file_size, f"md5:{slide.md5sum}")
        service.fetch(file, out_dir / slide.path, f"{number} of {len(waiting)}: {slide.file_name}")
        _write_manifest(manifest)


# What the files endpoint must answer. Fields that are not asked for may come and are ignored.


class _Diagnosis(BaseModel):
    primary_diagnosis: str | None = None


class _Case(BaseModel):
    submitter_id: Annotated[str, Field(min_length=1)]
    diagnoses: list[_Diagnosis] | None = None


class _Hit(BaseModel):
    file_id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    # It becomes a file name on this disk: no folders, not hidden, not longer than file systems allow.
    file_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .,&()+-]*$", max_length=200)]
    file_size: Annotated[int, Field(gt=0)]
    md5sum: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    cases: list[_Case]

    def as_slide(self) -> SlideFile:
        patients = sorted({case.submitter_id for case in self.cases})
        diagnoses = [entry.primary_diagnosis for case in self.cases for entry in case.diagnoses or []]
        if len(patients) == 1:
            label, reason = classify(diagnoses)
        else:
            label, reason = "", "several patients on one file" if patients else "no patient"
        return SlideFile(
            file_id=self.file_id,
            file_name=self.file_name,
            file_size=self.file_size,
            md5sum=self.md5sum,
            source_group="; ".join(patients),
            primary_diagnosis="; ".join(sorted({text for text in diagnoses if text})),
            label=label,
            reason=reason,
        )


class _Pagination(BaseModel):
    total: Annotated[int, Field(ge=0)]


class _Page(BaseModel):
    hits: list[_Hit]
    pagination: _Pagination


class _Reply(BaseModel):
    data: _Page


def _list_slides(service: Downloader, base_url: str, project: str) -> list[SlideFile]:
    """All open diagnostic slides of a project, page by page."""
    slides: dict[str, SlideFile] = {}
    while True:
        page = _page(service.ask(f"{base_url}/files", _question(project, len(slides)), "the list of files"))
        for slide in (hit.as_slide() for hit in page.hits):
            if slide.file_id in slides:
                raise _undocumented("every file once", f"{slide.file_id} on two pages")
            slides[slide.file_id] = slide
        if len(slides) >= page.pagination.total:
            return list(slides.values())
        if not page.hits:
            raise _undocumented(f"{page.pagination.total} files", f"an empty page after {len(slides)}")


def _question(project: str, start: int) -> dict[str, Any]:
    wanted = {
        "cases.project.project_id": project,
        "data_format": "SVS",
        "experimental_strategy": "Diagnostic Slide",
        "access": "open",
    }
    filters = [{"op": "in", "content": {"field": name, "value": [value]}} for name, value in wanted.items()]
    return {
        "filters": {"op": "and", "content": filters},
        "fields": ",".join(FIELDS),
        "format": "JSON",
        "from": start,
        "size": PAGE_SIZE,
        "sort": "file_id:asc",
    }


def _page(reply: bytes) -> _Page:
    try:
        return _Reply.model_validate_json(reply).data
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole reply"
        opening = reply[:60].decode("utf-8", "replace")
        raise _undocumented(
            "JSON with the id, plain name, size, MD5 and cases of every file",
            f"at {place}: {first['msg']}; the reply begins with {opening!r}",
        ) from error


def _missing_bytes(out_dir: Path, slides: Iterable[SlideFile]) -> int:
    """Bytes still to download; those in ``.part`` files are not counted."""
    missing = 0
    for slide in slides:
        target = out_dir / slide.path
        if not is_whole(target, slide):
            missing += max(slide.file_size - size_of(part_of(target)), 0)
    return missing


def _write_manifest(manifest: SlideManifest) -> None:
    rows = []
    for slide in manifest.slides:
        there = is_whole(manifest.path.parent / slide.path, slide)
        state = {"path": slide.path if there else "", "status": "downloaded" if there else "listed"}
        rows.append(asdict(slide) | state)
    _write(manifest.path, MANIFEST_COLUMNS, rows)


def _write(path: Path, columns: Iterable[str], rows: Iterable[dict[str, object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _room_for(out_dir: Path, slides: Iterable[SlideFile]) -> Iterator[None]:
    """Report a full disk in bytes, without a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise _no_room(out_dir, _missing_bytes(out_dir, slides)) from error


def _no_room(out_dir: Path, missing: int) -> DownloadFailed:
    return DownloadFailed(
        f"No room for the slides under {out_dir}",
        expected=f"{missing:,} bytes free",
        found=f"{shutil.disk_usage(out_dir).free:,}",
        action="Make room, or ask for fewer slides, and run the command again: it continues where it stopped.",
    )


def _nothing_to_choose(project: str, listed: int, excluded_path: Path) -> DownloadFailed:
    if not listed:
        return DownloadFailed(
            f"{project} has no open diagnostic slides",
            expected="a project id such as TCGA-CESC",
            found="0 files",
            action="Check how it is written.",
        )
    return DownloadFailed(
        f"{project} has no slide of either class",
        expected="squamous-cell carcinoma or adenocarcinoma",
        found=f"{listed} slides of something else",
        action=f"The reasons are in {excluded_path}.",
    )


def _undocumented(expected: str, found: str) -> DownloadFailed:
    return DownloadFailed(
        f"{SERVICE} answers in another way than documented",
        expected=expected,
        found=found,
        action="Check the address, and whether there is a proxy or sign-in page in between.",
    )
