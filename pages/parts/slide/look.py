"""Where the slide that is open stands: asked for its scale, ready, being scored, scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError, NoTissue, SampleUnavailable
from cervix.plain_text import escaped
from cervix.samples.cases import Case
from cervix.samples.slides import Sample, sample_slide
from cervix.settings import get_settings
from cervix.slides.desk import SlideJob
from cervix.slides.scoring import SlidePlan, SlideScore
from cervix.sources.slide import Slide
from pages.parts.shared.open_case import case_asked_for, forget_open, keep_open, open_again
from pages.parts.slide.resources import desk, gate_report, opened, owner, remembered_spacing, slide_plan

State = Literal["unscaled", "no-tissue", "unsuitable", "ready", "scoring", "scored"]
OPEN = ("slide_path", "slide_name", "slide_credit")
# How many slides were chosen: with each the chip of the slide is a new one, and closed.
CHOSEN = "slides_chosen"
UNAVAILABLE = "slide_unavailable"
AT_ONCE = "slide_score_at_once"
SHOWN = "slide_shown"


@dataclass(frozen=True)
class Look:
    """The open slide, and what is known of it in this run."""

    slide: Slide
    state: State
    plan: SlidePlan | None = None
    job: SlideJob | None = None
    score: SlideScore | None = None
    problem: str = ""
    """Why it cannot be scored as it is; Markdown."""

    @property
    def mark(self) -> tuple[object, ...]:
        """Changes when more of the page than the map and the dock must be drawn."""
        return self.slide.sha256, self.slide.spacing_um_px, self.state, self.plan is not None and self.plan.everywhere


def choose(path: Path, *, name: str = "", credit: str = "", at_once: bool = False) -> None:
    """Make a slide the one this session looks at. Its name stays in the session.

    ``at_once``: score it without being asked, as a case of the shelf is.
    """
    st.session_state.update(dict(zip(OPEN, (path, name, credit), strict=True)))
    st.session_state[AT_ONCE] = at_once
    st.session_state[CHOSEN] = st.session_state.get(CHOSEN, 0) + 1


def choose_case(case: Case) -> None:
    """Open a case of the shelf, to be scored at once."""
    _choose_sample(case.sample, case.title, f"**Look at:** {case.look_at} {case.credit}", at_once=True)


def choose_sample(sample: Sample) -> None:
    """Open a sample that is no case of the shelf."""
    _choose_sample(sample, sample.title, sample.credit, at_once=False)


def _choose_sample(sample: Sample, title: str, credit: str, *, at_once: bool) -> None:
    with st.spinner("Opening the slide …"):
        try:
            choose(sample_slide(sample, get_settings()), name=title, credit=credit, at_once=at_once)
        except SampleUnavailable as error:
            st.session_state[UNAVAILABLE] = escaped(str(error))


def say_what_is_missing() -> None:
    """Once: why a case that was asked for could not be opened."""
    if sentence := st.session_state.pop(UNAVAILABLE, ""):
        st.warning(sentence)


def open_what_is_asked_for() -> bool:
    """A case that the address names, or what was open before a reload; whether anything is open now."""
    if (case := case_asked_for("slide")) is not None:
        choose_case(case)
    elif "slide_path" not in st.session_state and (before := open_again("slide")) is not None:
        facts = before.facts
        choose(facts["path"], name=facts["name"], credit=facts["credit"])
        for name in ("tile", "region"):
            if facts[name]:
                st.session_state.setdefault(f"slide_{name}", {})[facts["sha256"]] = facts[name]
        scales()[facts["sha256"]] = facts["scale"]
        if facts["everywhere"]:
            everywhere().add(facts["sha256"])
    return "slide_path" in st.session_state


def remember_open(slide: Slide) -> None:
    """Let a reload find the slide, the chosen tile and the region again."""
    sha256 = slide.sha256
    keep_open(
        "slide",
        dict(zip(("path", "name", "credit"), (st.session_state[name] for name in OPEN), strict=True))
        | {
            "sha256": sha256,
            "tile": st.session_state.get("slide_tile", {}).get(sha256),
            "region": st.session_state.get("slide_region", {}).get(sha256),
            "scale": scales().get(sha256),
            "everywhere": sha256 in everywhere(),
        },
    )


def close() -> None:
    """Nothing is open any more."""
    for name in OPEN:
        st.session_state.pop(name, None)
    forget_open("slide")


def scales() -> dict[str, float | None]:
    """Micrometres a pixel that were given by hand, by the slide's hash."""
    given: dict[str, float | None] = st.session_state.setdefault("slide_scales", {})
    return given


def everywhere() -> set[str]:
    """The slides to be scored without regard to tissue, knowingly, by hash."""
    asked: set[str] = st.session_state.setdefault("slides_everywhere", set())
    return asked


def look(bundle: Bundle) -> Look:
    """The open slide as it stands now. Raises ``CervixError`` where it cannot be opened at all."""
    slide = opened(st.session_state["slide_path"])
    if slide.spacing_um_px is None:
        given = scales().setdefault(slide.sha256, remembered_spacing(slide))
        if given is None:
            return Look(slide, "unscaled")
        slide = slide.with_spacing(given)
    try:
        plan = slide_plan(slide, bundle, slide.sha256 in everywhere())
    except NoTissue as error:
        return Look(slide, "no-tissue", problem=escaped(str(error)))
    except CervixError as error:
        return Look(slide, "unsuitable", problem=escaped(str(error)))
    job = desk().job(slide, bundle, everywhere=plan.everywhere)
    if job is not None and job.active:
        return Look(slide, "scoring", plan, job)
    score = desk().score(slide, bundle, everywhere=plan.everywhere) or desk().triage(slide, bundle, everywhere=plan.everywhere)
    return Look(slide, "ready" if score is None else "scored", plan, job, score)


def start_if_asked(seen: Look, bundle: Bundle) -> Look:
    """Score a case of the shelf without a button, once."""
    if not st.session_state.pop(AT_ONCE, False) or seen.state != "ready" or seen.plan is None:
        return seen
    if gate_report(seen.slide, seen.plan, seen.plan.everywhere).wrong_stain:
        return seen
    desk().start(seen.slide, bundle, seen.plan, owner())
    return look(bundle)
