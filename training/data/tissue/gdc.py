"""Open-access diagnostic slides of a TCGA project, from the Genomic Data Commons.

Interface: https://docs.gdc.cancer.gov/API/Users_Guide/ (files and data endpoints). Ranges and ``Retry-After``: RFC 9110.
"""

import csv
import errno
import hashlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import requests
from pydantic import BaseModel, Field, ValidationError
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import ReadTimeoutError

from cervix.errors import CervixError
from cervix.files import replacing
from training.data.tissue.diagnoses import classify
from training.shared.stages import Log

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
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 20.0, 60.0
ATTEMPTS = 6
RETRY_WAIT_S, LONGEST_WAIT_S = 2.0, 120.0
# An attempt that brought this much is not counted: a slide of 1 GB must survive a line that breaks ten times on the way.
WORTHWHILE_BYTES = 8 << 20
# Below this, over one read time-out, a transfer is as good as dead and a new connection is the better try.
SLOWEST_BYTES_S = 1024
BLOCK_BYTES = 1 << 18
LOG_EVERY_S = 5.0
PASSING_STATUS = frozenset({408, 425, 429})  # and all from 500
REFUSALS = {
    401: ("it is not open access", "Only open-access files can be had without a token."),
    403: ("it is not open access", "Only open-access files can be had without a token."),
    404: ("it is not there", "Check the address; a withdrawn file is gone from a new list when the command is run again."),
}
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
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
Answer = TypeVar("Answer")


class GdcError(CervixError, OSError, code="gdc-unavailable"):
    """Raised when the Genomic Data Commons does not answer as documented, or a slide cannot be had or kept whole."""


class _TryAgain(Exception):
    """A fault that another attempt may not meet: what happened, and how long the server asks to wait."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


@dataclass(frozen=True)
class SlideFile:
    """One slide as the files endpoint lists it. Either ``label`` says its class or ``reason`` why it has none."""

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
        """Where it lies under the download folder."""
        return f"slides/{self.file_id}/{self.file_name}"


@dataclass(frozen=True)
class SlideManifest:
    """What was asked for; when it is returned, every chosen slide is there and whole.

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
    """List the slides of a project, choose and download; what is there already is not downloaded again.

    Slides go to ``out_dir/slides/<file_id>/<file_name>``. ``manifest.csv`` (``path, label, source_group, …``; the path is
    empty until the slide is there) and ``excluded.csv`` are written before the first download and the manifest after each,
    so an interruption loses nothing. A slide on its way is a ``.part`` beside its place, and the next run goes on from it.

    Parameters
    ----------
    project : str
        Project id, such as ``TCGA-CESC``.
    limit : int or None
        So many slides, taken in turn from both classes; None for all.
    smallest : bool
        Smallest files first; otherwise in the order of their ids, which is the same in every run.
    retry_wait_s : float
        Wait before the second attempt in seconds; it doubles with each, up to ``LONGEST_WAIT_S``.
    read_timeout_s : float
        Longest silence of the server in seconds.

    Raises
    ------
    GdcError
        If the service does not answer as documented, the project has no slide to choose, a slide cannot be had whole, or
        the disk is too small or full.
    """
    if limit is not None and limit < 1:
        raise GdcError("No slide is asked for", expected="a limit of at least 1", found=str(limit), action="Or leave it out.")
    with requests.Session() as session:
        service = _Service(session, base_url.rstrip("/"), retry_wait_s, read_timeout_s, log)
        listed = service.list_slides(project)
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
            _download(manifest, service, log)
    return manifest


def choose(slides: Iterable[SlideFile], *, limit: int | None, smallest: bool) -> list[SlideFile]:
    """The first ``limit`` slides, in turn from each class while it has any, by size or by id. Without a limit all of them."""
    ordered = sorted(slides, key=lambda slide: (slide.file_size if smallest else 0, slide.file_id))
    if limit is None:
        return ordered
    queues = [[slide for slide in ordered if slide.label == label] for label in CLASSES]
    rounds = max(map(len, queues))
    return [slide for place in range(rounds) for queue in queues for slide in queue[place : place + 1]][:limit]


def is_whole(path: Path, slide: SlideFile) -> bool:
    """Whether a slide was downloaded before.

    Its size is enough: a file gets this name only after its MD5 was right and its bytes were on the disk, and reading
    hundreds of gigabytes again at every start would tell nothing new.
    """
    return path.is_file() and path.stat().st_size == slide.file_size


