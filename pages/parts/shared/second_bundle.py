"""A model beside the one at work, of another bundle of this server or of the same: chosen in a popover, proved once, kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.promotion.candidates import candidate_folders
from cervix.promotion.others import OtherBundle, active_sha256, other_bundles, proved_other
from cervix.settings import get_settings
from pages.parts.shared.frame import kept

NOT_ACTIVE, ACTIVE = "not the active bundle", "the active bundle"


Fitting = Callable[[OtherBundle], Sequence[Model] | str]
"""The models of a bundle that can stand beside the one at work, or why there is none, in a few words."""


@dataclass(frozen=True)
class Held:
    """The model that was chosen and its bundle; without one where it was refused."""

    sha256: str
    model_id: str
    bundle: Bundle | None
    problem: str = ""
    """Why it was refused; Markdown."""


@dataclass(frozen=True)
class _Offer:
    """What can be chosen: a model of a bundle that is not proved yet."""

    other: OtherBundle
    model: Model
    title: str


def choose_second(
    bundle: Bundle, place: str, fitting: Fitting, *, what: str = "bundle", own: Sequence[Model] = ()
) -> Held | None:
    """Offer what can stand beside the model at work in a popover, where there is any; what is chosen, proved, or None.

    Parameters
    ----------
    place : of the page, in keys
    fitting : which models of another bundle of this server can be compared there
    what : what is compared, in a word
    own : models of the bundle at work that can be compared there
    """
    others = kept(f"{place}_others", (bundle.sha256, _mark()), lambda: other_bundles(get_settings(), bundle.sha256))
    if not others and not own:
        return _hold(place, None, bundle)
    able = {f"{bundle.sha256} {model.id}": _Offer(_as_other(bundle), model, f"{model.title}, of this bundle") for model in own}
    reasons = []
    for other in others:
        found = fitting(other)
        if isinstance(found, str):
            reasons.append(f"{escaped(other.label)} cannot be compared here: {escaped(found)}")
            continue
        for model in found:
            title = other.label + (" (active)" if other.active else "") + (f", {model.title}" if len(found) > 1 else "")
            able[f"{other.sha256} {model.id}"] = _Offer(other, model, title)
    picked = f"{place}_other_bundle"
    if st.session_state.get(picked) not in able:
        st.session_state.pop(picked, None)
    with st.popover(f"Compare {what}s", icon=":material/compare:", key=f"{place}_compare"):
        st.selectbox(
            f"Compare with another {what}",
            list(able),
            index=None,
            placeholder=f"Choose a {what}" if able else f"No other {what} can be compared here",
            format_func=lambda name: able[name].title,
            disabled=not able,
            key=picked,
        )
        for why in reasons:
            st.caption(why)
        st.caption("Bundles come to this server on the page Improve, under Compare.")
    return _hold(place, able.get(st.session_state.get(picked, "")), bundle)


def held_second(place: str) -> Held | None:
    """What ``choose_second`` gave last on that page."""
    held: Held | None = st.session_state.get(f"{place}_other_held")
    return held


def status_of(bundle: Bundle) -> str:
    """Whether a bundle is the active one, in words."""
    return ACTIVE if bundle.sha256 == active_sha256(get_settings()) else NOT_ACTIVE


def _as_other(bundle: Bundle) -> OtherBundle:
    return OtherBundle(bundle.root, bundle.manifest, bundle.sha256, bundle.sha256 == active_sha256(get_settings()), False)


def _hold(place: str, offer: _Offer | None, at_work: Bundle) -> Held | None:
    """Prove the chosen bundle once; what it lacks is kept as a sentence."""
    name, held = f"{place}_other_held", held_second(place)
    if offer is None:
        st.session_state.pop(name, None)
        return None
    other, model_id = offer.other, offer.model.id
    if other.sha256 == at_work.sha256:
        held = Held(other.sha256, model_id, at_work)
    elif held is not None and held.sha256 == other.sha256:
        held = replace(held, model_id=model_id)
    else:
        with st.spinner("Proving the other bundle …"):
            try:
                held = Held(other.sha256, model_id, proved_other(other, get_settings().device))
            except CervixError as error:
                held = Held(other.sha256, model_id, None, escaped(str(error)))
    st.session_state[name] = held
    return held


def _mark() -> tuple[object, ...]:
    """Changes when a bundle comes, goes, or becomes active: a manifest takes long to read at every click."""
    settings = get_settings()
    folders = sorted(candidate_folders(settings.bundles_dir).values())
    return (active_sha256(settings), *((folder.name, (folder / "manifest.json").stat().st_mtime_ns) for folder in folders))
