"""The page's resources: the desk of this server, which run is looked at, work in the background."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import streamlit as st

from cervix.archive.desk import ArchiveDesk
from cervix.archive.desk_runs import DeskRun
from cervix.archive.ledger import LEDGER_NAME
from cervix.jobs import JobBoard
from cervix.settings import get_settings
from cervix.sources.downloads import Arriving
from pages.parts.shared.people import person

RUN, NEW = "archive_run", "archive_new"
VIEWS = {"slides": "Slides", "found": "Summary and drift"}
HELD = "archive_held"


@st.cache_resource
def _desk(archive_dir: Path, results_dir: Path) -> ArchiveDesk:
    return ArchiveDesk(archive_dir, results_dir)


def desk() -> ArchiveDesk:
    """The one archive desk of this server."""
    settings = get_settings()
    return _desk(settings.archive_dir, settings.results_dir)


@st.cache_resource
def board() -> JobBoard[tuple[int, int], object]:
    """Work of this page in the background: checks of a source, pictures, tables."""
    return JobBoard()


@st.cache_resource
def fetches() -> JobBoard[Arriving, Path]:
    """Slides of other stores on their way into the cache of this server."""
    return JobBoard()


def has_ledger(run: DeskRun) -> bool:
    """Whether a run has got as far as its ledger."""
    return (desk().folder(run) / LEDGER_NAME).is_file()


def ledger_mark(run: DeskRun) -> tuple[int, ...]:
    """Changes whenever the ledger does."""
    marks: list[int] = []
    for name in (LEDGER_NAME, f"{LEDGER_NAME}-wal"):
        path = desk().folder(run) / name
        # Whoever reads makes an empty log and takes it away again.
        if path.is_file() and (stat := path.stat()).st_size:
            marks += [stat.st_mtime_ns, stat.st_size]
    return tuple(marks)


def remembered(key: str, options: Collection[str] | None = None) -> str:
    """The key of a choice that is still made when somebody comes back from the viewer.

    Streamlit forgets what a field held as soon as a page without it is shown. Call it before the field is drawn.

    Parameters
    ----------
    options : collection, optional
        What can be chosen now: another run may lack what was chosen before.
    """
    held = st.session_state.setdefault(HELD, {})
    if key in st.session_state:
        held[key] = st.session_state[key]
    elif key in held:
        st.session_state[key] = held[key]
    value: Any = st.session_state.get(key)
    if options is not None and value:
        several = value if isinstance(value, list) else [value]
        known = [one for one in several if one in options]
        if known != several:
            held.pop(key)
            st.session_state.pop(key)
            if known:
                held[key] = st.session_state[key] = known
    return key


def choose_view() -> str:
    """The list of slides, or what it amounts to; viewers have neither."""
    if not person().may_browse:
        return "slides"
    key = remembered("archive_view", VIEWS)
    # Not as its default: a value that was put back and a default cannot both be.
    st.session_state.setdefault(key, "slides")
    view = st.segmented_control(
        "What to see",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        key=key,
        required=True,
        label_visibility="collapsed",
    )
    return view or "slides"


def chosen_run(runs: list[DeskRun]) -> DeskRun:
    """The run that is looked at: the one chosen, else the latest; beside it the way to a new one."""
    by_id = {run.id: run for run in runs}
    if st.session_state.get(remembered(RUN, by_id)) not in by_id:
        st.session_state[RUN] = runs[0].id
    picked = st.selectbox("Run", list(by_id), format_func=lambda run: _title(by_id[run]), key=RUN, label_visibility="collapsed")
    if person().may_run_archive:
        is_running = any(run.state == "running" for run in runs)
        st.button(
            "New run",
            icon=":material/add:",
            key="archive_new_run",
            on_click=ask_for_new_run,
            disabled=is_running,
            help="One run at a time: they would share the device." if is_running else None,
        )
    return by_id[picked]


def _title(run: DeskRun) -> str:
    return f"{run.started:%Y-%m-%d %H:%M} · {run.order.title}"


def ask_for_new_run() -> None:
    """Show the form for a new run in place of the runs there are."""
    st.session_state[NEW] = True


def forget_new_run(run: DeskRun | None = None) -> None:
    """Back to the runs, and to one of them where it is named."""
    st.session_state.pop(NEW, None)
    if run is not None:
        st.session_state[RUN] = run.id


def new_run_asked() -> bool:
    """Whether somebody who may start a run wants the form for it."""
    return bool(st.session_state.get(NEW)) and person().may_run_archive
