"""Where a slide comes from: the case shelf, an upload, a folder on the server, one seen before."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import streamlit as st

from cervix.errors import UploadRefused
from cervix.intake.inbox import list_inbox
from cervix.intake.shelf import thumbnail_path
from cervix.plain_text import escaped
from cervix.samples.cases import CASES
from cervix.samples.slides import Sample, samples_at_hand
from cervix.settings import get_settings
from cervix.sources.identity import files_of
from cervix.web import upload_store
from pages.parts.shared.components import uploader
from pages.parts.shared.people import person
from pages.parts.shared.shelf import show_shelf
from pages.parts.slide.archive import show_archive
from pages.parts.slide.look import CHOSEN, choose, choose_case, choose_sample, close
from pages.parts.slide.resources import seen_lately, small_overview, sweep_uploads, upload_url, uploaded_slides

PICTURE_TYPES = ["png", "jpg", "jpeg", "tif", "tiff"]
CARDS_A_PAGE = 8
CHOICES_A_ROW = 4
RECENT_AT_MOST = 24
ORDERS: dict[Literal["newest", "name", "largest"], str] = {
    "newest": "Newest first",
    "name": "By name",
    "largest": "Largest first",
}


def show_intake() -> None:
    """The ways in; a slide that is chosen is left in the session's state, and the page runs again."""
    settings = get_settings()
    sweep_uploads(settings.home)
    browsed = settings.inbox if person().may_browse else ()
    archive = bool(settings.archive_url) and person().may_browse
    ways = ["Upload", *(["Server folders"] if browsed else []), *(["Archive"] if archive else []), "Recent slides"]
    way = st.segmented_control("Where is the slide?", ways, default="Upload", key="slide_way", label_visibility="collapsed")
    if way == "Server folders":
        _show_inbox(browsed)
    elif way == "Archive":
        show_archive()
    elif way == "Recent slides":
        _show_recent(settings.shelf_dir)
    else:
        _show_upload(settings.upload_limit_gb, settings.uploads_keep_hours)


def show_switch() -> None:
    """Once a slide is open, all of it behind one chip: which it is, other cases, and the ways to bring another."""
    name = st.session_state["slide_name"]
    key = f"slide_switch_{st.session_state.get(CHOSEN, 0)}"
    with st.popover(escaped(name) if name else "This slide", icon=":material/folder_open:", key=key):
        show_intake()
        st.markdown("**Cases to try**")
        with st.container(horizontal=True, gap="small"):
            for case_id, title, story, pick in _slide_cases():
                if st.button(title, key=f"slide_case_{case_id}", help=story):
                    pick()
                    st.rerun()


def show_cases() -> None:
    """The slides of the shelf as cards, and the other samples at hand."""
    show_shelf([case for case in CASES if case.page == "slide"])
    with st.container(horizontal=True, gap="small"):
        for sample in _other_samples():
            if st.button(sample.title, icon=":material/science:", key=f"slide_case_{sample.id}", help=sample.story):
                choose_sample(sample)
                st.rerun()


def _other_samples() -> list[Sample]:
    """Samples at hand that are no case of the shelf."""
    known = {case.id for case in CASES}
    return [sample for sample in samples_at_hand(get_settings()) if sample.id not in known]


def _slide_cases() -> list[tuple[str, str, str, Callable[[], None]]]:
    """Id, title, story and how to open it, of each slide of the shelf and of each other sample at hand."""
    return [
        *((case.id, case.title, case.story, partial(choose_case, case)) for case in CASES if case.page == "slide"),
        *((sample.id, sample.title, sample.story, partial(choose_sample, sample)) for sample in _other_samples()),
    ]


def _show_upload(limit_gb: float, keep_hours: float) -> None:
    result = uploader(
        key="slide_uploader",
        data={
            "url": upload_url(),
            "limit_bytes": int(limit_gb * 1e9),
            "hint": f"SVS, TIFF, NDPI, SCN, BIF, CZI, MRXS, DICOM · up to {limit_gb:g} GB · deleted after {keep_hours:g} h",
        },
        on_done_change=lambda: None,
    )
    if result.done:
        slides = uploaded_slides(str(result.done["upload"]))
        st.session_state["slide_batch"] = slides
        if slides:
            first = next(iter(slides))
            choose(first, name=str(result.done["name"]) if len(slides) == 1 else slides[first])
            st.rerun()
    with st.expander("A single picture (PNG, JPEG, small TIFF)"):
        _take_picture()
    _choose_of_batch(st.session_state.get("slide_batch", {}))


