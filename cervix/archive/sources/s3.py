"""Slides of an object store: listed prefix by prefix, fetched into the cache."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from cervix.archive.sources.cache import Cache
from cervix.archive.sources.marks import digest_of_parts
from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.work import Found, Station, Work
from cervix.errors import (
    ArchiveRunRefused,
    Cancelled,
    NameRefused,
    SlideNotSuitable,
    SourceUnavailable,
    SourceVanished,
)
from cervix.outside_names import inside, is_litter, safe_name
from cervix.settings import Settings, get_settings
from cervix.sources.dicom import DICOM
from cervix.sources.downloads import SHORTEST_S, Arriving, Onlooker
from cervix.sources.identity import is_picture, slides_among, slides_in
from cervix.sources.mirax import MIRAX
from cervix.sources.objects import ObjectReplaced, ObjectStore, StoredObject, store_of
from cervix.sources.readers.registry import slide_suffixes

SCHEME: Final = "s3://"
REPLACED_AT_MOST: Final = 3
"""So often may an object be replaced while it is fetched, until the attempt ends."""


class S3:
    """``s3://bucket/prefix``: all below a prefix, or one object. Locators are ``s3://bucket/key``.

    A MIRAX slide has the objects below its name. The DICOM files of one prefix are one slide, fetched together.
    """

    def matches(self, source: str) -> bool:
        return source.lower().startswith(SCHEME)

    def listed(self, source: str, settings: Settings, passed: PassedOver) -> Iterator[Found]:
        bucket, prefix = parts_of_address(source)
        store = store_of(settings)
        try:
            if prefix and not prefix.endswith("/"):
                one = _object(store, bucket, prefix)
                if one is not None:
                    yield from _found(store, bucket, [one], passed)
                    return
                prefix += "/"
            any_there = False
            for found in _below(store, bucket, prefix, passed):
                any_there = True
                yield found
        except SourceVanished as error:
            raise ArchiveRunRefused("A source is not there", expected="a bucket", action="Look at its name.") from error
        if not any_there and not passed.counts:
            raise ArchiveRunRefused("A source holds no slides", expected="slides below the prefix", action="Look at its name.")

    @contextmanager
    def at_hand(self, work: Work, station: Station, onlooker: Onlooker) -> Iterator[Path]:
        bucket, key = parts_of_address(work.locator)
        store = store_of(get_settings())
        cache = Cache(station.cache_dir, station.cache_bytes)
        for _ in range(REPLACED_AT_MOST):
            objects = _objects_of(store, bucket, key)
            entry = digest_of_parts([bucket, key, *(f"{stored.key} {stored.etag}" for stored in objects)])[:32]
            size_bytes = sum(stored.bytes for stored in objects)
            fill = partial(_fetch_all, store, bucket, key, objects, onlooker)
            try:
                held = cache.held(entry, size_bytes, fill)
                folder = held.__enter__()
            except ObjectReplaced:
                continue
            try:
                yield _opening(folder, key)
            finally:
                held.__exit__(None, None, None)
            return
        raise SourceUnavailable(
            "An object changes while it is fetched", expected="one that stays as it is", action="It is tried again later."
        )


def parts_of_address(address: str) -> tuple[str, str]:
    """Bucket and key, or prefix, of ``s3://bucket/key``; ``ArchiveRunRefused`` where it names no bucket."""
    bucket, _, key = address[len(SCHEME) :].partition("/")
    if not bucket:
        raise ArchiveRunRefused("An address names no bucket", expected="s3://bucket/prefix")
    return bucket, key


def _below(store: ObjectStore, bucket: str, top: str, passed: PassedOver) -> Iterator[Found]:
    """What is held is the pictures and MIRAX slides of one prefix, and the names of prefixes."""
    waiting = [top]
    while waiting:
        prefix = waiting.pop()
        below: list[str] = []
        held: list[StoredObject] = []
        dicom: list[StoredObject] = []
        any_slide = False
        for objects, prefixes in store.page(bucket, prefix):
            below += prefixes
            plain: list[StoredObject] = []
            lists = {"slide": plain, "dicom": dicom, "held": held}
            for stored in objects:
                if kind := _kind(PurePosixPath(stored.key).name, passed):
                    lists[kind].append(stored)
            any_slide |= bool(plain)
            yield from _found(store, bucket, plain, passed)
        if dicom:
            any_slide = True
            yield Found(f"{SCHEME}{bucket}/{prefix}", _mark(dicom), sum(stored.bytes for stored in dicom))
        stems = {PurePosixPath(stored.key).stem for stored in held if stored.key.lower().endswith(MIRAX)}
        # A picture beside a slide is none, wherever on the list the slide stood.
        kept = [stored for stored in held if stored.key.lower().endswith(MIRAX) or not any_slide]
        yield from _found(store, bucket, kept, passed)
        waiting += sorted((name for name in below if _goes_on(name, stems, passed)), reverse=True)


