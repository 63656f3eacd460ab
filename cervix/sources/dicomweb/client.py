"""One archive, and what it is asked (DICOM PS3.18, chapter 10)."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from requests.auth import AuthBase

from cervix.errors import ArchiveRefused, DownloadFailed
from cervix.people import is_loopback
from cervix.sources.dicom import DICOM, UID, WHOLE_SLIDE_IMAGE, dicom_head
from cervix.sources.dicomweb.answers import ARCHIVE, number, parsed, text, uid, values
from cervix.sources.dicomweb.multipart import DICOM_TYPE, RELATED_TYPE, Multipart, only_part
from cervix.sources.dicomweb.progress import Progress
from cervix.sources.downloads import Arriving, Body, Downloader, part_of, rename_for_good, require_room, size_of, undocumented

SLIDE_MODALITY: Final = "SM"
PAGE: Final = 8
SEARCH_PAGE: Final = 200
"""Of a search for all slides: an answer of some 200 kB."""
ATTEMPTS: Final = 4
# Orthanc writes 3 kB for an instance; no series has thousands of files.
LIST_BYTES_AT_MOST: Final = 8 << 20
INSTANCES_AT_MOST: Final = 2000
# More than a short string (accession number) or a UID has (PS3.5 table 6.2-1).
WORD_LENGTH: Final = 64
# A first guess, until the archive says how long the first file is: three bytes a pixel, in JPEG a tenth of them.
BYTES_A_PIXEL: Final = 0.3
# What is no level of the slide is not fetched (PS3.3 C.8.12.4.1.1, third value of Image Type).
NOT_TISSUE: Final = frozenset({"LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER"})
JSON_TYPE: Final = "application/dicom+json"
WHOLE_INSTANCE: Final = f'{RELATED_TYPE}; type="{DICOM_TYPE}"; transfer-syntax=*'
# Keys of the DICOM JSON model are tags (PS3.18 F.2).
IMAGE_TYPE, SOP_CLASS_UID, SOP_INSTANCE_UID, MODALITY = "00080008", "00080016", "00080018", "00080060"
STUDY_UID, SERIES_UID, SERIES_INSTANCES = "0020000D", "0020000E", "00201209"
STUDY_DATE, INSTITUTION = "00080020", "00080080"
MATRIX_COLUMNS, MATRIX_ROWS = "00480006", "00480007"
REFERENCED_INSTANCE, FAILURE_REASON, FAILED, REFERENCED = "00081155", "00081197", "00081198", "00081199"
# PS3.18 table 10.5.3-1, what of it means that an answer tells of each object.
STORED_STATUS: Final = frozenset({200, 202, 409})
# PS3.18 table I.2-2, by the failure reason or its first digits.
REASONS: Final = {
    "0110": "it failed to process it",
    "0122": "it does not keep objects of this kind",
    "C122": "it does not keep this transfer syntax",
    "A7": "it has no room",
    "A9": "the object is not as its kind must be",
    "C": "it does not understand the object",
}
REFUSALS: Final = {
    401: (
        "it does not accept what this server says of itself",
        "Whoever runs this server: check CERVIX_DICOMWEB_TOKEN, or user and password.",
    ),
    403: ("this server is not allowed to", "Ask whoever keeps the archive."),
    404: ("it is not there", "Search again; if nothing is found, check CERVIX_DICOMWEB_URL."),
}


@dataclass(frozen=True)
class ArchivedSeries:
    """A series that the archive has. Nothing of it says whose it is but the UIDs, which are not shown.

    Attributes
    ----------
    modality : str
        Letters of PS3.3 C.7.3.1.1.1; ``"SM"`` for a slide.
    instances : int or None
        How many files; None where the archive does not say.
    """

    study_uid: str
    series_uid: str
    modality: str
    instances: int | None

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that stand for the series on a page and in the name of a folder."""
        return hashlib.sha256(self.series_uid.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class FoundSeries:
    """A slide that a search found, with where and when it was made as far as the archive says.

    Attributes
    ----------
    site : str
        Institution Name; empty where the archive does not say.
    day : str
        Study Date as ``2026-11-30``; empty where the archive does not say, or in another way.
    """

    series: ArchivedSeries
    site: str
    day: str


@dataclass(frozen=True)
class ArchivedInstance:
    """A file of a series, and the size of its level where the archive says it, else 0."""

    uid: str
    columns_px: int
    rows_px: int

    @property
    def expected_bytes(self) -> float:
        """A guess."""
        return max(self.columns_px * self.rows_px, 1) * BYTES_A_PIXEL

    @property
    def file_name(self) -> str:
        """Ours, whatever characters a UID holds."""
        return hashlib.sha256(self.uid.encode()).hexdigest()[:32] + DICOM


class Archive:
    """One archive, asked with patience. Open it with ``archive_of``.

    All of its methods raise ``DownloadFailed`` where it refuses, cannot be reached, or answers in another way than documented.

    Parameters
    ----------
    address : str
        Base address of its DICOMweb services, without a slash at its end.
    auth : requests.auth.AuthBase
        Says who this server is.
    timeout_s : float
        How long it may be silent.
    cancel : threading.Event, optional
        Set it from another thread to stop with ``Cancelled``.
    """

    def __init__(
        self,
        address: str,
        auth: AuthBase,
        *,
        timeout_s: float,
        attempts: int = ATTEMPTS,
        retry_wait_s: float = 1.0,
        cancel: Event | None = None,
    ) -> None:
        self._address = address
        self._service = Downloader(
            ARCHIVE,
            attempts=attempts,
            retry_wait_s=retry_wait_s,
            read_timeout_s=timeout_s,
            cancel=cancel,
            auth=auth,
            refusals=REFUSALS,
            # What is meant for this computer would go to a proxy where the environment names one.
            past_proxies=is_loopback(urlsplit(address).hostname or ""),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._service.__exit__(kind, error, trace)

    def slides(self, words: str = "", page: int = 0) -> tuple[list[ArchivedSeries], bool]:
        """One page of the slides (``PAGE`` series), and whether there are more.

        Parameters
        ----------
        words : str
            An accession number, or the UID of a study or series; all slides where it is empty. It goes to the archive as part
            of the address, as PS3.18 (8.3.4) has it, and nowhere else.
        """
        words = words.strip()
        if not words:
            return self._page({}, page)
        if len(words) > WORD_LENGTH or not words.isprintable():
            return [], False
        if not UID.fullmatch(words):
            return self._page({"AccessionNumber": words}, page)
        found = self._page({"SeriesInstanceUID": words}, page)
        return found if found[0] or page else self._page({"StudyInstanceUID": words}, page)

    def found(self, question: Mapping[str, str], *, page: int = SEARCH_PAGE) -> Iterator[FoundSeries]:
        """Every slide that a search finds, all pages of the answer.

        Parameters
        ----------
        question : mapping
            Attributes by keyword or tag, as PS3.18 (8.3.4) has them. It goes to the archive as part of the address.
        page : int
            How many to ask for at once; an archive may give fewer, and goes on being asked until it has no others.
        """
        seen: set[str] = set()
        while True:
            asked = {"Modality": SLIDE_MODALITY} | dict(question)
            paged = {"limit": page, "offset": len(seen), "includefield": [STUDY_DATE, INSTITUTION]}
            answers = self._list("series", asked | paged, "the list of slides")
            # Those that do not page, or begin again at the end, bring nothing new.
            new = [answer for answer in answers if text(answer, SERIES_UID) not in seen]
            for answer in new:
                series = _series_in(answer)
                if series.series_uid in seen:
                    continue
                seen.add(series.series_uid)
                if series.modality == SLIDE_MODALITY:
                    day = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text(answer, STUDY_DATE))
                    yield FoundSeries(series, text(answer, INSTITUTION)[:WORD_LENGTH], "-".join(day.groups()) if day else "")
            if not new:
                return

    def series_of(self, study_uid: str) -> list[ArchivedSeries]:
        """All series of a study, of whatever modality."""
        return self._series({"StudyInstanceUID": study_uid, "limit": INSTANCES_AT_MOST})

    def instances_of(self, series: ArchivedSeries) -> list[ArchivedInstance]:
        """The levels of a slide, the largest first; photographs of label and glass that say so are left out."""
        question = {"limit": INSTANCES_AT_MOST, "includefield": [IMAGE_TYPE, MATRIX_COLUMNS, MATRIX_ROWS]}
        path = f"studies/{uid(series.study_uid)}/series/{uid(series.series_uid)}/instances"
        found = {}
        for answer in self._list(path, question, "the list of a series"):
            kinds = {str(kind) for kind in values(answer, IMAGE_TYPE)}
            # Only what says that it is something else is passed over: an archive need not tell.
            if text(answer, SOP_CLASS_UID) in ("", WHOLE_SLIDE_IMAGE) and not kinds & NOT_TISSUE:
                instance_uid = uid(text(answer, SOP_INSTANCE_UID))
                columns_px, rows_px = (number(answer, tag) or 0 for tag in (MATRIX_COLUMNS, MATRIX_ROWS))
                found[instance_uid] = ArchivedInstance(instance_uid, columns_px, rows_px)
        if len(found) > INSTANCES_AT_MOST:
            raise undocumented(ARCHIVE, f"a series of {INSTANCES_AT_MOST:,} files at most", f"{len(found):,}")
        return sorted(found.values(), key=lambda instance: (-instance.columns_px * instance.rows_px, instance.uid))

    def fetch(
        self,
        series: ArchivedSeries,
        folder: Path,
        *,
        limit_bytes: int,
        arriving: Callable[[Arriving], None] = lambda _: None,
    ) -> None:
        """Fetch the levels of a slide into a folder, one file each. Those that are whole are not fetched again.

        Parameters
        ----------
        limit_bytes : int
            The largest slide, over all its files.
        arriving : callable
            Called with each block, in this thread.

        Raises
        ------
        DownloadFailed
            Also where the disk has no room, the slide is too large, or a file is not the one that was asked for.
        Cancelled
            If this archive was told to stop; files that are whole stay.
        OSError
            If the disk is full.
        """
        instances = self.instances_of(series)
        if not instances:
            raise undocumented(ARCHIVE, "a series with levels of a slide", "none")
        folder.mkdir(parents=True, exist_ok=True)
        progress = Progress(
            {instance.file_name: instance.expected_bytes for instance in instances},
            {path.name: size_of(path) for path in folder.glob(f"*{DICOM}")},
            arriving,
        )
        for instance in instances:
            target = folder / instance.file_name
            if not target.is_file():
                self._fetch_instance(series, instance, target, limit_bytes, progress)

    def study_attributes(self, study_uid: str) -> dict[str, Any]:
        """What the archive says of a study and its patient, in the DICOM JSON model, for objects that are stored with it.

        It is not to be shown, kept or logged.

        Raises
        ------
        ArchiveRefused
            If the archive does not have the study.
        """
        found = [
            answer
            for answer in self._list("studies", {"StudyInstanceUID": study_uid}, "a study")
            if text(answer, STUDY_UID) == study_uid
        ]
        if len(found) != 1:
            raise ArchiveRefused(
                "The archive does not have the study of this slide",
                expected="the study that the slide was fetched from, once",
                found=f"{len(found)} such studies",
                action="Objects are stored only where the slide is. Fetch the slide from this archive, and score that.",
            )
        return found[0]

    def store(self, objects: dict[str, Path]) -> None:
        """Store DICOM files (STOW-RS, PS3.18 10.5), as they are read from disk.

        Parameters
        ----------
        objects : dict
            SOP Instance UID of each -> its file.

        Raises
        ------
        ArchiveRefused
            If it does not say of each of them that it keeps it; a clause for each that it does not keep, by its file's name.
        """
        boundary = secrets.token_hex(16)
        status, answer = self._service.send(
            f"{self._address}/studies",
            partial(Multipart, list(objects.values()), boundary),
            "what is to be stored",
            media_type=f'{RELATED_TYPE}; type="{DICOM_TYPE}"; boundary={boundary}',
            accept=JSON_TYPE,
            taken=STORED_STATUS,
        )
        said = parsed(answer)
        # Some wrap the one object of the answer in a list.
        whole = said[0] if isinstance(said, list) and len(said) == 1 else said
        if not isinstance(whole, dict):
            raise undocumented(ARCHIVE, "what became of each object, as JSON", f"another answer with status {status}")
        failed = {text(item, REFERENCED_INSTANCE): number(item, FAILURE_REASON) for item in values(whole, FAILED)}
        kept = {text(item, REFERENCED_INSTANCE) for item in values(whole, REFERENCED)}
        if lost := [
            f"{path.name}: {_reason(failed[object_uid]) if object_uid in failed else 'it does not say that it keeps it'}"
            for object_uid, path in objects.items()
            if object_uid in failed or object_uid not in kept
        ]:
            raise ArchiveRefused(
                f"The archive does not keep {len(lost)} of {len(objects)} objects",
                found="; ".join(lost),
                action="What it keeps stays there. Ask whoever keeps the archive, then store again.",
            )

    def _page(self, question: dict[str, Any], page: int) -> tuple[list[ArchivedSeries], bool]:
        asked = {"Modality": SLIDE_MODALITY, "limit": PAGE + 1, "offset": page * PAGE} | question
        found = [series for series in self._series(asked) if series.modality == SLIDE_MODALITY]
        return found[:PAGE], len(found) > PAGE

    def _series(self, question: dict[str, Any]) -> list[ArchivedSeries]:
        return [_series_in(answer) for answer in self._list("series", question, "the list of slides")]

    def _list(self, path: str, question: dict[str, Any], what: str) -> list[dict[str, Any]]:
        """What a search answers (QIDO-RS, PS3.18 10.6)."""
        answer = self._service.read(
            f"{self._address}/{path}", what, question=question, accept=JSON_TYPE, at_most_bytes=LIST_BYTES_AT_MOST
        )
        found = parsed(answer) if answer else []
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise undocumented(ARCHIVE, "a list as JSON", "something else")
        return found

    def _fetch_instance(
        self, series: ArchivedSeries, instance: ArchivedInstance, target: Path, limit_bytes: int, progress: Progress
    ) -> None:
        part = part_of(target)

        def keep(body: Body) -> None:
            progress.begin(target.name, body.length_bytes)
            require_room("the slide", target.parent, body.length_bytes or 0)
            with part.open("wb") as stream:
                for block in only_part(body, ARCHIVE):
                    stream.write(block)
                    if progress.add(len(block)) > limit_bytes:
                        raise DownloadFailed(
                            "The slide is larger than may be brought in",
                            expected=f"{limit_bytes / 1e9:g} GB at most",
                            found="more",
                            action="Whoever runs this server can raise CERVIX_UPLOAD_LIMIT_GB.",
                        )
                    require_room("the slide", target.parent, 0)

        path = f"studies/{series.study_uid}/series/{series.series_uid}/instances/{instance.uid}"
        try:
            self._service.take(f"{self._address}/{path}", "a file of the slide", keep, accept=WHOLE_INSTANCE)
            head = dicom_head(part)
            if head is None or (head.series_uid, head.sop_instance_uid) != (series.series_uid, instance.uid):
                raise undocumented(ARCHIVE, "the file that was asked for", "another one" if head else "no DICOM file")
            rename_for_good(part, target)
        finally:
            part.unlink(missing_ok=True)


def _series_in(answer: dict[str, Any]) -> ArchivedSeries:
    return ArchivedSeries(
        uid(text(answer, STUDY_UID)),
        uid(text(answer, SERIES_UID)),
        modality if re.fullmatch(r"[A-Z0-9_ ]{1,16}", modality := text(answer, MODALITY)) else "",
        number(answer, SERIES_INSTANCES),
    )


def _reason(code: int | None) -> str:
    digits = f"{code or 0:04X}"
    meaning = next((words for start, words in REASONS.items() if digits.startswith(start)), "it does not say why")
    return f"{meaning} (failure reason 0x{digits})"