def _choose_of_batch(slides: dict[Path, str]) -> None:
    """Which slide of an upload of several to look at. Their names are this session's, and nowhere on disk."""
    there = [(path, name) for path, name in slides.items() if path.is_file()]
    if len(slides) < 2 or not there:
        return
    pages = -(-len(there) // CARDS_A_PAGE)
    st.caption(f"{len(there):,} slides arrived; choose one")
    page = st.number_input(f"Page of {pages}", 1, pages, 1, key="batch_page", width=140) if pages > 1 else 1
    choices = []
    with st.spinner("Drawing thumbnails …"):
        for path, name in there[(page - 1) * CARDS_A_PAGE : page * CARDS_A_PAGE]:
            whole = sum(file.stat().st_size for file in files_of(path))
            choices.append((path, small_overview(path, whole, path.stat().st_mtime), name, _size(whole)))
    _show_choices("batch", choices)


def _take_picture() -> None:
    picture = st.file_uploader("RGB picture, up to 200 MB", type=PICTURE_TYPES, key="slide_upload")
    if picture is None or st.session_state.get("slide_upload_id") == picture.file_id:
        return
    st.session_state["slide_upload_id"] = picture.file_id
    try:
        path = upload_store().store_picture(picture.name, picture.getbuffer())
    except UploadRefused as error:
        st.error(escaped(str(error)))
    except OSError as error:
        st.error(f"The upload could not be kept on the server: {error.strerror}. Free some space and upload it again.")
    else:
        choose(path, name=picture.name)
        st.rerun()


def _show_inbox(folders: tuple[Path, ...]) -> None:
    words, ordering = st.columns([3, 1], vertical_alignment="bottom")
    search = words.text_input("Search", placeholder="part of a name", key="inbox_search")
    order = ordering.selectbox("Sort", list(ORDERS), format_func=ORDERS.__getitem__, key="inbox_order")
    entries = list_inbox(folders, search=search, order=order)
    if not entries:
        found = "has no such slide" if search else "is empty"
        st.info(f"The inbox {found}. Slides put into {', '.join(map(str, folders))} appear here.")
        return
    pages = -(-len(entries) // CARDS_A_PAGE)
    page = st.number_input(f"Page of {pages}", 1, pages, 1, key="inbox_page", width=140) if pages > 1 else 1
    shown = entries[(page - 1) * CARDS_A_PAGE : page * CARDS_A_PAGE]
    st.caption(f"{len(entries):,} slides")
    with st.spinner("Drawing thumbnails …"):
        choices = [
            (
                entry.path,
                small_overview(entry.path, entry.bytes, entry.modified),
                entry.name,
                f"{_size(entry.bytes)} · {datetime.fromtimestamp(entry.modified, UTC):%Y-%m-%d}",
            )
            for entry in shown
        ]
    _show_choices("inbox", choices)


def _show_recent(shelf: Path) -> None:
    seen = seen_lately(RECENT_AT_MOST)
    if not seen:
        mine = "You have opened no slide yet. Slides that others opened are shown to readers only."
        st.info("No slide has been opened here yet." if person().may_browse else mine)
        return
    choices = [
        (
            entry.path,
            str(thumbnail_path(shelf, entry.sha256)),
            f"{entry.width_l0_px:,} × {entry.height_l0_px:,} px",
            f"{entry.vendor} · {entry.sha256[:8]}… · {entry.seen[:16].replace('T', ' ')} UTC",
        )
        for entry in seen
    ]
    _show_choices("recent", choices)


def _show_choices(kind: str, choices: Sequence[tuple[Path, str | None, str, str]]) -> None:
    """Slides as a grid: picture, what it is, a button to open it. Names are shown as they are, never as markup."""
    for start in range(0, len(choices), CHOICES_A_ROW):
        columns = st.columns(CHOICES_A_ROW)
        for place, (path, thumbnail, title, detail) in enumerate(choices[start : start + CHOICES_A_ROW]):
            with columns[place].container(border=True):
                if thumbnail and Path(thumbnail).is_file():
                    st.image(thumbnail, width="stretch")
                else:
                    st.caption("This file cannot be read as a slide.")
                st.text(title)
                st.caption(detail)
                if st.button("Open slide", key=f"{kind}_open_{start + place}", disabled=thumbnail is None, width="stretch"):
                    choose(path, name="" if kind == "recent" else title)
                    st.rerun()


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def show_upload_fate(sha256: str) -> None:
    """For an uploaded slide: keep it longer, or delete it now."""
    store = upload_store()
    path = st.session_state["slide_path"]
    if store.sha256_at(path) != sha256 or not person().may_delete:
        return
    keep, delete = st.columns([3, 1], vertical_alignment="center")
    kept = keep.toggle("Keep this upload on the server", value=store.is_kept(sha256), key=f"slide_keep_{sha256}")
    if kept != store.is_kept(sha256):
        store.keep(sha256, kept)
    if delete.button("Delete it now", icon=":material/delete:", key="slide_delete"):
        store.delete(sha256)
        close()
        st.rerun()