def _kind(name: str, passed: PassedOver) -> str:
    """``slide``, ``dicom``, ``held`` (judged when its prefix is known whole), or nothing."""
    if not name or is_litter(name):
        return ""
    try:
        safe_name(name)
    except NameRefused:
        passed.add("name-refused")
        return ""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == DICOM:
        return "dicom"
    if suffix == MIRAX or is_picture(PurePosixPath(name)):
        return "held"
    if not suffix:
        passed.add("no-suffix")
    return "slide" if suffix in slide_suffixes() else ""


def _goes_on(prefix: str, stems: set[str], passed: PassedOver) -> bool:
    """Whether a prefix is looked into: not the data of a MIRAX slide, nor what is hidden."""
    name = PurePosixPath(prefix).name
    if name in stems or is_litter(name or "."):
        return False
    try:
        safe_name(name)
    except NameRefused:
        passed.add("name-refused")
        return False
    return True


def _found(store: ObjectStore, bucket: str, objects: list[StoredObject], passed: PassedOver) -> Iterator[Found]:
    by_name = {PurePosixPath(stored.key).name: stored for stored in objects}
    for slide in slides_among({PurePosixPath(name): Path() for name in by_name if not name.lower().endswith(DICOM)}):
        stored = by_name[slide[0].name]
        try:
            files = _objects_of(store, bucket, stored.key, stored)
        except SourceVanished:
            passed.add("vanished")
            continue
        yield Found(f"{SCHEME}{bucket}/{stored.key}", _mark(files), sum(file.bytes for file in files))


def _object(store: ObjectStore, bucket: str, key: str) -> StoredObject | None:
    """By its list, which says what is wrong where a question for the object alone answers with a number."""
    objects, _ = next(iter(store.page(bucket, key)))
    return next((stored for stored in objects if stored.key == key), None)


def _objects_of(store: ObjectStore, bucket: str, key: str, known: StoredObject | None = None) -> list[StoredObject]:
    """All objects of a slide as they are now, the one that opens it first."""
    if key.endswith("/") or not key:
        found = [one for page, _ in store.page(bucket, key) for one in page if one.key.lower().endswith(DICOM)]
    else:
        first = known or _object(store, bucket, key)
        found = [first] if first else []
        if found and key.lower().endswith(MIRAX):
            found += [one for page, _ in store.page(bucket, f"{key[: -len(MIRAX)]}/", delimiter="") for one in page]
    if not found:
        raise SourceVanished("The slide is not any more where it was listed", action="List the archive again.")
    return found


def _mark(objects: list[StoredObject]) -> str:
    if len(objects) == 1:
        return objects[0].etag.strip('"')
    return f"{len(objects)} objects {digest_of_parts(f'{stored.key} {stored.etag}' for stored in objects)[:16]}"


def _fetch_all(
    store: ObjectStore, bucket: str, key: str, objects: list[StoredObject], onlooker: Onlooker, folder: Path
) -> None:
    told = _Telling(sum(stored.bytes for stored in objects), onlooker)
    above = key.rpartition("/")[0]
    for stored in objects:
        # Names within a MIRAX folder stand in its list, and series are told apart by what is in the files: ours would do as
        # well, but those of the store are what a person finds again.
        target = inside(folder, stored.key[len(above) + 1 if above else 0 :])
        target.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(bucket, stored, target, told)


class _Telling:
    """Tells an onlooker of each block of a slide, and stops for it."""

    def __init__(self, total_bytes: int, onlooker: Onlooker) -> None:
        self._total_bytes, self._onlooker = total_bytes, onlooker
        self._done_bytes, self._started_s = 0, time.monotonic()

    def __call__(self, block_bytes: int) -> None:
        if self._onlooker.cancel.is_set():
            raise Cancelled("The download was stopped")
        self._done_bytes += block_bytes
        bytes_s = self._done_bytes / max(time.monotonic() - self._started_s, SHORTEST_S)
        self._onlooker.arriving(Arriving(self._done_bytes, max(self._total_bytes, self._done_bytes, 1), bytes_s))


def _opening(folder: Path, key: str) -> Path:
    """The file that opens a fetched slide."""
    if key and not key.endswith("/"):
        return inside(folder, PurePosixPath(key).name)
    slides = slides_in(folder)
    if len(slides) != 1:
        raise SlideNotSuitable(
            "A prefix with DICOM files is not one slide",
            expected="one series with levels of a slide",
            found=f"{len(slides)} such series",
            action="Put each series under a prefix of its own.",
        )
    return slides[0]
