"""What every page shares: the bundle, the strip with the research notice and the provenance, its own first line."""

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle, ModelSession
from cervix.bundle.active import SHIPPED, ActiveBundle, PromotionLine, active_bundle, promotion_line
from cervix.bundle.classes import ClassInfo
from cervix.bundle.loading import read_manifest
from cervix.bundle.sessions import CPU_PROVIDER, Device
from cervix.bundle.signature import signature_words
from cervix.errors import BundleError
from cervix.plain_text import escaped
from cervix.settings import get_settings
from cervix.web import proved
from pages.parts.shared.glossary import show_glossary
from pages.parts.shared.sandbox import in_sandbox, leave_sandbox
from pages.parts.shared.sign_in import show_reach, show_who

Made = TypeVar("Made")
STILL_CHART = {"displayModeBar": False}
LOOKS = Path(__file__).resolve().parents[2] / "components" / "looks.css"
BUNDLE = "session_bundle"
BUNDLE_LEFT = "session_bundle_left"


# Two at once after a promotion; sessions that still use a third hold it themselves.
@st.cache_resource(max_entries=2, show_spinner="Checking the bundle: every file by its hash, every model by recorded answers …")
def _verified(root: Path, device: Device, sha256: str, _active: ActiveBundle) -> Bundle:  # noqa: ARG001 - the key
    return proved(_active, device)


def active_now() -> Bundle:
    """The bundle that is active on this server, proved once per process and again when it changes; else ``BundleError``."""
    settings = get_settings()
    active = active_bundle(settings)
    return _verified(active.root, settings.device, active.sha256, active)


def verified_bundle() -> Bundle:
    """The bundle of this session: the one that was active when it started, for as long as that lies where it did.

    Raises ``BundleError`` where the session has none yet and the active one does not prove itself.
    """
    held: Bundle | None = st.session_state.get(BUNDLE)
    if held is not None:
        if _still_there(held):
            return held
        st.session_state[BUNDLE_LEFT] = held.label
        use_active_bundle()
    active = active_now()
    st.session_state[BUNDLE] = active
    return active


def use_active_bundle() -> None:
    """Let this session turn to the active bundle."""
    st.session_state.pop(BUNDLE, None)


def _still_there(bundle: Bundle) -> bool:
    """Pages read figures and tables from the bundle's folder when they need them, so it must be the same there."""
    try:
        return read_manifest(bundle.root)[1] == bundle.sha256
    except BundleError:
        return False


def bundle_or_stop() -> Bundle:
    """The bundle of this session; where there is none, say why and draw nothing that would need it."""
    return _found_or_stop(verified_bundle)


def active_or_stop() -> Bundle:
    """The bundle that is active on this server, whichever this session uses; likewise."""
    return _found_or_stop(active_now)


def _found_or_stop(find: Callable[[], Bundle]) -> Bundle:
    try:
        return find()
    except BundleError as error:
        st.error(f"The bundle was refused, so nothing can be scored. {escaped(str(error))}", icon=":material/gpp_bad:")
        st.stop()


def class_title(label: str) -> str:
    """A class in the words of this session's bundle; the class itself where it has none such, or was refused."""
    held: Bundle | None = st.session_state.get(BUNDLE)
    return held.manifest.class_titles.get(label, label) if held is not None else label


def tile_classes() -> list[ClassInfo]:
    """The classes of tiles in this session's bundle; none where it was refused."""
    held: Bundle | None = st.session_state.get(BUNDLE)
    return [item for model in held.manifest.of_kind("tile")[:1] for item in model.classes] if held is not None else []


def leading_session(bundle: Bundle) -> ModelSession:
    """The session whose device is named for the bundle: the slide model's, or the first where there is none."""
    models = bundle.manifest.of_kind("tile") or bundle.manifest.models
    return bundle.session(models[0].id)


def devices_line(bundle: Bundle) -> str:
    """Device and precision that really run: of slides, and of patients where they differ."""
    slides = leading_session(bundle).device_label
    others = {session.device_label for session in bundle.sessions.values() if session.model.kind != "tile"}
    patients = sorted(others - {slides})
    return f"{slides} (slides); {', '.join(patients)} (patients)" if patients else slides


def provider_line(bundle: Bundle) -> str:
    """Where scoring really runs, for people."""
    session = leading_session(bundle)
    if on_cpu(bundle):
        why = "chosen by CERVIX_DEVICE" if get_settings().device == "cpu" else "no usable GPU on this machine"
        return f"CPU ({session.variant.precision}); {why}"
    return f"GPU ({session.variant.precision}, {session.provider.removesuffix('ExecutionProvider')})"


def leave_libraries_alone() -> None:
    """After a page has loaded what it needs: spare the collection after every run what is alive now.

    Streamlit collects garbage over all objects of all libraries then: 170 ms in which nothing is sent to any browser, and
    longer than a reader at the label desk should wait.
    """
    _frozen(len(sys.modules))


@st.cache_resource(max_entries=1, show_spinner=False)
def _frozen(loaded: int) -> None:  # noqa: ARG001 - the key: only what new modules brought is new
    gc.collect()
    gc.freeze()


