"""A scored slide beside one woman's history: what the slide, the history and both together say."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.intake.shelf import SeenSlide, thumbnail_path
from cervix.patients.joint import JointRisk, joint_risk
from cervix.patients.visit_vocabulary import SLIDE
from cervix.plain_text import escaped
from cervix.settings import get_settings
from cervix.slides.embedding import telling_embeddings
from pages.parts.shared.unevaluated import show_unevaluated
from pages.parts.slide.resources import desk, reopened, scored_slides, slide_words

NONE = ""


def show_slide_beside(visits: pd.DataFrame, bundle: Bundle) -> None:
    """Attach a scored slide to a woman's visit and show the three risks side by side."""
    if not bundle.manifest.of_kind("joint"):
        st.info("The bundle has no model that reads a history and a slide together.")
        return
    session = bundle.session_of("joint")
    task = session.model.derived_tasks[0]
    limits = escaped(" ".join(session.model.limits))
    st.warning(f"**The pairs this model learned from are made up.** {limits}", icon=":material/science:")
    scored = scored_slides(bundle)
    if not scored:
        st.info("No slide has been scored here yet. Score one on the page Slide, then come back.")
        return
    named, visit = _named_slide(visits, scored)
    choices = [NONE, *scored]
    picked = st.selectbox(
        "Slide of her biopsy",
        choices,
        index=choices.index(named) if named else 0,
        format_func=lambda sha: slide_words(scored[sha]) if sha else "none attached",
        key=f"joint_slide_{visits.index[0]}",
        help="A visit whose column “slide” holds the SHA-256 of a scored slide, or the name of a file in an inbox, already "
        "has it attached.",
    )
    if picked == NONE:
        st.caption("Attach a scored slide to see the slide's, the history's and the joint risk side by side.")
        return
    until = visits.iloc[: visit + 1] if picked == named else visits
    try:
        headline, embeddings = _embedded(scored[picked], bundle)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/broken_image:")
        return
    _show_side_by_side(joint_risk(until, embeddings, session), task.title, picked, headline)
    told = (
        f"All three by {escaped(session.model.title)}. History up to visit {len(until)} of {len(visits)}; its own histology "
        "and treatment are hidden, as they come after it."
    )
    st.caption(told)
    show_unevaluated(session.model)


def _show_side_by_side(risk: JointRisk, title: str, sha256: str, headline: str) -> None:
    picture, answer = st.columns([1, 3])
    thumbnail = thumbnail_path(get_settings().shelf_dir, sha256)
    if thumbnail.is_file():
        picture.image(str(thumbnail), width="stretch")
    picture.caption(f"The slide model alone: {headline}")
    with answer.container(horizontal=True):
        for by, value in (("slide alone", risk.slide), ("history alone", risk.history), ("both together", risk.joint)):
            st.metric(f"{title}: {by}", f"{value:.1%}" if risk.tiles or by == "history alone" else "no answer", width="content")
    if risk.tiles:
        answer.caption(
            f"Joint risk by single tiles {risk.lowest:.1%} to {risk.highest:.1%}: means over the {risk.tiles} recognised tiles "
            "most probably cancerous."
        )
    else:
        answer.warning("The slide has no answer or no recognised tile, so neither the slide nor both together give a risk.")


def _named_slide(visits: pd.DataFrame, scored: dict[str, SeenSlide]) -> tuple[str, int]:
    """The latest scored slide that a visit names, and that visit's place; empty where none does."""
    for place in range(len(visits) - 1, -1, -1):
        name = visits[SLIDE].iat[place]
        if not isinstance(name, str):
            continue
        for sha, card in scored.items():
            if name.lower() == sha or Path(name).name == card.path.name:
                return sha, place
    return NONE, 0


@st.cache_data(
    max_entries=20,
    show_spinner="Reading the slide's most telling tiles …",
    hash_funcs={Bundle: lambda bundle: bundle.sha256, SeenSlide: lambda card: card.model_dump_json()},
)
def _embedded(card: SeenSlide, bundle: Bundle) -> tuple[str, NDArray[np.float32]]:
    """What the slide model says of a scored slide, and the embeddings of its most telling tiles."""
    slide = reopened(card)
    score = desk().score(slide, bundle) or desk().score(slide, bundle, everywhere=True)
    if score is None:
        raise CervixError("The score of this slide cannot be read", action="Score it again on the page Slide.")
    return score.summary.answer.headline, telling_embeddings(slide, score, bundle.session_of("tile"))
