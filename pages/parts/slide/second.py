"""A second bundle for the open slide: chosen, scored at the same desk, and both answers side by side."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import CervixError
from cervix.intervals import Interval
from cervix.plain_text import escaped
from cervix.slides.agreement import CELL_UM, KINDS, Agreement, compare_scores
from cervix.slides.deepzoom import HeatLayer
from cervix.slides.desk import SlideJob
from cervix.slides.layers import AGREEMENT_LAYER, OTHER_CLASS_MAP, agreement_layer, class_map
from cervix.slides.scoring import SlidePlan, SlideScore
from cervix.slides.tissue import TissueMask
from pages.parts.shared.frame import duration, show_metrics
from pages.parts.shared.second_bundle import choose_second, held_second, status_of
from pages.parts.slide.answer import progress_line, share_line, show_cervix_unseen, show_verdict
from pages.parts.slide.look import Look
from pages.parts.slide.resources import by_score, desk, device_speed, owner, slide_plan
from pages.parts.slide.viewer import layers_beside

PLACE = "slide"
POLL_EVERY_S = 1.0


@dataclass(frozen=True)
class Second:
    """Another bundle for the open slide, B, as it stands in this run."""

    bundle: Bundle
    plan: SlidePlan | None = None
    job: SlideJob | None = None
    score: SlideScore | None = None
    problem: str = ""
    """Why it cannot score this slide; Markdown."""

    @property
    def model(self) -> Model:
        """Its tile model."""
        return self.bundle.session_of("tile").model


def offer_second(bundle: Bundle) -> None:
    """A popover in which another bundle of this server is chosen."""
    choose_second(bundle, PLACE, lambda other: other.manifest.of_kind("tile")[:1] or "it has no model of tiles.")


def second_of(seen: Look) -> Second | None:
    """The other bundle that was chosen, and what there is of its score; None where none was, or it was refused."""
    held = held_second(PLACE)
    if held is None or held.bundle is None or seen.score is None or seen.plan is None or seen.score.summary.triage is not None:
        return None
    bundle = held.bundle
    everywhere = seen.plan.everywhere
    try:
        plan = slide_plan(seen.slide, bundle, everywhere)
    except CervixError as error:
        return Second(bundle, problem=escaped(str(error)))
    job = desk().job(seen.slide, bundle, everywhere=everywhere)
    running = job is not None and job.active
    return Second(bundle, plan, job, None if running else desk().score(seen.slide, bundle, everywhere=everywhere))


def layers_with_second(seen: Look, bundle: Bundle) -> tuple[dict[str, HeatLayer], list[dict[str, Any]]]:
    """What a second score adds to the map: layers by name, and their words for the menu; nothing where there is none."""
    second = second_of(seen)
    if second is None or second.score is None or seen.score is None or seen.plan is None:
        return {}, []
    model = bundle.session_of("tile").model
    layers = _layers(seen.score, model, second.score, second.model, seen.plan.tissue)
    agreement = _agreement(seen.score, model, second.score, second.model, seen.plan.tissue)
    return layers, layers_beside(second.model, second.score.summary.answer, agreement)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=by_score)
def _agreement(
    first: SlideScore, _model: Model, second: SlideScore, _other: Model, _tissue: TissueMask
) -> Agreement:  # fmt: skip
    return compare_scores((first, _model), (second, _other), _tissue)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=by_score)
def _layers(
    first: SlideScore, _model: Model, second: SlideScore, _other: Model, _tissue: TissueMask
) -> dict[str, HeatLayer]:  # fmt: skip
    version = f"{first.summary.provenance.created}-{second.summary.provenance.created}"
    agreement = _agreement(first, _model, second, _other, _tissue)
    return {
        AGREEMENT_LAYER: agreement_layer(agreement, version),
        OTHER_CLASS_MAP: class_map(second.tiles, _other, version),
    }


def show_second(seen: Look, bundle: Bundle) -> None:
    """Below the map: the other bundle's progress, then both answers and where they agree; runs by itself while it scores."""
    held = held_second(PLACE)
    if held is None:
        return
    with st.container(key="slide_second"):
        st.subheader("Two bundles side by side")
        if held.bundle is None:
            st.error(f"The other bundle was refused. {held.problem}", icon=":material/gpp_bad:")
            return
        if seen.score is None or seen.score.summary.triage is not None:
            st.info("Two bundles are compared where this one has scored every tile.")
            return
        second = second_of(seen)
        assert second is not None, "it is held, and there is a score"
        running = second.job is not None and second.job.active
        st.fragment(_show_running, run_every=POLL_EVERY_S)(seen) if running else _show_state(seen, bundle, second)


