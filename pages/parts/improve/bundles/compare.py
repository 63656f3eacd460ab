"""Compare and promote: a candidate beside the active bundle, a verdict by rules set beforehand, promotion and roll back."""

import hashlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from cervix.bundle import Bundle
from cervix.card.comparison import comparison_text
from cervix.errors import CervixError
from cervix.improving import newest_folder
from cervix.plain_text import escaped
from cervix.promotion.candidates import candidate_folders, keep_bundle, unpack_bundle
from cervix.promotion.comparison import BundleComparison, compare_bundles
from cervix.promotion.proving import load_candidate
from cervix.settings import get_settings
from pages.parts.improve.bundles.comparison import (
    show_figures,
    show_manifest_differences,
    show_model,
    show_verdict,
    show_what_counts,
)
from pages.parts.improve.bundles.labelled import show_on_labelled
from pages.parts.improve.bundles.promotion import line_or_none, show_done, show_promotion, show_roll_back
from pages.parts.improve.bundles.registry import registry_button, show_registry
from pages.parts.improve.sample import show_empty
from pages.parts.shared.frame import active_or_stop, kept
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop

TAKEN = "compare_uploads_taken"
JUST_KEPT = "compare_just_kept"
TOLD, THERE = "compare_told", "compare_there"
FOLDER_WIDTH = 340


def with_folder(active: Bundle, folder: Path) -> BundleComparison:
    """The active bundle beside the one in a folder."""
    return compare_bundles(active, load_candidate(folder, device=get_settings().device))


def with_upload(active: Bundle, content: bytes) -> BundleComparison:
    """The active bundle beside one that came as a zip, which is not kept."""
    with tempfile.TemporaryDirectory() as place:
        archive = Path(place) / "bundle.zip"
        archive.write_bytes(content)
        return with_folder(active, unpack_bundle(archive, Path(place)))


def compared(active: Bundle, key: str, make: Callable[[], BundleComparison]) -> BundleComparison:
    """A comparison, made once a session."""
    with st.spinner("Proving the candidate, then comparing every figure in 1,000 paired bootstrap samples …"):
        return kept("comparison", (active.sha256, key), make)


def keep_upload(content: bytes, comparison: BundleComparison) -> None:
    """Keep an uploaded candidate on this server, and choose it there."""
    store = label_store_or_stop()
    with tempfile.TemporaryDirectory() as place, st.spinner("Unpacking and checking every file …"):
        archive = Path(place) / "bundle.zip"
        archive.write_bytes(content)
        folder = keep_bundle(archive, get_settings().bundles_dir)
    store.audit_append(person().name, "keep bundle", comparison.candidate, {"folder": folder.name})
    st.session_state[TAKEN] += 1
    st.session_state[JUST_KEPT] = folder.name
    st.rerun()


def show_compare() -> None:
    """A candidate beside the active bundle: the verdict, what may be done with it, then every figure."""
    show_done()
    place = st.container(horizontal=True, vertical_alignment="center", key="compare_line")
    # It must be there also where the active bundle cannot be used.
    show_roll_back(line_or_none())
    active = active_or_stop()
    if (added := show_registry()) is not None:
        st.session_state[JUST_KEPT] = added.name
    with place:
        chosen, uploaded, found = _choose(active)
    try:
        if uploaded is not None:
            content, folder = uploaded, None
            comparison = compared(active, hashlib.sha256(content).hexdigest(), partial(with_upload, active, content))
        elif chosen:
            content, folder = b"", found[chosen]
            changed = (folder / "manifest.json").stat().st_mtime_ns
            comparison = compared(active, f"{folder} {changed}", partial(with_folder, active, folder))
        else:
            show_empty(
                "Nothing to compare yet. A candidate comes from a retraining, or as a zip of its folder: the button above. An "
                "uploaded one is compared and forgotten, unless it is kept.",
                "compare",
                ":material/difference:",
                ("retrain", "Retrain"),
            )
            st.stop()
    except CervixError as error:
        st.error(f"The candidate was refused, so nothing is compared. {escaped(str(error))}", icon=":material/gpp_bad:")
        st.stop()
    if st.session_state.get(TOLD) != comparison.candidate_sha256:
        # The steps above tell of a comparison only once there is one.
        st.session_state[TOLD] = comparison.candidate_sha256
        st.rerun()

    show_verdict(comparison)
    show_figures(comparison)
    show_promotion(comparison, folder, partial(keep_upload, content, comparison))
    show_what_counts(comparison)
    for model in comparison.changed:
        show_model(model, comparison.margins)
    show_on_labelled(active, comparison, folder)
    show_manifest_differences(comparison)
    st.download_button(
        "Download the comparison (Markdown)",
        lambda: comparison_text(comparison).encode(),
        file_name="bundle-comparison.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
        key="compare_download",
    )


def _choose(active: Bundle) -> tuple[str | None, bytes | None, dict[str, Path]]:
    """The candidate: the name of its folder, or the zip that was brought; and the folders there are."""
    found = candidate_folders(get_settings().bundles_dir)
    if JUST_KEPT in st.session_state:
        st.session_state["compare_folder"] = st.session_state.pop(JUST_KEPT)
    elif "compare_folder" not in st.session_state or (
        st.session_state["compare_folder"] is None and sorted(found) != st.session_state.get(THERE)
    ):
        # Whoever comes, or stays until there is one, sees the newest compared; whoever then chooses none does not.
        newest = newest_folder(get_settings(), active)
        st.session_state["compare_folder"] = newest.name if newest is not None else None
    st.session_state[THERE] = sorted(found)
    chosen = st.selectbox(
        "Candidate on this server",
        list(found),
        index=None,
        placeholder="Choose a candidate" if found else "No candidate on this server",
        disabled=not found,
        key="compare_folder",
        width=FOLDER_WIDTH,
        label_visibility="collapsed",
    )
    uploaded = None
    # What hides in a popover must not be set from here: the browser would answer with what it had before.
    with st.popover("Bring one", icon=":material/upload:", key="compare_bring"):
        if person().may_bring_bundles:
            uploaded = st.file_uploader(
                "A candidate as a zip", type=["zip"], key=f"compare_upload_{st.session_state.setdefault(TAKEN, 0)}"
            )
        else:
            st.caption("Only readers and admins can bring a candidate, and nobody into a sandbox.")
    registry_button()
    st.markdown(f"beside the active **{escaped(active.label)}**")
    return chosen, None if uploaded is None else uploaded.getvalue(), found
