"""Slides of the hospital's archive: all that a search finds, fetched into the cache.

What is fetched is not cleaned as uploads are. It lies in the cache, which is this account's alone, until others need the room;
levels alone are fetched, without photographs of label and glass, and pages show the picture alone.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from cervix.archive.sources.cache import Cache, too_large
from cervix.archive.sources.marks import digest_of_parts
from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.work import Found, Station, Work
from cervix.errors import ArchiveRunRefused, DownloadFailed, SourceUnavailable, SourceVanished
from cervix.settings import Settings, get_settings
from cervix.sources.dicom import DICOM
from cervix.sources.dicomweb import Archive, ArchivedSeries, archive_of
from cervix.sources.downloads import Arriving, Onlooker

SCHEME: Final = "dicomweb:"
# A keyword of DICOM (PS3.6) or a tag.
_ATTRIBUTE: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,63}|[0-9A-Fa-f]{8}")
# What says who somebody is (PS3.3 C.7.1.1) would stay in the order of the run.
_OF_PATIENTS: Final = re.compile(r"(Other)?Patient|0010", re.IGNORECASE)
_SERIES: Final = re.compile(r"([0-9.]{1,64})/([0-9.]{1,64})")
VALUE_LENGTH: Final = 64


class Dicomweb:
    """``dicomweb:?StudyDate=20260101-20261130``: all slides that ``CERVIX_DICOMWEB_URL`` finds. Locators name one series."""

    def matches(self, source: str) -> bool:
        return source.lower().startswith(SCHEME)

    def listed(self, source: str, settings: Settings, passed: PassedOver) -> Iterator[Found]:
        del passed
        if _SERIES.fullmatch(source[len(SCHEME) :]):
            yield Found(source, "", 0)
            return
        question = _question(source[len(SCHEME) :])
        try:
            with archive_of(settings) as archive:
                for found in archive.found(question):
                    series = found.series
                    mark = f"{series.instances} instances" if series.instances is not None else ""
                    yield Found(f"{SCHEME}{series.study_uid}/{series.series_uid}", mark, site=found.site, day=found.day)
        except DownloadFailed as error:
            raise _not_now(error) from error

    @contextmanager
    def at_hand(self, work: Work, station: Station, onlooker: Onlooker) -> Iterator[Path]:
        match = _SERIES.fullmatch(work.locator[len(SCHEME) :])
        if match is None:
            raise SourceVanished("The ledger names no series", expected="study and series", action="List the archive again.")
        series = ArchivedSeries(match[1], match[2], "SM", None)
        cache = Cache(station.cache_dir, station.cache_bytes)
        with archive_of(get_settings(), cancel=onlooker.cancel) as archive:
            try:
                instances = archive.instances_of(series)
            except DownloadFailed as error:
                raise _what_became(archive, series, error) from error
            if not instances:
                raise SourceVanished("The archive has no level of this slide any more", action="List the archive again.")
            # A guess, until all of it is here.
            size_bytes = min(int(sum(instance.expected_bytes for instance in instances)), station.cache_bytes)
            key = digest_of_parts([series.study_uid, series.series_uid, *(instance.uid for instance in instances)])[:32]
            with cache.held(key, size_bytes, partial(_fetch, archive, series, station.cache_bytes, onlooker)) as folder:
                yield min(folder.glob(f"*{DICOM}"))


def _question(text: str) -> dict[str, str]:
    """The attributes of a search."""
    question = dict(parse_qsl(text.removeprefix("?"), keep_blank_values=True))
    if text and not text.startswith("?"):
        raise ArchiveRunRefused("A search is not written as one", expected="dicomweb:?Modality=SM&StudyDate=20260101-20261130")
    for name, value in question.items():
        if not _ATTRIBUTE.fullmatch(name) or len(value) > VALUE_LENGTH or not value.isprintable():
            raise ArchiveRunRefused(
                "A search names what is no attribute", expected="keywords of DICOM, each with a short value"
            )
        if _OF_PATIENTS.match(name):
            raise ArchiveRunRefused(
                "A search names patients",
                expected="attributes of studies and series; what is ordered is kept with the run",
                found="an attribute of patients",
            )
    return question


def _fetch(archive: Archive, series: ArchivedSeries, limit_bytes: int, onlooker: Onlooker, folder: Path) -> None:
    largest = 0

    def arriving(now: Arriving) -> None:
        nonlocal largest
        largest = max(largest, now.done_bytes)
        onlooker.arriving(now)

    try:
        archive.fetch(series, folder, limit_bytes=limit_bytes, arriving=arriving)
    except DownloadFailed as error:
        if largest > limit_bytes:
            raise too_large(limit_bytes, "more") from error
        raise _what_became(archive, series, error) from error


def _what_became(archive: Archive, series: ArchivedSeries, error: DownloadFailed) -> SourceVanished | SourceUnavailable:
    """Whether a slide that cannot be had is gone: its study is asked which series it has."""
    try:
        there = any(other.series_uid == series.series_uid for other in archive.series_of(series.study_uid))
    except DownloadFailed:
        return _not_now(error)
    if there:
        return _not_now(error)
    return SourceVanished("The archive does not have the slide any more", action="List the archive again.")


def _not_now(error: DownloadFailed) -> SourceUnavailable:
    return SourceUnavailable(error.problem, expected=error.expected, found=error.found, action=error.action)