def show_strip() -> None:
    """On top of every screen, one line: the notice, and behind a popover which bundle, version and device are at work."""
    notice, chip, bundle = f"**{RESEARCH_NOTICE}**", "No valid bundle", None
    with suppress(BundleError):
        bundle = verified_bundle()
        if any(model.organs_seen and not model.saw_cervix for model in bundle.manifest.of_kind("tile")):
            notice += " The slide model never saw a cervix."
        chip = f"Bundle {escaped(bundle.manifest.version)} · {'CPU' if on_cpu(bundle) else 'GPU'}"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="strip"):
        st.markdown(notice)
        with st.container(horizontal=True, width="content", gap="small", vertical_alignment="center"):
            if in_sandbox():
                st.button(
                    "Sandbox: nothing is kept. Leave",
                    key="leave_sandbox",
                    on_click=_leave,
                    type="tertiary",
                    icon=":material/toys:",
                    help="Cases, readers and the candidate are made up; what you do here is deleted when you leave.",
                )
            show_glossary()
            with st.popover(
                chip, type="tertiary", icon=":material/verified:" if bundle else ":material/gpp_bad:", key="provenance"
            ):
                _show_provenance(bundle)
            show_who()
        st.html(LOOKS)
    show_reach()
    _show_other_bundle()


def since_words(line: PromotionLine) -> str:
    """Since when the active bundle is active, and who made it so."""
    if line.changed_at is None:
        return f"Active is {SHIPPED}; none has been promoted here."
    how = "promoted" if line.promotions and line.promotions[-1].promoted_at == line.changed_at else "brought back"
    return f"Active since {line.changed_at:%Y-%m-%d %H:%M} UTC, {how} by {line.changed_by}."


def _leave() -> None:
    st.session_state.pop("tour", None)
    leave_sandbox()


def _show_provenance(bundle: Bundle | None) -> None:
    """Which bundle answers here, whether it proved itself, and where it runs."""
    if bundle is None:
        st.write("The bundle was refused, so nothing can be scored.")
    else:
        st.markdown(f"**Bundle {escaped(bundle.label)}**")
        st.write(
            f"Verified: {len(bundle.manifest.files)} files by their hash; {len(bundle.checks)} recorded answers given again by "
            "the device that runs."
        )
        st.write(f"Signature: {escaped(signature_words(bundle.root, bundle.manifest, bundle.sha256))}.")
        st.write(f"Scoring on {provider_line(bundle)}. {devices_line(bundle)}.")
        for model in bundle.manifest.models:
            st.markdown(f"**{escaped(model.title)}**: {escaped(model.limits[0])}")
    with suppress(BundleError):
        # As plain text: a name is no markup.
        st.text(since_words(promotion_line(get_settings())))
    st.write(f"Cervix Workbench {__version__} · {datetime.now(UTC):%Y-%m-%d}")


def page_line(title: str) -> DeltaGenerator:
    """The first line of a page: its title, and beside it whatever the page puts into the container returned."""
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium", key="page_line")
    line.title(title, anchor=False, width="content")
    return line


def on_cpu(bundle: Bundle) -> bool:
    """Whether slides are scored without a GPU."""
    return leading_session(bundle).provider == CPU_PROVIDER


def _show_other_bundle() -> None:
    """What an open session must know about its bundle: it was replaced, or another has become active."""
    held: Bundle | None = st.session_state.get(BUNDLE)
    if held is None:
        return
    if left := st.session_state.get(BUNDLE_LEFT):
        st.warning(
            f"{escaped(left)}, with which this session started, is no longer in its folder. It now uses {escaped(held.label)}."
        )
    try:
        active = active_bundle(get_settings())
    except BundleError as error:
        st.warning(f"This session keeps the bundle it started with. {escaped(str(error))}", icon=":material/gpp_bad:")
        return
    if active.sha256 == held.sha256:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(
            f"**{escaped(active.label)}** is now the active bundle. This session keeps {escaped(held.label)}, with "
            "which it started.",
            icon=":material/upgrade:",
        )
        st.button("Use it now", key="use_active_bundle", on_click=use_active_bundle)


def show_metrics(figures: dict[str, tuple[str, str]]) -> None:
    """Figures side by side, as many as fit: title -> (value, caption)."""
    with st.container(horizontal=True, gap="medium"):
        for title, (value, detail) in figures.items():
            st.metric(title, value, delta=detail, delta_color="off", delta_arrow="off", width="content")


def kept(name: str, key: object, make: Callable[[], Made]) -> Made:
    """What this session made last under a name, made again when its key changes: shared, not copied, and not to be changed.

    ``st.cache_data`` would copy a table of half a million rows at every click.
    """
    held = st.session_state.get(name)
    if held is None or held[0] != key:
        held = st.session_state[name] = (key, make())
    made: Made = held[1]
    return made


def sentence_case(header: str) -> str:
    """A column header as shown in a table on a page: ``n`` stays, other words are capitalised."""
    return header if len(header) == 1 else header[:1].upper() + header[1:]


def duration(seconds: float) -> str:
    """A stretch of time as people say it."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
