"""What a run found, summed up: answers, quality, speed, and drift by site and day."""

from functools import partial

import pandas as pd
import streamlit as st

from cervix.archive.desk_runs import DeskRun
from cervix.archive.results.charts import drift_figure
from cervix.archive.results.drift import NOT_RECOGNISED, RULE, SLIDES_AT_LEAST
from cervix.archive.results.summary import RunSummary, Share, Speed
from cervix.archive.results.words import percent
from cervix.archive.results.writing import DRIFT_NAME, WORDS_NAME, Written, write_results, written_summary
from cervix.archive.runs import SUMMARY_DIR_NAME
from cervix.jobs import Job
from cervix.plain_text import escaped
from pages.parts.archive.resources import board, desk, has_ledger
from pages.parts.shared.frame import STILL_CHART, kept
from pages.parts.shared.people import person

POLL_EVERY_S = 1.0
BY = {"site": "By site", "day": "By day"}


def show_found(run: DeskRun) -> None:
    """Summary and drift as they were worked out last, and the way to have them worked out now."""
    if not has_ledger(run):
        st.info("Nothing is listed yet.", icon=":material/hourglass_empty:")
        return
    key, folder = f"sum up {run.id}", desk().folder(run)
    job = board().get(key)
    mark = (run.id, job is not None and job.state == "done", _summary_mark(run))
    found = kept("archive_found", mark, lambda: written_summary(folder))
    if job is not None and job.active:
        _watch(key)
    else:
        _offer(run, key, found[0] if found else None)
    if job is not None and job.state == "failed":
        st.error(escaped(job.error), icon=":material/error:")
    if found is None:
        return
    summary, drift = found
    left, right = st.columns(2, gap="large")
    with left:
        _show_summary(summary)
    with right:
        _show_drift(drift)
    _show_downloads(run)


def _summary_mark(run: DeskRun) -> int:
    path = desk().folder(run) / SUMMARY_DIR_NAME / "summary.json"
    return path.stat().st_mtime_ns if path.is_file() else 0


def _offer(run: DeskRun, key: str, summary: RunSummary | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        told = "Nothing is summed up yet." if summary is None else f"Summed up {summary.made[:16].replace('T', ' ')} UTC."
        st.markdown(told)
        if person().may_run_archive and st.button(
            "Sum up now", icon=":material/functions:", key="archive_sum_up", type="secondary" if summary else "primary",
            help="Reads what each slide's own file says of its classes; takes a minute for ten thousand slides, once.",
        ):  # fmt: skip
            board().submit(key, partial(_sum_up, run))
            st.rerun()


def _sum_up(run: DeskRun, job: Job[tuple[int, int], object]) -> Written:  # noqa: ARG001 - a board hands it to whatever it runs
    return write_results(desk().folder(run), tiles=False)


@st.fragment(run_every=POLL_EVERY_S)
def _watch(key: str) -> None:
    job = board().get(key)
    if job is None or not job.active:
        st.rerun()
    st.caption("Summing up …")


def _show_summary(summary: RunSummary) -> None:
    st.subheader(f"Answers of {sum(share.slides for share in summary.verdicts):,} slides", anchor=False)
    if summary.triage:
        st.warning("Triage: slides were scored only as far as their answer needed.", icon=":material/fast_forward:")
    if not summary.verdicts:
        st.info("No slide is scored yet.", icon=":material/hourglass_empty:")
        return
    _table(_shares(summary.verdicts, "Answer"), "archive_answers")
    if summary.not_recognised is not None:
        told = summary.not_recognised
        st.markdown(
            f"**Tiles not recognised:** {percent(told.share)} in the mean over {told.of:,} slides; {told.slides:,} have some."
        )
    if summary.quality:
        st.subheader("Warnings of quality", anchor=False)
        _table(_shares(summary.quality, "Warning"), "archive_quality")
    for title, speeds in (("Scanner", summary.by_scanner), ("Site", summary.by_site)):
        if speeds:
            st.subheader(f"Speed by {title.lower()}", anchor=False)
            _table(_speeds(speeds, title), f"archive_speed_{title}")
    st.caption(
        f"Intervals are Wilson's 95 %, over slides. Bundle {escaped(summary.bundle)}, {escaped(', '.join(summary.providers))}. "
        f"{summary.notice}"
    )


def _shares(shares: list[Share], title: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            title: [share.name for share in shares],
            "Slides": [share.slides for share in shares],
            "Share (95 % interval)": [percent(share.share) for share in shares],
        }
    )


