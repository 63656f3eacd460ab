"""A run as it goes: how far, how fast, how long still, what failed and why, who has which slide in hand."""

from pathlib import PurePosixPath

import streamlit as st

from cervix.archive.desk_runs import DeskRun
from cervix.archive.results.reading import reading
from cervix.archive.results.watching import Failure, Watched, watched
from cervix.errors import ArchiveRunRefused, LabelStoreUnavailable
from cervix.plain_text import escaped
from pages.parts.archive.resources import desk, has_ledger
from pages.parts.shared.frame import duration
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store

POLL_EVERY_S = 2.0
REFUSED = "archive_refused"
MENDING = {
    "source-unavailable": "Look whether the place answers, then try the failed again.",
    "source-vanished": "It is not there any more. Put it back, then try the failed again.",
    "slide-not-readable": "The file is damaged or no slide: export it from the scanner again.",
    "slide-damaged": "Too much of it cannot be read: export it from the scanner again.",
    "slide-scale-unknown": "The file does not say its scale: list it with micrometres per pixel in a manifest.",
    "slide-not-suitable": "It is not what the model was made for, as one that is too coarse.",
    "lost-apart": "Whatever opened it was killed, often because memory ran out: look at the file alone.",
    "slide-wrong-stain": "It does not look like H&E. Where it is, score it on the page Slide, knowingly.",
    "slide-no-tissue": "No tissue was found on it. If there is some, score it on the page Slide.",
}
"""How each frequent failure can be mended; the sentence of the failure itself says the rest."""
STATE_WORDS = {"refused": "not scored", "quarantined": "set aside", "waiting": "tried again"}


def show_watched(run_id: str) -> None:
    """The run from above; polled while it goes."""
    run = desk().run(run_id)
    with st.container(key="archive_watched"):
        if run is not None:
            # A fragment whether it is polled or not: it is a place of its own, and what was drawn within one and is then drawn
            # without stands there twice until the whole page is drawn again.
            polled = run.state == "running"
            st.fragment(_show, run_every=POLL_EVERY_S if polled else None)(run_id, polled)
    if words := st.session_state.pop(REFUSED, ""):
        st.error(words, icon=":material/block:")


def _show(run_id: str, polled: bool) -> None:
    run = desk().run(run_id)
    if run is None or (run.state == "running") != polled:
        st.rerun()
    _show_now(run)


def _show_now(run: DeskRun) -> None:
    now = None
    if has_ledger(run):
        try:
            with reading(desk().folder(run)) as connection:
                now = watched(connection)
        except ArchiveRunRefused as error:
            st.error(escaped(str(error)), icon=":material/error:")
            return
    # Places of their own: what moves up as the run ends would stand there twice until the whole page is drawn again.
    bar, message, figures = st.container(), st.container(), st.container()
    if run.state != "done":
        with bar.container(horizontal=True, vertical_alignment="center", key="archive_bar"):
            st.progress(now.ended / now.slides if now is not None and now.slides else 0.0, _progress_words(run, now))
            _show_buttons(run, now)
        if run.message:
            message.warning(escaped(run.message), icon=":material/info:")
    if now is not None and now.slides:
        with figures:
            _show_figures(run, now)


def _progress_words(run: DeskRun, now: Watched | None) -> str:
    if now is None or not now.slides:
        return "Listing the slides …" if run.state == "running" else "No slide was listed."
    told = f"**{now.ended:,} of {now.slides:,}** slides"
    if run.state != "running":
        return told
    if desk().is_stopping(run):
        return f"{told} · stopping: the batches in hand are finished …"
    if now.paused:
        return f"{told} · paused: nothing new is begun"
    pace = f" · {now.per_minute:.1f} slides/min" if now.per_minute is not None else ""
    left = f" · about {duration(now.left_s)} left" if now.left_s else ""
    return f"{told}{pace}{left}"


def _show_buttons(run: DeskRun, now: Watched | None) -> None:
    if not person().may_run_archive or (run.state == "running" and desk().is_stopping(run)):
        return
    if run.state == "running":
        paused = now is not None and now.paused
        if paused:
            _button("Go on", "play_arrow", run, "go on", "primary")
        else:
            _button("Pause", "pause", run, "pause", disabled=now is None)
        _button("Stop", "stop", run, "stop")
    elif run.state != "done":
        _button("Go on", "play_arrow", run, "go on", "primary")
    if now is not None and run.state == "running":
        _show_retry(run, now)


def _show_retry(run: DeskRun, now: Watched) -> None:
    if person().may_run_archive and now.states.get("refused", 0) + now.states.get("quarantined", 0):
        _button("Try the failed again", "refresh", run, "retry")


def _button(title: str, icon: str, run: DeskRun, what: str, kind: str = "secondary", *, disabled: bool = False) -> None:
    st.button(title, icon=f":material/{icon}:", key=f"archive_{what.replace(' ', '_')}", type=kind,  # type: ignore[arg-type]
              on_click=_do, args=(run, what), disabled=disabled)  # fmt: skip


def _do(run: DeskRun, what: str) -> None:
    who = person().name
    try:
        label_store().audit_append(who, f"archive {what}", run.order.title, {"run": run.id})
        if what == "stop":
            desk().stop(run, who)
        elif what == "pause":
            desk().pause(run)
        elif what == "retry":
            desk().retry(run)
        else:
            desk().go_on(run)
    except (ArchiveRunRefused, LabelStoreUnavailable) as error:
        st.session_state[REFUSED] = escaped(str(error))


def _show_figures(run: DeskRun, now: Watched) -> None:
    told = {name: now.states.get(name, 0) for name in ("done", "waiting", "running", "refused", "quarantined", "duplicate")}
    parts = [
        *([f"**{run.state.capitalize()}**"] if run.state != "running" else []),
        f"**{told['done']:,}** scored ({100 * told['done'] / now.slides:.0f} %)",
        *([f"**{told['running']:,}** in hand, **{told['waiting']:,}** waiting"] if run.state != "done" else []),
        f"**{told['refused']:,}** not scored",
        f"**{told['quarantined']:,}** set aside after every try failed",
        *([f"**{told['duplicate']:,}** seen twice and scored once"] if told["duplicate"] else []),
        *([f"**{now.tiles_per_s:,.0f}** tiles/s"] if run.state == "running" and now.tiles_per_s else []),
    ]
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="archive_figures"):
        st.markdown(" · ".join(parts), width="content")
        if not person().may_browse:
            return
        if now.failures:
            with st.popover(f"Why not scored ({len(now.failures):,})", icon=":material/report:", key="archive_failures"):
                _show_failures(now.failures)
        if run.state == "running":
            with st.popover(f"Workers ({len(now.workers):,})", icon=":material/memory:", key="archive_workers"):
                _show_workers(now)
        else:
            _show_retry(run, now)


def _show_failures(failures: list[Failure]) -> None:
    for failure in failures:
        words = STATE_WORDS.get(failure.state, failure.state)
        example = ", for example" if failure.reasons > 1 else ""
        st.markdown(f"**{failure.slides:,} {words}{example}:** {escaped(failure.reason)}")
        if failure.code in MENDING:
            st.caption(MENDING[failure.code])


def _show_workers(now: Watched) -> None:
    if not now.workers:
        st.write("None has begun yet.")
        return
    for one in now.workers:
        slide = escaped(PurePosixPath(one.locator).name)
        hand = "waits for a slide" if one.place is None else f"{slide}, attempt {one.attempt}"
        st.markdown(f"**{escaped(one.name)}** ({escaped(one.device) or 'opening its session'}): {hand}")
