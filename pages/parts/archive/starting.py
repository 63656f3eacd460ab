"""A new run: where the slides lie, how many there are and how long they take, and the button that starts it."""

from functools import partial

import streamlit as st

from cervix.archive.checking import check_source
from cervix.archive.desk_runs import DeskOrder
from cervix.archive.estimate import Estimate
from cervix.archive.offers import OBJECTS, SAMPLES, Offer, offers, typed_source
from cervix.bundle import Bundle
from cervix.errors import ArchiveRunRefused, LabelStoreUnavailable, NameRefused
from cervix.jobs import Job
from cervix.plain_text import escaped
from cervix.settings import Settings, get_settings
from pages.parts.archive.resources import board, desk, forget_new_run
from pages.parts.shared.frame import duration, provider_line
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store

POLL_EVERY_S = 1.0
CHECKED = "archive_checked"
TYPED = "typed"
WORDS = (
    "A run scores every slide of a folder or an archive, one after the other, with one bundle to its end. "
    "It goes on when this page is closed and when the server is restarted; no slide is scored twice, and one that cannot be "
    "scored is set aside with the reason."
)


def show_empty(bundle: Bundle) -> None:
    """No run yet: what one is, and the two ways to see one."""
    with st.container(border=True, key="archive_empty"):
        st.markdown("**Score many slides at once.** No run has been started on this server yet.")
        st.markdown(WORDS)
        if person().may_run_archive:
            st.button("Try it on the sample slides", type="primary", icon=":material/science:", key="archive_try",
                      on_click=_try_samples, args=(bundle,),
                      help="Five drawn slides that come with the app: done within a minute or two.")  # fmt: skip
        else:
            st.caption("An admin of this server can start one; then this page shows how far it is and what it found.")
    _say_refusal()
    if person().may_run_archive:
        show_new_run(bundle)


def show_new_run(bundle: Bundle) -> None:
    """The form: source, check, start."""
    if desk().runs():
        st.button("Back to the runs", icon=":material/arrow_back:", key="archive_back", on_click=forget_new_run)
        _say_refusal()
    st.header("A new run", anchor=False)
    picked = _pick_source()
    if picked is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        look = st.button("Check", icon=":material/fact_check:", key="archive_check", help="Counts the slides; scores nothing.")
        # One button of a page is the first to press: without a run, that of the samples, until somebody has checked a source.
        leads = bool(desk().runs()) or st.session_state.get(CHECKED) == picked.source
        st.button("Start", type="primary" if leads else "secondary", icon=":material/play_arrow:", key="archive_start",
                  on_click=_start, args=(picked, bundle))  # fmt: skip
    if look:
        st.session_state[CHECKED] = picked.source
        board().submit(_check_key(picked.source), partial(_check, picked.source, get_settings(), bundle))
    if st.session_state.get(CHECKED) == picked.source:
        _show_check(picked.source)
    st.caption(f"With bundle {escaped(bundle.label)}, on {provider_line(bundle)}.")


def _pick_source() -> Offer | None:
    settings = get_settings()
    offered = {offer.id: offer for offer in offers(settings)}
    titles = {name: offer.title for name, offer in offered.items()} | {TYPED: "Another place …"}
    name = st.radio(
        "Where are the slides?", list(titles), format_func=titles.__getitem__, key="archive_source", horizontal=True
    )
    if name in offered:
        return offered[name]
    text = st.text_input("Place", key="archive_place", placeholder="s3://bucket/prefix, or a folder within a server folder")
    if not text:
        return None
    try:
        source = typed_source(text, settings)
        return Offer(TYPED, "Object store" if source.startswith(OBJECTS) else "Folder within a server folder", source)
    except (ArchiveRunRefused, NameRefused) as error:
        st.error(escaped(str(error)), icon=":material/block:")
        return None


def _check_key(source: str) -> str:
    return f"check {source}"


def _check(source: str, settings: Settings, bundle: Bundle, job: Job[tuple[int, int], object]) -> Estimate:
    return check_source(source, settings, bundle, lambda *step: setattr(job, "progress", step))


def _show_check(source: str) -> None:
    job = board().get(_check_key(source))
    if job is not None and job.active:
        _watch_check(source)
    elif job is not None and job.state == "failed":
        st.error(escaped(job.error), icon=":material/error:")
    elif job is not None and isinstance(job.result, Estimate):
        st.info(_check_words(job.result), icon=":material/fact_check:")


@st.fragment(run_every=POLL_EVERY_S)
def _watch_check(source: str) -> None:
    job = board().get(_check_key(source))
    if job is None or not job.active:
        st.rerun()
    found, looked = job.progress or (0, 0)
    st.caption(f"Looking … {found:,} slides so far" + (f", {looked} of them opened" if looked else ""))


def _check_words(found: Estimate) -> str:
    if not found.slides:
        return "There is no slide here. Folders are looked through with what lies in them."
    size = f", {found.size}" if found.bytes else ""
    unusable = f" {found.unusable:,} of these cannot be scored." if found.unusable else ""
    spread = ""
    is_sample = found.looked_at < found.slides
    if found.seconds_low is not None and found.seconds_high is not None and is_sample:
        spread = f", likely {duration(found.seconds_low)} to {duration(found.seconds_high)}"
    looked_at = f"{found.looked_at:,} of them, drawn at random," if is_sample else "all of them"
    return (
        f"**{found.slides:,} slide{'' if found.slides == 1 else 's'}**{size}: about **{duration(found.seconds)}** on "
        f"{found.device}{spread}. From the tissue of {looked_at} and {found.tiles_per_s:,.0f} tiles/s.{unusable}"
    )


def _try_samples(bundle: Bundle) -> None:
    _start(next(offer for offer in offers(get_settings()) if offer.id == SAMPLES), bundle)


def _start(picked: Offer, bundle: Bundle) -> None:
    settings = get_settings()
    order = DeskOrder(
        title=picked.title, sources=[picked.source], by=person().name, bundle_root=bundle.root, bundle_sha256=bundle.sha256,
        device=settings.device,
    )  # fmt: skip
    try:
        # First, as for every decision: without a trail nothing is begun.
        label_store().audit_append(person().name, "archive start", picked.title, {"bundle_sha256": bundle.sha256})
        forget_new_run(desk().start(order))
    except (ArchiveRunRefused, LabelStoreUnavailable) as error:
        st.session_state["archive_refused"] = escaped(str(error))


def _say_refusal() -> None:
    if words := st.session_state.pop("archive_refused", ""):
        st.error(words, icon=":material/block:")
