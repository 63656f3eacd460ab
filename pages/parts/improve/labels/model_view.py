"""What the model said of the case that was answered last: shown after the answer and never before."""

import base64

import numpy as np
import streamlit as st

from cervix.bundle import Bundle
from cervix.labels import LabelEvent
from cervix.labels.desk.desk import Answered, LabelDesk, Shown
from cervix.labels.desk.pictures import SMALL_SHOWN_PX, TileViews
from cervix.labels.desk.ranking import Opinion
from cervix.labels.store.cases import KINDS, Kind
from cervix.patients.history_scoring import task_risk
from cervix.plain_text import escaped
from cervix.slides.explanation import overlay_cam
from pages.parts.shared.case_words import labelled_classes
from pages.parts.shared.frame import class_title
from pages.parts.shared.unevaluated import show_unevaluated

COLUMNS = 6
LAST_PX = 96
NEVER_SAID = {"unsure": "unsure", "unusable": "unusable", "skip": "nothing: you skipped it"}


def in_line(jpeg: bytes) -> str:
    """A picture as an address that holds it: it comes with the page, and the browser need not ask for it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def said_words(event: LabelEvent, classes: dict[str, str]) -> str:
    """An answer in words."""
    return classes[event.label] if event.label in classes else NEVER_SAID.get(event.action, event.action)


def show_last(desk: LabelDesk, bundle: Bundle) -> None:
    """The answer before this one beside the model's, and the way back."""
    last = desk.last
    st.markdown("**The case before**" if last is None or len(last.shown) == 1 else "**The page before**")
    if desk.note:
        st.info(desk.note)
    if last is None:
        st.caption("What the model says about a case appears here only after you have answered it.")
    elif len(last.shown) == 1:
        _show_one(last.shown[0], last.events[0], desk, bundle)
    else:
        _show_many(last, bundle)


def show_undo(desk: LabelDesk) -> None:
    """The button that takes back the last answer; a press belongs to that answer alone."""
    last = desk.last
    st.button(
        "Undo",
        icon=":material/undo:",
        shortcut="U",
        disabled=last is None,
        on_click=desk.undo,
        key=f"label_undo_{last.undo_keys[0] if last else 'none'}",
    )


def _show_one(shown: Shown, event: LabelEvent, desk: LabelDesk, bundle: Bundle) -> None:
    kind = shown.case.kind
    classes = labelled_classes(bundle, kind)
    error = desk.last.parcel.error if desk.last else ""
    if error:
        st.error(f"Not saved. {escaped(str(error))}", icon=":material/block:")
    with st.container(horizontal=True, key="label_last"):
        if isinstance(shown.view, TileViews):
            st.image(in_line(shown.view.small), width=LAST_PX)
        words = st.container(width="stretch", gap="xsmall")
    with words:
        said = f"You said **{said_words(event, classes)}**."
        if event.action == "skip":
            st.markdown(f"{said} You may see this case again, so what the model says stays hidden.")
        elif shown.opinion is None:
            st.markdown(f"{said} This bundle has not scored it.")
        else:
            st.markdown(f"{said} {model_words(shown.opinion, kind, bundle)}")
            show_unevaluated(bundle.manifest.first_of(KINDS[kind].model_kind))
            if kind == "tile" and shown.opinion.answered_by(bundle.session_of("tile").model):
                _offer_cam(shown, bundle)


def _offer_cam(shown: Shown, bundle: Bundle) -> None:
    """Grad-CAM on request: a run of the graph takes longer than the next case may."""
    if shown.opinion is None or not st.button("Where it looked", key=f"label_cam_{shown.key}", icon=":material/visibility:"):
        return
    session = bundle.session_of("tile")
    best = max(shown.opinion.probabilities, key=shown.opinion.probabilities.__getitem__)
    pixels = shown.case.picture
    cam = np.asarray(session.run({"tiles": pixels[None]}, ["cam"])["cam"], np.float32)[0, session.model.class_ids.index(best)]
    st.image(overlay_cam(pixels, cam, 0.5), width=SMALL_SHOWN_PX, caption=f"Grad-CAM: {class_title(best)}")


def model_words(opinion: Opinion, kind: Kind, bundle: Bundle) -> str:
    """What the model said, in a sentence."""
    model = bundle.manifest.first_of(KINDS[kind].model_kind)
    said = opinion.probabilities
    if not opinion.answered_by(model):
        return "The model **does not recognise** this tile and gives no answer."
    if kind == "patient":
        task = model.main_task
        values = np.array([[said[label] for label in model.class_ids]], np.float32)
        return f"The model said **{task_risk(values, model.class_ids, task)[0]:.1%}** for {escaped(task.title)}."
    order = sorted(said, key=said.__getitem__, reverse=True)
    others = ", ".join(f"{class_title(label)} {said[label]:.0%}" for label in order[1:])
    words = f"The model said **{class_title(order[0])} {said[order[0]]:.0%}** ({others})."
    limit = model.abstention_limit("novelty")
    return f"{words} Distance from what it learned {opinion.novelty:.1f} of at most {limit:.1f}: recognised."


def _show_many(last: Answered, bundle: Bundle) -> None:
    """A gallery's answers: how often the model said the same, and the tiles where it did not."""
    if last.parcel.error:
        st.error(f"None of these answers was saved. {last.parcel.error}", icon=":material/block:")
    classes = labelled_classes(bundle, "tile")
    model = bundle.session_of("tile").model
    differing, agreed, silent = [], 0, 0
    for shown, event in zip(last.shown, last.events, strict=True):
        if event.label is None or shown.opinion is None:
            continue
        if not shown.opinion.answered_by(model):
            silent += 1
            continue
        best = max(shown.opinion.probabilities, key=shown.opinion.probabilities.__getitem__)
        if best == event.label:
            agreed += 1
        else:
            share = shown.opinion.probabilities[best]
            differing.append((shown, f"You: {classes[event.label]}. Model: {class_title(best)} {share:.0%}"))
    st.markdown(
        f"You answered **{len(last.events)}** tiles. The model said the same of {agreed}, something else of {len(differing)}; "
        f"it does not recognise {silent}."
    )
    show_unevaluated(model)
    if differing:
        with st.expander("Where the model said something else"):
            columns = st.columns(COLUMNS)
            for place, (shown, words) in enumerate(differing):
                columns[place % COLUMNS].image(shown.case.content, caption=words, width="stretch")
