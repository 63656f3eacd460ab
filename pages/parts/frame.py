"""What every page shares: the bundle, the research notice, the provenance line."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import streamlit as st

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle, ModelSession, load_bundle
from cervix.bundle.sessions import CPU_PROVIDER, Device
from cervix.errors import BundleError
from cervix.settings import get_settings
from cervix.slides.decision import CLASS_TITLES as SLIDE_CLASS_TITLES
from pages.parts.gate import show_who

Made = TypeVar("Made")
STILL_CHART = {"displayModeBar": False}
CLASS_TITLES = {
    **SLIDE_CLASS_TITLES,
    "no": "Negative", "yes": "Positive",
    "squamous": "Squamous CIN2+", "glandular": "Glandular CIN2+",
}  # fmt: skip


@st.cache_resource(show_spinner="Checking the bundle: hashes, signatures, golden vectors …")
def _verified_bundle(root: Path, device: Device, manifest_changed: float) -> Bundle:  # noqa: ARG001 - part of the key
    return load_bundle(root, device=device)


def verified_bundle() -> Bundle:
    """The bundle, proved once per process and again when its manifest changes; ``BundleError`` otherwise."""
    settings = get_settings()
    manifest = settings.bundle_dir / "manifest.json"
    changed = manifest.stat().st_mtime if manifest.is_file() else 0.0
    return _verified_bundle(settings.bundle_dir, settings.device, changed)


def bundle_or_stop() -> Bundle:
    """The bundle; where it does not prove itself, say why and draw nothing that would need it."""
    try:
        return verified_bundle()
    except BundleError as error:
        st.error(f"The bundle was refused, so nothing can be scored. {error}", icon=":material/gpp_bad:")
        st.stop()


def leading_session(bundle: Bundle) -> ModelSession:
    """The session whose device is named for the bundle: the slide model's, or the first where there is none."""
    return bundle.sessions.get("slide") or next(iter(bundle.sessions.values()))


def provider_line(bundle: Bundle) -> str:
    """Where scoring really runs, for people."""
    session = leading_session(bundle)
    if session.provider == CPU_PROVIDER:
        why = "chosen by CERVIX_DEVICE" if get_settings().device == "cpu" else "no usable GPU on this machine"
        return f"CPU ({session.variant.precision}); {why}"
    return f"GPU ({session.variant.precision}, {session.provider.removesuffix('ExecutionProvider')})"


def show_banner() -> None:
    """What stands on every screen: the notice, and which bundle, version and device are at work."""
    st.warning(f"**{RESEARCH_NOTICE}** Slide model trained on lung tissue, not on cervix.", icon=":material/science:")
    try:
        bundle = verified_bundle()
        facts = f"Bundle {bundle.label} · scoring on {leading_session(bundle).device_label}"
    except BundleError:
        facts = "No valid bundle"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{facts} · Cervix Workbench {__version__} · {datetime.now(UTC):%Y-%m-%d}")
        show_who()


def show_metrics(figures: dict[str, tuple[str, str]]) -> None:
    """Figures side by side, as many as fit: title -> (value, what stands under it)."""
    with st.container(horizontal=True, gap="medium"):
        for title, (value, detail) in figures.items():
            st.metric(title, value, delta=detail, delta_color="off", delta_arrow="off", width="content")


def kept(name: str, key: object, make: Callable[[], Made]) -> Made:
    """What this session made last under a name, made anew when its key changes: shared, not copied, and not to be changed.

    ``st.cache_data`` would copy a table of half a million rows at every click.
    """
    held = st.session_state.get(name)
    if held is None or held[0] != key:
        held = st.session_state[name] = (key, make())
    made: Made = held[1]
    return made


def sentence_case(header: str) -> str:
    """A column header as it stands in a table on a page: ``n`` stays, other words begin large."""
    return header if len(header) == 1 else header[:1].upper() + header[1:]


def duration(seconds: float) -> str:
    """A stretch of time as people say it."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