def _show_running(seen: Look) -> None:
    second = second_of(seen)
    job = second.job if second is not None else None
    if second is None or job is None or not job.active:
        st.rerun()
    st.markdown(f"**B: {escaped(second.bundle.label)}** scores this slide.")
    progress = job.progress
    if progress is None:
        st.progress(0.0, "Reading the first tiles …")
    else:
        st.progress(progress.done / progress.total, progress_line(progress, paused=job.paused))
    if st.button("Stop", icon=":material/stop:", key="slide_second_stop"):
        job.cancel()


def _show_state(seen: Look, bundle: Bundle, second: Second) -> None:
    if second.problem:
        st.error(f"B, {escaped(second.bundle.label)}, cannot score this slide. {second.problem}")
    elif second.score is None:
        _offer_score(seen, second)
    else:
        _show_both(seen, bundle, second)


def _offer_score(seen: Look, second: Second) -> None:
    assert second.plan is not None, "without a problem there is a plan"
    if second.job is not None and second.job.state == "failed":
        st.error(escaped(second.job.error))
    left = len(second.plan.grid) - desk().tiles_kept(seen.slide, second.bundle, second.plan)
    st.markdown(f"**B: {escaped(second.bundle.label)}** has not scored this slide yet.")
    if st.button(
        f"Score with B: {left:,} tiles, about {duration(left / device_speed(second.bundle))}",
        type="primary",
        icon=":material/play_arrow:",
        key="slide_second_score",
    ):
        desk().start(seen.slide, second.bundle, second.plan, owner())
        st.rerun()


def _show_both(seen: Look, bundle: Bundle, second: Second) -> None:
    assert seen.score is not None, "there is a score of each"
    assert seen.plan is not None
    assert second.score is not None
    model = bundle.session_of("tile").model
    sides = (("A", bundle, seen.score, model), ("B", second.bundle, second.score, second.model))
    for column, (name, of, score, its_model) in zip(st.columns(2), sides, strict=True):
        with column:
            st.markdown(f"**{name}: {escaped(of.label)}**, {status_of(of)}")
            answer = score.summary.answer
            show_verdict(answer.verdict, answer.headline, share_line(answer), answer.reason, level=3, place=name)
            show_cervix_unseen(its_model)
    _show_agreement(_agreement(seen.score, model, second.score, second.model, seen.plan.tissue), model, second.model)


def _show_agreement(agreement: Agreement, model: Model, other: Model) -> None:
    figures = {"Both answer": (f"{agreement.both_answer_mm2:.2f} mm²", "of tissue; shares are of this")}
    if agreement.same_role is not None:
        figures["Malignant or not: the same"] = _in_words(agreement.same_role)
    if agreement.same_class is not None:
        figures["The same class"] = _in_words(agreement.same_class)
    show_metrics(figures)
    whole = agreement.both_answer_mm2
    rows = [
        {
            "On the map": kind.title,
            "Tissue, mm²": f"{agreement.of_kind(kind):.3f}",
            "Share": f"{100 * agreement.of_kind(kind) / whole:.1f} %" if whole and kind.sort in ("same", "apart") else "–",
        }
        for kind in KINDS
        if kind.sort in ("same", "apart") or agreement.of_kind(kind) > 0
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", key="slide_second_kinds")
    classes = (
        ""
        if agreement.same_class is not None
        else f" Their classes differ, so they are compared by malignant or not alone. A knows {_classes(model)}; B knows "
        f"{_classes(other)}."
    )
    st.caption(
        f"n: {agreement.tiles[0]:,} tiles of A and {agreement.tiles[1]:,} of B, worth {agreement.independent:.1f} independent "
        f"places where both answer; 95 % Wilson intervals. Both are laid on squares of {CELL_UM:.0f} µm; only tissue counts. "
        "No answer: the tile is not recognised, or its slide has no answer. On the map it is the layer “A and B: where they "
        f"agree”.{classes} That two models agree does not make them right: they may have learned the same mistake."
    )


def _classes(model: Model) -> str:
    return escaped(", ".join(item.mid_sentence for item in model.classes))


def _in_words(share: Interval) -> tuple[str, str]:
    return f"{100 * share.value:.0f} %", f"95 %: {100 * share.low:.0f} to {100 * share.high:.0f} %"