def _download(manifest: SlideManifest, service: "_Service", log: Log) -> None:
    out_dir = manifest.path.parent
    waiting = [slide for slide in manifest.slides if not is_whole(out_dir / slide.path, slide)]
    missing = _missing_bytes(out_dir, waiting)
    log(f"{len(manifest.slides) - len(waiting)} there already, {len(waiting)} to download, {missing / 1e6:,.1f} MB")
    if shutil.disk_usage(out_dir).free < missing:
        raise _no_room(out_dir, missing)
    for number, slide in enumerate(waiting, start=1):
        service.download(slide, out_dir / slide.path, f"{number} of {len(waiting)}: {slide.file_name}")
        _write_manifest(manifest)


# What the files endpoint must answer. Fields that are not asked for may come and are ignored.


class _Diagnosis(BaseModel):
    primary_diagnosis: str | None = None


class _Case(BaseModel):
    submitter_id: Annotated[str, Field(min_length=1)]
    diagnoses: list[_Diagnosis] | None = None


class _Hit(BaseModel):
    file_id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    # It becomes a name on this disk: no folders, nothing hidden, no more than file systems take.
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


class _Service:
    """The two endpoints, with patience."""

    def __init__(self, session: requests.Session, base_url: str, retry_wait_s: float, read_timeout_s: float, log: Log) -> None:
        self._session = session
        self._base_url = base_url
        self._retry_wait_s = retry_wait_s
        self._read_timeout_s = read_timeout_s
        self._log = log

    def list_slides(self, project: str) -> list[SlideFile]:
        """All open diagnostic slides of a project, page by page."""
        slides: dict[str, SlideFile] = {}
        while True:
            page = self._patiently("the list of files", partial(self._page, project, len(slides)))
            for slide in (hit.as_slide() for hit in page.hits):
                if slide.file_id in slides:
                    raise _undocumented("every file once", f"{slide.file_id} on two pages")
                slides[slide.file_id] = slide
            if len(slides) >= page.pagination.total:
                return list(slides.values())
            if not page.hits:
                raise _undocumented(f"{page.pagination.total} files", f"an empty page after {len(slides)}")

    def _page(self, project: str, start: int) -> _Page:
        wanted = {
            "cases.project.project_id": project,
            "data_format": "SVS",
            "experimental_strategy": "Diagnostic Slide",
            "access": "open",
        }
        filters = [{"op": "in", "content": {"field": name, "value": [value]}} for name, value in wanted.items()]
        question: dict[str, Any] = {
            "filters": {"op": "and", "content": filters},
            "fields": ",".join(FIELDS),
            "format": "JSON",
            "from": start,
            "size": PAGE_SIZE,
            "sort": "file_id:asc",
        }
        timeouts_s = (CONNECT_TIMEOUT_S, self._read_timeout_s)
        with _faults_sorted(), self._session.post(f"{self._base_url}/files", json=question, timeout=timeouts_s) as response:
            _check_status(response, "the list of files")
            try:
                return _Reply.model_validate_json(response.content).data
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                place = ".".join(map(str, first["loc"])) or "the whole reply"
                opening = response.content[:60].decode("utf-8", "replace")
                raise _undocumented(
                    "JSON with the id, plain name, size, MD5 and cases of every file",
                    f"at {place}: {first['msg']}; the reply begins with {opening!r}",
                ) from error

    def download(self, slide: SlideFile, target: Path, which: str) -> None:
        """Fetch one file beside its place, check it, and rename it into place."""
        part = _part_of(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        have = _size_of(part)
        self._log(f"{which}, {slide.file_size / 1e6:,.1f} MB" + (f", going on after {have / 1e6:,.1f} MB" if have else ""))
        started = time.monotonic()
        for last_try in (False, True):
            self._patiently(slide.file_name, partial(self._go_on, slide, part, which), arrived=partial(_size_of, part))
            found = _md5_of(part)
            if found == slide.md5sum:
                break
            part.unlink()
            if last_try:
                raise GdcError(
                    f"{slide.file_name} does not arrive as it was deposited",
                    expected=f"MD5 {slide.md5sum}",
                    found=f"MD5 {found}, twice",
                    action="Nothing else is lost. Try again later; if it stays so, report the file to the GDC help desk.",
                )
            self._log(f"{which}: the MD5 is wrong, once more from the start")
        _rename_for_good(part, target)
        self._log(f"{which} is whole after {_duration(time.monotonic() - started)}")

    def _go_on(self, slide: SlideFile, part: Path, which: str) -> None:
        """One request for what is still missing. What arrives is kept, whatever happens next."""
        have = _size_of(part)
        if have > slide.file_size:
            part.unlink()
            have = 0
        if have == slide.file_size:
            return
        # Ranges count the bytes that travel, so these must be the file's own.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        timeouts_s = (CONNECT_TIMEOUT_S, self._read_timeout_s)
        address = f"{self._base_url}/data/{slide.file_id}"
        with _faults_sorted(), self._session.get(address, headers=headers, stream=True, timeout=timeouts_s) as response:
            if response.status_code == 416:
                part.unlink(missing_ok=True)
                raise _TryAgain(f"the server has nothing after byte {have:,}")
            _check_status(response, slide.file_name)
            self._store(response, slide, part, _first_byte(response, slide, have), which)
        size = _size_of(part)
        if size < slide.file_size:
            raise _TryAgain(f"the connection ended after {size:,} of {slide.file_size:,} bytes")

    def _store(self, response: requests.Response, slide: SlideFile, part: Path, have: int, which: str) -> None:
        """Append the body of a reply, as it comes, after the first ``have`` bytes; from the start if that is 0."""
        meter = _Meter(have, slide.file_size, self._read_timeout_s)
        with part.open("ab" if have else "wb") as stream:
            # read1 gives what has come; read would hold back up to a block and lose it when the connection breaks.
            while block := response.raw.read1(BLOCK_BYTES, decode_content=False):
                stream.write(block)
                have += len(block)
                if have > slide.file_size:
                    part.unlink()
                    raise _TryAgain(f"more came than the {slide.file_size:,} bytes of the file")
                if line := meter.line(have):
                    self._log(f"{which}: {line}")
                if meter.is_stalled(have):
                    raise _TryAgain(f"less than {SLOWEST_BYTES_S:,} bytes a second for {self._read_timeout_s:g} s")

    def _patiently(self, what: str, attempt: Callable[[], Answer], *, arrived: Callable[[], int] = lambda: 0) -> Answer:
        """Try again after faults that pass, waiting longer each time or as long as the server asks.

        It ends after ``ATTEMPTS`` in a row that did not bring ``WORTHWHILE_BYTES`` beyond what had ``arrived`` before.
        """
        failures, most_bytes = 0, arrived()
        while True:
            try:
                return attempt()
            except _TryAgain as error:
                fault = error
            bytes_now = arrived()
            failures = 1 if bytes_now - most_bytes >= WORTHWHILE_BYTES else failures + 1
            most_bytes = max(most_bytes, bytes_now)
            if failures == ATTEMPTS:
                raise GdcError(
                    f"The Genomic Data Commons did not deliver {what}",
                    expected=f"success within {ATTEMPTS} attempts",
                    found=str(fault),
                    action="Run the same command again later: it goes on where it stopped.",
                ) from fault
            wait_s = min(max(fault.wait_s, self._retry_wait_s * 2 ** (failures - 1)), LONGEST_WAIT_S)
            self._log(f"{what}: {fault}; trying again in {_duration(wait_s)}")
            time.sleep(wait_s)


class _Meter:
    """How fast one transfer is: a line for the log now and then, and whether it still moves."""

    def __init__(self, have: int, size: int, window_s: float) -> None:
        self._first, self._size, self._window_s = have, size, window_s
        self._started_s = self._told_s = self._marked_s = time.monotonic()
        self._marked = have

    def line(self, have: int) -> str:
        """MB, MB/s and time left, at most once in ``LOG_EVERY_S``; else empty."""
        now_s = time.monotonic()
        if now_s - self._told_s < LOG_EVERY_S:
            return ""
        self._told_s = now_s
        bytes_s = max((have - self._first) / max(now_s - self._started_s, 1e-3), 1.0)
        left = _duration((self._size - have) / bytes_s)
        return f"{have / 1e6:,.1f} of {self._size / 1e6:,.1f} MB, {bytes_s / 1e6:.1f} MB/s, {left} left"

    def is_stalled(self, have: int) -> bool:
        """Whether less than ``SLOWEST_BYTES_S`` came, on average over one window."""
        now_s = time.monotonic()
        if now_s - self._marked_s < self._window_s:
            return False
        stalled = have - self._marked < SLOWEST_BYTES_S * (now_s - self._marked_s)
        self._marked_s, self._marked = now_s, have
        return stalled


@contextmanager
def _faults_sorted() -> Iterator[None]:
    """Faults of the network become ``_TryAgain``, addresses that cannot be used ``GdcError``; all others pass through."""
    try:
        yield
    except (requests.Timeout, ReadTimeoutError) as error:
        raise _TryAgain("the server was silent for too long") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, TransportError) as error:
        raise _TryAgain(f"the connection failed ({_root_cause(error)})") from error
    except requests.RequestException as error:
        raise GdcError(
            "The Genomic Data Commons cannot be asked",
            expected=f"an address such as {GDC_API}",
            found=str(error),
            action="Check the address.",
        ) from error


