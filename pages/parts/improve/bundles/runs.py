"""The retrain page's pieces: labels, the running run, how runs ended."""

from pathlib import Path

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.bundle.manifest import ModelId
from cervix.labels import LabelStore
from cervix.plain_text import escaped
from cervix.retraining import RETRAINABLE, LabelCounts, RetrainingDesk, Run, count_labels
from cervix.retraining.log import LogLine, read_log
from cervix.settings import get_settings
from pages.parts.shared.case_words import labelled_classes
from pages.parts.shared.frame import duration
from pages.parts.shared.improve_step import open_step
from pages.parts.shared.people import person

POLL_EVERY_S = 1.0
LOG_LINES = 12
RUNS_SHOWN = 20
COLUMNS = {"title": "Label", "cases": "Cases", "new": "New", "groups": "Slides or women", "model": "Model"}
STATES = {
    "done": ("Candidate made", "check_circle"),
    "refused": ("Refused", "gpp_bad"),
    "failed": ("Failed", "error"),
    "stopped": ("Stopped", "stop_circle"),
    "interrupted": ("Interrupted", "power_off"),
}


@st.cache_resource
def _desk(runs_dir: Path, bundles_dir: Path) -> RetrainingDesk:
    return RetrainingDesk(runs_dir, bundles_dir)


def desk() -> RetrainingDesk:
    """The one retraining desk of this server."""
    return _desk(get_settings().retraining_dir, get_settings().bundles_dir)


def label_counts(store: LabelStore, bundle: Bundle) -> dict[ModelId, LabelCounts]:
    """By model that can be retrained and that the bundle has; ``LabelStoreUnavailable`` where the store cannot be read."""
    return {
        model.id: count_labels(
            store.truths(kind := RETRAINABLE[model.kind]),
            kind,
            labelled_classes(bundle, kind) if store.classes(kind) else {},
            bundle.manifest.created,
        )
        for model_kind in RETRAINABLE
        for model in bundle.manifest.of_kind(model_kind)[:1]
    }


def show_labels(counts: dict[ModelId, LabelCounts], bundle: Bundle) -> None:
    """How many labels count, by model and class."""
    tables = [count.by_class.assign(model=bundle.manifest.model(name).title) for name, count in counts.items()]
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty or not table["cases"].sum():
        return
    st.subheader("Labels")
    st.dataframe(table[list(COLUMNS)].rename(columns=COLUMNS), hide_index=True, height="content", key="retrain_labels")
    open_cases = sum(count.open_cases for count in counts.values())
    left_out = f" Disputed, unsure or unusable, and so left out: {open_cases:,}." if open_cases else ""
    st.caption(
        f"Cases whose label counts: all readers agree, or somebody adjudicated.{left_out} New ones were settled after the "
        f"active bundle {bundle.manifest.version} was made, on {bundle.manifest.created:%Y-%m-%d}."
    )


@st.fragment(run_every=POLL_EVERY_S)
def show_running(run_id: str) -> None:
    """The run that is under way, polled; the whole page runs again when it ends."""
    run = desk().run(run_id)
    if run is None or run.state != "running":
        st.rerun()
    told = read_log(desk().log_path(run))
    bar, stop = st.columns([6, 1], vertical_alignment="center")
    progress = told.progress
    stopping = desk().is_stopping(run)
    bar.progress(progress.share if progress else 0.0, "Stopping …" if stopping else _progress_line(run, progress))
    if person().may_retrain and not stopping:
        with stop.popover("Stop run", icon=":material/stop:", width="stretch", key="retrain_stop_ask"):
            st.write("What this run has done so far is discarded.")
            if st.button("Stop and discard", type="primary", key="retrain_stop"):
                desk().stop(run, person().name)
                st.rerun(scope="fragment")
    st.caption(f"{_order_line(run)} It continues when this page is closed and when the app is restarted.")
    st.code("\n".join(told.words[-LOG_LINES:]) or "Waiting for the first line of the log …", None, wrap_lines=True)


def _progress_line(run: Run, progress: LogLine | None) -> str:
    passed = f"{duration(run.elapsed_s)} so far"
    if progress is None:
        return f"Starting · {passed}"
    left = run.left_s(progress.share, desk().log_path(run).stat().st_mtime)
    rest = f" · about {duration(left)} left" if left is not None else ""
    doing = f" · {progress.message}" if progress.message else ""
    return f"{progress.share:.0%}{doing} · {passed}{rest}"


def _order_line(run: Run) -> str:
    order = run.order
    seed = "the recipe's seed" if order.seed is None else f"seed {order.seed}"
    return (
        f"Retrains {_models(run)}, recipe {order.recipe}, {seed}, from {order.bundle_label}; "
        f"started by {order.by} on {run.started:%Y-%m-%d %H:%M} UTC."
    )


def _models(run: Run) -> str:
    return " and ".join(run.order.models)


def show_outcome(run: Run) -> None:
    """How the last run ended, and where to go from there."""
    if run.state == "done":
        st.success(f"**Candidate {escaped(run.candidate)}** is in `{run.candidate_dir.name}`.", icon=":material/check_circle:")
        st.button(
            "Compare it with the active bundle",
            type="primary",
            icon=":material/difference:",
            key="retrain_compare",
            on_click=open_step,
            args=("compare",),
        )
        return
    title, icon = STATES[run.state]
    show = st.error if run.state in ("refused", "failed") else st.warning
    show(f"**The last run: {title.lower()}.** {run.message}", icon=f":material/{icon}:")


def show_earlier_runs(runs: list[Run]) -> None:
    """Runs that have ended, the latest first, each with its log."""
    if not runs:
        return
    st.header("Earlier runs")
    for run in runs[:RUNS_SHOWN]:
        title, icon = STATES[run.state]
        head = f"{run.started:%Y-%m-%d %H:%M} UTC · {title} · {_models(run)} · {duration(run.elapsed_s)}"
        with st.expander(head, icon=f":material/{icon}:"):
            _show_run(run)
    if len(runs) > RUNS_SHOWN:
        st.caption(f"{len(runs) - RUNS_SHOWN:,} older ones are in {desk().runs_dir}.")


def _show_run(run: Run) -> None:
    st.write(_order_line(run))
    if run.state == "done":
        gone = "" if run.candidate_dir.is_dir() else " The folder no longer exists."
        st.write(f"Candidate {escaped(run.candidate)} in `{run.candidate_dir}`.{gone}")
    else:
        st.write(run.message)
    log = desk().log_path(run)
    lines = read_log(log).words
    if not lines:
        st.caption("Its log is empty.")
        return
    st.code("\n".join(lines[-LOG_LINES:]), None, wrap_lines=True)
    st.download_button(
        "Download the log",
        log.read_bytes,
        file_name=f"retraining-{run.id}.txt",
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
        key=f"retrain_log_{run.id}",
    )
