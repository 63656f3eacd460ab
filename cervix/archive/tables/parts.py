"""Which files a table of many women consists of."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from cervix.archive.runs import is_of_a_run, require_text
from cervix.archive.sources.marks import mark_of_stats
from cervix.archive.sources.s3 import SCHEME, parts_of_address
from cervix.archive.tables.partition import kind_of_header
from cervix.archive.work import Found
from cervix.errors import ArchiveRunRefused, PatientFileError
from cervix.outside_names import is_litter
from cervix.patients.blocks import open_patients
from cervix.settings import Settings
from cervix.sources.objects import store_of
from cervix.sources.readers.registry import slide_suffixes

PARQUET_SUFFIX: Final = ".parquet"
TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")
SUFFIXES: Final = (PARQUET_SUFFIX, *TEXT_SUFFIXES)


def are_tables(sources: Sequence[str]) -> bool:
    """Whether sources are tables of women rather than slides.

    Raises ``ArchiveRunRefused`` where some are and others are not.
    """
    found = {source: _is_table(source) for source in sources}
    if len(set(found.values())) > 1:
        raise ArchiveRunRefused(
            "Some sources are slides and others are tables of women",
            expected="one or the other in a run",
            action="Begin a run for the slides and one for the tables, each with an --out of its own.",
        )
    return any(found.values())


def _is_table(source: str) -> bool:
    if "://" in source:
        return PurePosixPath(source).suffix.lower() == PARQUET_SUFFIX
    path = Path(source)
    if path.is_dir():
        return _is_folder_of_tables(path)
    suffix = path.suffix.lower()
    return path.is_file() and (suffix == PARQUET_SUFFIX or (suffix in TEXT_SUFFIXES and _is_of_women(path)))


def _is_folder_of_tables(folder: Path) -> bool:
    """By its own files: tables, and no slide among them."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file() and not is_litter(entry.name)]
    tables = [name for name in names if name.lower().endswith(PARQUET_SUFFIX)]
    texts = sorted(name for name in names if name.lower().endswith(TEXT_SUFFIXES))
    if not tables and not (texts and _is_of_women(folder / texts[0])):
        return False
    if any(name.lower().endswith(slide_suffixes()) for name in names):
        raise ArchiveRunRefused("A folder holds slides and tables", expected="one or the other", action="Name the files.")
    return True


def _is_of_women(path: Path) -> bool:
    try:
        kind_of_header(open_patients(path).header)
    except PatientFileError:
        return False
    return True


def parts_of(sources: Sequence[str], settings: Settings) -> Iterator[Found]:
    """The files of all sources, in order; Parquet and delimited text.

    Raises ``ArchiveRunRefused`` where a source is not there or holds none.
    """
    for source in sources:
        found = list(_in_store(source, settings) if source.lower().startswith(SCHEME) else _on_disk(Path(source)))
        if not found:
            raise ArchiveRunRefused("A source holds no table", expected=f"files such as {', '.join(SUFFIXES)}")
        yield from found


def _on_disk(path: Path) -> Iterator[Found]:
    files = [path] if path.is_file() else []
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not is_litter(name) and not is_of_a_run(Path(folder, name)))
        files += [Path(folder, name) for name in sorted(names) if name.lower().endswith(SUFFIXES) and not is_litter(name)]
    for file in files:
        # Neither links nor pipes, which whoever opens them would wait for.
        if file == path or (file.is_file() and not file.is_symlink()):
            require_text([str(file.resolve())])
            size_and_time = file.stat()
            yield Found(str(file.resolve()), mark_of_stats([size_and_time]), size_and_time.st_size)


def _in_store(source: str, settings: Settings) -> Iterator[Found]:
    bucket, prefix = parts_of_address(source)
    for page, _ in store_of(settings).page(bucket, prefix, delimiter=""):
        for stored in page:
            if stored.key.lower().endswith(SUFFIXES):
                yield Found(f"{SCHEME}{bucket}/{stored.key}", stored.etag.strip('"'), stored.bytes)