def _speeds(speeds: list[Speed], title: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            title: [speed.name for speed in speeds],
            "Slides": [speed.slides for speed in speeds],
            "Tiles/s, median": [f"{speed.median_tiles_per_s:.1f}" for speed in speeds],
            "10th–90th percentile": [f"{speed.low_tiles_per_s:.1f}–{speed.high_tiles_per_s:.1f}" for speed in speeds],
        }
    )


def _table(table: pd.DataFrame, key: str) -> None:
    slides = st.column_config.NumberColumn(format="localized", width="small")
    st.dataframe(table, hide_index=True, height="content", column_config={"Slides": slides}, key=key)


def _show_drift(drift: pd.DataFrame) -> None:
    st.subheader("Drift", anchor=False)
    if drift.empty:
        st.info("No slide is scored yet.", icon=":material/hourglass_empty:")
        return
    flagged = drift[drift["flag"] == "flagged"]
    if flagged.empty and drift["p_value"].isna().all():
        # Nothing flagged because nothing was tested is no good news.
        st.info(
            f"Too few slides to tell: a site or day is tested from {SLIDES_AT_LEAST} scored slides on, beside others.",
            icon=":material/hourglass_empty:",
        )
    elif flagged.empty:
        st.success("No site and no day is flagged.", icon=":material/check_circle:")
    else:
        words = "; ".join(f"{escaped(str(row['group']))}: {row['measure']}" for row in flagged.head(5).to_dict("records"))
        more = f" and {len(flagged) - 5:,} more" if len(flagged) > 5 else ""
        st.warning(f"**Flagged:** {words}{more}.", icon=":material/flag:")
    with st.container(horizontal=True, vertical_alignment="center"):
        by = st.segmented_control(
            "Drift by", list(BY), default="site", format_func=BY.__getitem__, key="archive_drift_by", required=True,
            label_visibility="collapsed",
        )  # fmt: skip
        measures = list(dict.fromkeys(drift["measure"]))
        measure = st.selectbox(
            "Measure", measures, index=measures.index(NOT_RECOGNISED), key="archive_drift_measure", label_visibility="collapsed"
        )
    st.plotly_chart(drift_figure(drift, by or "site", measure), key="archive_drift", config=STILL_CHART)
    row = drift[drift["measure"] == measure].iloc[0]
    beside = (
        f"The band is what the bundle's held-out tiles expect ({row['held_out_groups']:,} source groups). "
        if pd.notna(row["held_out"])
        else "The bundle has no held-out figure of this. "
    )
    st.caption(f"{beside}Compared with: {row['compared_with']}. {RULE}")


def _show_downloads(run: DeskRun) -> None:
    folder = desk().folder(run) / SUMMARY_DIR_NAME
    with st.container(horizontal=True):
        for title, name, mime in (("Summary (Markdown)", WORDS_NAME, "text/markdown"), ("Drift (CSV)", DRIFT_NAME, "text/csv")):
            path = folder / name
            if path.is_file():
                st.download_button(title, path.read_bytes, file_name=f"{run.id}-{name}", mime=mime, icon=":material/download:",
                                   on_click="ignore", key=f"archive_{name}")  # fmt: skip
    st.caption("Tiles of every slide as one Parquet dataset: `python -m cervix archive results DIR` on this server.")
