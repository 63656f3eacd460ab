"""The answer in the dock, from the first tiles to the last, and that of a region."""

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.bundle.classes import NO_CLASS, UNREAD
from cervix.bundle.manifest import UNEVALUATED
from cervix.plain_text import escaped
from cervix.slides.decision import SlideAnswer, class_areas_mm2, decide_tiles, tiles_within
from cervix.slides.desk import SlideJob
from cervix.slides.scoring import ScoreProgress, SlideScore
from pages.parts.shared.frame import duration
from pages.parts.shared.unevaluated import show_unevaluated
from pages.parts.slide.resources import desk

FIRST_ANSWER_TILES = 64


def show_progress(job: SlideJob, bundle: Bundle) -> None:
    """The answer so far, how far the score is, and the buttons to hold and to stop it."""
    model, progress = bundle.session_of("tile").model, job.progress
    if progress is None:
        ahead = desk().ahead_of(job)
        show_verdict("waiting", "Reading the first tiles …", f"{ahead} other slides come first." if ahead else "")
        st.progress(0.0, "Starting")
    else:
        rule = model.slide_rule
        too_few = rule is not None and progress.done < min(rule.minimum_tiles, progress.total)
        first = "" if progress.done >= min(FIRST_ANSWER_TILES, progress.total) else " (few tiles yet)"
        st.caption(f"So far, over the whole slide{first}")
        if too_few:
            show_verdict("waiting", "Too few tiles yet", f"The rule needs {rule.minimum_tiles if rule else 0}.")
        else:
            show_verdict(progress.answer.verdict, progress.answer.headline, share_line(progress.answer), progress.answer.reason)
        st.progress(progress.done / progress.total, progress_line(progress, paused=job.paused))
    with st.container(horizontal=True, gap="small"):
        paused = job.paused
        if st.button(
            "Continue" if paused else "Pause",
            icon=f":material/{'play_arrow' if paused else 'pause'}:",
            key="slide_pause",
        ):
            (job.pause_requested.clear if paused else job.pause_requested.set)()
            st.rerun(scope="fragment")
        if st.button("Stop", icon=":material/stop:", key="slide_stop"):
            job.cancel()
    if progress is not None:
        st.caption(_split_line(progress))
    show_unevaluated(model)
    show_cervix_unseen(model)
    show_organs(model)


def show_answer(score: SlideScore, model: Model) -> None:
    """The decision and what it rests on. An abstention is as loud as a finding."""
    answer = score.summary.answer
    show_verdict(answer.verdict, answer.headline, share_line(answer), answer.reason)
    show_unevaluated(model)
    show_cervix_unseen(model)
    if answer.abstained:
        known = ", ".join(item.mid_sentence for item in model.classes)
        st.markdown(
            f"**Looked at:** {answer.tiles:,} tiles, {score.summary.tissue_area_mm2:.2f} mm² of tissue; "
            f"{answer.unrecognised_tiles:,} not recognised. **The model knows:** {escaped(known)}."
        )
    for notice in score.summary.notices:
        if notice != UNEVALUATED:  # stands beside the answer
            st.info(notice)


def show_region(score: SlideScore, model: Model, region: list[tuple[float, float]]) -> None:
    """The answer within a drawn region, by the rule of the whole slide."""
    inside = tiles_within(score.tiles, region)
    with st.container(border=True, key="slide_region_answer", gap="small"):
        st.markdown(f"**Within the region drawn: {len(inside):,} tiles**")
        if inside.empty:
            st.caption("No scored tile has its centre in this region. Draw it around some tissue.")
            return
        answer = decide_tiles(inside, model)
        show_verdict(answer.verdict, answer.headline, share_line(answer), answer.reason, level=3)
        show_unevaluated(model)
        st.caption(areas_line(answer, class_areas_mm2(inside, model, score.summary.spacing_um_px), model))
        st.caption("A region chosen after looking at the scores is biased towards a finding: it is not a second opinion.")


def show_cervix_unseen(model: Model) -> None:
    """Right beside an answer: that the model never saw a cervix."""
    if model.organs and not model.saw_cervix:
        st.badge("Cervix was not seen in training", icon=":material/location_off:", color="orange")


def show_organs(model: Model) -> None:
    """At the end of the dock: which organs the model learned from."""
    if model.organs:
        st.caption(escaped(model.organs_seen))


def areas_line(answer: SlideAnswer, areas: dict[str, float], model: Model) -> str:
    """Areas by class where there is an answer, and what has none in any case."""
    named = ({} if answer.abstained else model.class_titles) | NO_CLASS
    if not answer.unread_tiles:
        named.pop(UNREAD)
    return "Tissue area by most probable class: " + " · ".join(f"{title} {areas[key]:.2f} mm²" for key, title in named.items())


def percent(share: float) -> str:
    """A share as the answers of slides write it."""
    return f"{100 * share:.0f} %"


def show_verdict(verdict: str, headline: str, figures: str, reason: str = "", *, level: int = 2, place: str = "") -> None:
    """An answer in the colour of its verdict; several of one level at once each need a place."""
    # The key is what the style sheet colours it by.
    with st.container(key=f"slide_answer_{level}{place}_{verdict}", gap=None):
        st.markdown(f"{'#' * level} {escaped(headline)}")
        if figures:
            st.markdown(figures)
        if reason:
            st.caption(reason)


def share_line(answer: SlideAnswer) -> str:
    """Share of cancerous tiles with its interval; empty without one."""
    share = answer.cancerous_share
    if share is None:
        return ""
    low, high = (f"{100 * limit:.0f}" for limit in (share.low, share.high))
    return f"**{percent(share.value)}** of {answer.counted} tiles cancerous (95 % interval {low} to {high} %)"


def progress_line(progress: ScoreProgress, *, paused: bool) -> str:
    """How far a score is, how fast, and how long it still takes."""
    done = f"{progress.done:,} of {progress.total:,} tiles"
    if paused:
        return f"{done} · paused"
    left = f" · about {duration(progress.eta_s)} left" if progress.tiles_per_s else ""
    return f"{done} · {progress.tiles_per_s:.1f} tiles/s{left}"


def _split_line(progress: ScoreProgress) -> str:
    new = max(1, progress.done - progress.resumed)
    parts = {"read": progress.read_s, "infer": progress.infer_s, "post": progress.post_s}
    split = " · ".join(f"{name} {1000 * seconds / new:.0f} ms" for name, seconds in parts.items())
    resumed = f" · {progress.resumed:,} tiles from before" if progress.resumed else ""
    return f"A tile takes: {split}{resumed}"
