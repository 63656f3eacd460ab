"""Labels out to files and in from files, by the suffix of the file, each time written down in the audit trail."""

from collections.abc import Sequence
from pathlib import Path

from cervix.bundle.classes import ClassInfo
from cervix.labels.files.annotations import write_annotations
from cervix.labels.files.exchange import ImportReport, read_events, write_events
from cervix.labels.files.qupath import read_qupath, write_qupath
from cervix.labels.store.label_store import LabelStore
from cervix.sources.dicom import DICOM

QUPATH = (".geojson", ".json")
OF_A_SLIDE = (*QUPATH, DICOM)
"""Files that hold the labels of one slide, with the words of its classes."""


def export_labels(
    store: LabelStore,
    path: Path,
    by: str,
    *,
    classes: Sequence[ClassInfo] = (),
    slide_sha256: str = "",
    reader: str = "",
    shelf: Path | None = None,
) -> int:
    """Write every event as ``.csv`` or ``.parquet``, or one slide's labels as ``.geojson`` or ``.dcm``; returns how many rows.

    Parameters
    ----------
    by : who does it
    classes, slide_sha256, reader : as ``write_qupath`` takes them; of no use to a table
    shelf : as ``write_annotations`` takes it; of use to DICOM alone
    """
    if shelf is not None and path.suffix.lower() == DICOM:
        count = write_annotations(store, slide_sha256, path, shelf, classes=classes, reader=reader)
    elif path.suffix.lower() in QUPATH:
        count = write_qupath(store, slide_sha256, path, classes=classes, reader=reader)
    else:
        count = write_events(store, path)
    store.audit_append(by, "export", path.name, {"rows": count})
    return count


def import_labels(
    store: LabelStore,
    path: Path,
    by: str,
    *,
    classes: Sequence[ClassInfo] = (),
    slide_sha256: str = "",
    reader: str = "",
    only_of: str = "",
) -> ImportReport:
    """Add what such a file says, each event once.

    Parameters
    ----------
    by : who does it
    classes, slide_sha256, reader : as ``read_qupath`` takes them; of no use to a table
    only_of : as ``read_events`` takes it; of no use to GeoJSON, whose labels are ``reader``'s

    Raises
    ------
    LabelRefused
        If the file is not one of labels.
    """
    if path.suffix.lower() in QUPATH:
        report = read_qupath(store, path, reader, classes=classes, slide_sha256=slide_sha256)
    else:
        report = read_events(store, path, only_of=only_of)
    counts = {"added": report.added, "known": report.known, "left out": len(report.problems)}
    store.audit_append(by, "import", path.name, counts)
    return report


def back_up(store: LabelStore, path: Path, by: str) -> None:
    """Write everything to one SQLite file; see ``LabelStore.backup``."""
    store.backup(path)
    store.audit_append(by, "backup", path.name)
