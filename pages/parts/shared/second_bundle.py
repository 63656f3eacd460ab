"""Another bundle of this server beside the one at work: chosen in a popover, proved once, kept by the session."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.promotion.candidates import candidate_folders
from cervix.promotion.others import OtherBundle, active_sha256, other_bundles, proved_other
from cervix.settings import get_settings
from pages.parts.shared.frame import kept

NOT_ACTIVE, ACTIVE = "not the active bundle", "the active bundle"


@dataclass(frozen=True)
class Held:
    """The bundle that was chosen; without one where it was refused."""

    sha256: str
    bundle: Bundle | None
    problem: str = ""
    """Why it was refused; Markdown."""


def choose_second(bundle: Bundle, place: str, unfit: Callable[[OtherBundle], str]) -> Held | None:
    """Offer the other bundles of this server in a popover, where there are any; the one that is chosen, proved, or None.

    Parameters
    ----------
    place : of the page, in keys
    unfit : why a bundle cannot be compared there, in a few words; empty for one that can
    """
    others = kept(f"{place}_others", (bundle.sha256, _mark()), lambda: other_bundles(get_settings(), bundle.sha256))
    if not others:
        return _hold(place, None)
    reasons = {other.sha256: unfit(other) for other in others}
    able = {other.sha256: other for other in others if not reasons[other.sha256]}
    picked = f"{place}_other_bundle"
    if st.session_state.get(picked) not in able:
        st.session_state.pop(picked, None)
    with st.popover("Compare bundles", icon=":material/compare:", key=f"{place}_compare"):
        st.selectbox(
            "Compare with another bundle",
            list(able),
            index=None,
            placeholder="Choose a bundle" if able else "No other bundle can be compared here",
            format_func=lambda sha256: able[sha256].label + (" (active)" if able[sha256].active else ""),
            disabled=not able,
            key=picked,
        )
        for other in others:
            if why := reasons[other.sha256]:
                st.caption(f"{escaped(other.label)} cannot be compared here: {escaped(why)}")
        st.caption("Bundles come to this server on the page Improve, under Compare.")
    return _hold(place, able.get(st.session_state.get(picked, "")))


def held_second(place: str) -> Held | None:
    """What ``choose_second`` gave last on that page."""
    held: Held | None = st.session_state.get(f"{place}_other_held")
    return held


def status_of(bundle: Bundle) -> str:
    """Whether a bundle is the active one, in words."""
    return ACTIVE if bundle.sha256 == active_sha256(get_settings()) else NOT_ACTIVE


def _hold(place: str, other: OtherBundle | None) -> Held | None:
    """Prove the chosen bundle once; what it lacks is kept as a sentence."""
    name, held = f"{place}_other_held", held_second(place)
    if other is None:
        st.session_state.pop(name, None)
        return None
    if held is None or held.sha256 != other.sha256:
        with st.spinner("Proving the other bundle …"):
            try:
                held = Held(other.sha256, proved_other(other, get_settings().device))
            except CervixError as error:
                held = Held(other.sha256, None, escaped(str(error)))
        st.session_state[name] = held
    return held


def _mark() -> tuple[object, ...]:
    """Changes when a bundle comes, goes, or becomes active: a manifest takes long to read at every click."""
    settings = get_settings()
    folders = sorted(candidate_folders(settings.bundles_dir).values())
    return (active_sha256(settings), *((folder.name, (folder / "manifest.json").stat().st_mtime_ns) for folder in folders))