def _root_cause(error: BaseException) -> str:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return str(error) or type(error).__name__


def _check_status(response: requests.Response, what: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in PASSING_STATUS or status >= 500:
        raise _TryAgain(f"the server answered {status}", _asked_wait_s(response.headers.get("Retry-After", "")))
    meaning, action = REFUSALS.get(status, ("", "Check the address, and whether a proxy stands between."))
    raise GdcError(
        f"The Genomic Data Commons refuses {what}",
        expected="status 200",
        found=f"status {status}" + (f": {meaning}" if meaning else ""),
        action=action,
    )


def _asked_wait_s(retry_after: str) -> float:
    """Seconds that a ``Retry-After`` header asks for: a number or a date. What is neither asks for nothing."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max((moment.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _first_byte(response: requests.Response, slide: SlideFile, have: int) -> int:
    """Where in the file the body of a reply begins: ``have`` for the rest that was asked for, 0 for the whole file."""
    if response.status_code == 206:
        stated = response.headers.get("Content-Range", "")
        match = CONTENT_RANGE.fullmatch(stated)
        if match is None or int(match[1]) != have or match[3] not in (str(slide.file_size), "*"):
            raise _TryAgain(f"asked for bytes {have}- of {slide.file_size}, the server sent {stated or 'unnamed ones'}")
        return have
    length = response.headers.get("Content-Length", str(slide.file_size))
    if length != str(slide.file_size):
        raise _TryAgain(f"the server announced {length} bytes instead of {slide.file_size}")
    return 0


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _missing_bytes(out_dir: Path, slides: Iterable[SlideFile]) -> int:
    """What has still to come, with what lies in ``.part`` files counted as there."""
    missing = 0
    for slide in slides:
        target = out_dir / slide.path
        if not is_whole(target, slide):
            missing += max(slide.file_size - _size_of(_part_of(target)), 0)
    return missing


def _md5_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _rename_for_good(part: Path, target: Path) -> None:
    """The bytes first, then the name, also when the power fails: later runs trust the name and the size."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(target)


def _duration(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"


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
    """A disk that fills up is said in bytes, not as a traceback."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise _no_room(out_dir, _missing_bytes(out_dir, slides)) from error


def _no_room(out_dir: Path, missing: int) -> GdcError:
    return GdcError(
        f"No room for the slides under {out_dir}",
        expected=f"{missing:,} bytes free",
        found=f"{shutil.disk_usage(out_dir).free:,}",
        action="Make room, or ask for fewer slides, and run the command again: it goes on where it stopped.",
    )


def _nothing_to_choose(project: str, listed: int, excluded_path: Path) -> GdcError:
    if not listed:
        return GdcError(
            f"{project} has no open diagnostic slides",
            expected="a project id such as TCGA-CESC",
            found="0 files",
            action="Check how it is written.",
        )
    return GdcError(
        f"{project} has no slide of either class",
        expected="squamous-cell carcinoma or adenocarcinoma",
        found=f"{listed} slides of something else",
        action=f"The reasons are in {excluded_path}.",
    )


def _undocumented(expected: str, found: str) -> GdcError:
    return GdcError(
        "The Genomic Data Commons answers in another way than documented",
        expected=expected,
        found=found,
        action="Check the address, and whether a proxy or a sign-in page stands between.",
    )
