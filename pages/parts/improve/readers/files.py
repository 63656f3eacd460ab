"""Labels: export, import and backup."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from cervix.errors import CervixError
from cervix.interop.dicom import IDENTIFIERS_NOTE
from cervix.labels import LabelStore
from cervix.labels.files.annotations import why_no_annotations
from cervix.labels.files.moving import QUPATH, back_up, export_labels, import_labels
from cervix.people import Person
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.shared.case_words import SHA_SHOWN
from pages.parts.shared.frame import tile_classes

TABLES = {"csv": ("Every event (CSV)", "text/csv"), "parquet": ("Every event (parquet)", "application/octet-stream")}
BACKUP_AT_MOST = 3000
"""Cases; a download is held in the server's memory, and a tile takes about 80 kB."""
AS_THE_FILE_SAYS = ""


def show_files(store: LabelStore, who: Person) -> None:
    """Downloads, the backup and the import."""
    if who.plays:
        st.info("In a sandbox no labels are brought in or taken out.", icon=":material/toys:")
        return
    if not who.may_take_labels:
        st.info("Only people who are known here export and import labels.", icon=":material/lock:")
        return
    truths = store.truths("tile")
    slides = list(truths.loc[truths["label"].notna(), "source"].unique())
    about_dicom = ""
    st.header("Take along")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for suffix, (title, mime) in TABLES.items():
            _offer(title, f"labels.{suffix}", mime, lambda path: export_labels(store, path, who.name))
    if slides:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            slide = st.selectbox("Slide", slides, format_func=lambda sha: f"{sha[:SHA_SHOWN]}…", key="readers_slide", width=200)
            _offer(
                "Labels of the slide (QuPath)",
                f"labels-{slide[:SHA_SHOWN]}.geojson",
                "application/geo+json",
                lambda path: export_labels(store, path, who.name, classes=tile_classes(), slide_sha256=slide),
            )
            shelf = get_settings().shelf_dir
            reason = why_no_annotations(shelf, slide)
            about_dicom = f" {reason or IDENTIFIERS_NOTE}"
            _offer(
                "Labels of the slide (DICOM)",
                f"labels-{slide[:SHA_SHOWN]}.dcm",
                "application/dicom",
                lambda path: export_labels(store, path, who.name, classes=tile_classes(), slide_sha256=slide, shelf=shelf),
                reason,
            )
    st.caption(
        "Files name readers and hold their comments; research and demonstration only. QuPath and DICOM get the labels that "
        "count, one square a tile with its class. Each download is in the audit trail." + about_dicom
    )
    if who.may_decide:
        _show_backup(store, who)
    st.header("Bring in")
    if not who.may_label:
        st.caption("A viewer cannot import labels. Ask an admin for the role of a reader.")
        return
    _show_import(store, who, slides)


def _show_backup(store: LabelStore, who: Person) -> None:
    st.header("Backup")
    count = int(store.status()["cases"].sum())
    if count > BACKUP_AT_MOST:
        st.markdown(f"{count:,} cases are too many for a browser. On the server: `python -m cervix labels backup FILE`.")
        return
    title, mime = "The whole label store (SQLite)", "application/vnd.sqlite3"
    _offer(title, "labels-backup.sqlite", mime, lambda path: back_up(store, path, who.name))
    st.caption("Cases with pictures and histories, scores, events, audit trail. Protect it like the patient data it contains.")


def _show_import(store: LabelStore, who: Person, slides: list[str]) -> None:
    whose = "anybody's labels" if who.may_decide else "your own labels, and no adjudication"
    st.markdown(f"A table as above (CSV, parquet), or objects from QuPath (GeoJSON). You may import {whose}.")
    uploaded = st.file_uploader("Labels", type=["csv", "parquet", "geojson", "json"], key="readers_upload")
    if uploaded is None:
        return
    suffix = Path(uploaded.name).suffix.lower()
    slide, reader = AS_THE_FILE_SAYS, who.name
    if suffix in QUPATH:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            slide = st.selectbox(
                "Slide the objects lie on",
                [AS_THE_FILE_SAYS, *slides],
                format_func=lambda sha: f"{sha[:SHA_SHOWN]}…" if sha else "As the file says",
                key="readers_upload_slide",
            )
            if who.may_decide:
                reader = st.text_input("Whose labels they are", who.name, key="readers_upload_reader")
    if not st.button("Import these labels", key="readers_import", type="primary", icon=":material/upload:"):
        return
    with tempfile.TemporaryDirectory() as folder, st.spinner("Reading the file …"):
        path = Path(folder) / f"labels{suffix}"
        path.write_bytes(uploaded.getvalue())
        try:
            report = import_labels(
                store, path, who.name, slide_sha256=slide, reader=reader, only_of="" if who.may_decide else who.name
            )
        except CervixError as error:
            st.error(escaped(str(error)), icon=":material/error:")
            return
    st.success(
        f"{report.added:,} added, {report.known:,} already there, {len(report.problems):,} left out.", icon=":material/check:"
    )
    if report.problems:
        st.text("\n".join(report.problems))


def _offer(title: str, name: str, mime: str, write: Callable[[Path], object], why_not: str = "") -> None:
    """A button whose file is written when it is pressed; closed where ``why_not`` says why."""

    def content() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path)
            return path.read_bytes()

    st.download_button(
        title,
        content,
        file_name=name,
        mime=mime,
        icon=":material/download:",
        on_click="ignore",
        key=f"readers_download_{Path(name).suffix[1:]}",
        disabled=bool(why_not),
        help=why_not or None,
    )
