"""One case before whoever settles it: the picture or the visits, who said what, and the buttons."""

import time

import pandas as pd
import streamlit as st

from cervix.errors import BundleError, CervixError, LabelRefused
from cervix.labels import Case, LabelEvent, LabelStore
from cervix.labels.insight.agreement import blinded_names, settled_by, who_said
from cervix.labels.store.cases import KINDS
from cervix.labels.store.events import new_key
from cervix.people import Person
from cervix.plain_text import escaped
from pages.parts.improve.readers.similar import offer_similar, similar_seen
from pages.parts.improve.readers.words import said_words
from pages.parts.shared.case_words import case_words
from pages.parts.shared.frame import class_title, sentence_case, verified_bundle

UNUSABLE = "unusable"
LAST = "readers_last_settled"


def show_case(store: LabelStore, case_id: str, who: Person, *, blind: bool, model_shown: bool, key: str) -> None:
    """The case, and what an admin can do with it; others see it without buttons.

    Parameters
    ----------
    blind : whether readers' names are hidden
    model_shown : whether the page shows what the model makes of the case
    key : of the place on the page
    """
    case, history = store.case(case_id), store.case_history(case_id)
    seen = st.session_state.setdefault(f"{key}_seen", {})
    if case_id not in seen:
        seen.clear()
        seen[case_id] = time.monotonic()
    picture, words = st.columns([1, 2])
    if who.may_decide:
        offer_similar(store, case, key)
    with picture:
        if who.may_browse:
            _show_content(case)
        else:
            st.caption("Pictures and histories are for readers and admins.")
    with words:
        said = who_said(history)
        settled = settled_by(history)
        names = blinded_names(case_id, said["reader"].tolist()) if blind else {}
        st.markdown(f"**{case_words(case_id)}**")
        st.dataframe(
            pd.DataFrame(
                {
                    "Reader": [names.get(reader, reader) for reader in said["reader"]],
                    "Said": [said_words(*row) for row in zip(said["action"], said["label"], strict=True)],
                    "Blinded": said["blinded"].map({True: "yes", False: "no"}),
                    "Comment": said["comment"],
                }
            ).sort_values("Reader"),
            hide_index=True,
            height="content",
            key=f"{key}_said",
        )
        if settled is not None:
            by = "" if blind and settled.reader != who.name else f" by {escaped(settled.reader)}"
            st.info(f"{said_words('adjudicate', settled.label)}{by}.", icon=":material/gavel:")
        if not who.may_decide:
            st.caption("Only an admin settles a case. You can see here what readers said.")
            return
        if who.name in set(said["reader"]):
            st.caption("You are one of its readers: somebody else should settle it.")
        # A click counts for the case as it was shown: were anything done to it since, buttons and keys would be others.
        shown = f"{key}_{history['event_id'].max()}"
        blinded = not (model_shown or similar_seen(case_id))
        _show_buttons(store, case, who, seen[case_id], blinded=blinded, key=shown)
        if settled is not None and settled.reader == who.name:
            _offer_undo(store, who, settled.event_id, key)


def last_settled() -> str:
    """The case that this person settled last; empty where there is none."""
    last: tuple[str, int, str] = st.session_state.get(LAST, ("", 0, ""))
    return last[0]


def show_last_settled(store: LabelStore, who: Person, key: str) -> None:
    """What this person settled last, with the way back: the case has left the list."""
    last = st.session_state.get(LAST)
    if last is None:
        return
    case_id, event_id, words = last
    with st.container(horizontal=True, vertical_alignment="center"):
        st.success(f"{case_words(case_id)} · {words}", icon=":material/gavel:")
        _offer_undo(store, who, event_id, f"{key}_last")


def _show_content(case: Case) -> None:
    if case.kind == "tile":
        st.image(case.picture, width="stretch", caption=f"{case.spacing_um_px:g} µm per pixel")
    else:
        for title, visits in (("Her history", case.visits), ("What her file says afterwards", case.after)):
            if visits:
                st.caption(title)
                table = pd.DataFrame(visits).rename(columns=lambda name: sentence_case(str(name).replace("_", " ")))
                st.dataframe(
                    table.round(1), hide_index=True, height="content", placeholder="not known", key=f"readers_visits_{title}"
                )


def _show_buttons(store: LabelStore, case: Case, who: Person, since: float, *, blinded: bool, key: str) -> None:
    with st.container(horizontal=True):
        for answer in (*store.classes(case.kind), UNUSABLE):
            label = None if answer == UNUSABLE else answer
            button = f"{key}_settle_{answer}"
            click = _key_of(button)
            title = answer.capitalize() if label is None else class_title(answer)
            if not st.button(title, key=button, icon=":material/block:" if label is None else None):
                continue
            event = LabelEvent(
                case.id, who.name, "adjudicate", label, click, blinded, time.monotonic() - since, "", *_model_then(store, case)
            )
            try:
                number = store.record(event)
            except CervixError as error:  # the key stays: the same click again is kept once
                st.error(f"Not confirmed. {escaped(str(error))} Press again.", icon=":material/sync_problem:")
                continue
            st.session_state[LAST] = (case.id, number, said_words("adjudicate", label))
            st.rerun()


def _offer_undo(store: LabelStore, who: Person, event_id: int, key: str) -> None:
    button = f"{key}_undo_{event_id}"
    click = _key_of(button)
    if not st.button("Undo", key=button, icon=":material/undo:"):
        return
    try:
        undone = store.undo(who.name, key=click, event_id=event_id)
        if undone is None:
            raise LabelRefused("This decision has been superseded", action="Look at the case again.")
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/sync_problem:")
        return
    if st.session_state.get(LAST, ("", None, ""))[1] == event_id:
        del st.session_state[LAST]
    st.rerun()


def _key_of(button: str) -> str:
    """The key of the click to come on a button, made before it: pressed again, a click that was not confirmed is the same."""
    keys: dict[str, str] = st.session_state.setdefault("readers_keys", {})
    return keys.setdefault(button, new_key())


def _model_then(store: LabelStore, case: Case) -> tuple[str, str, dict[str, float] | None]:
    """Which bundle there is, and what it makes of the case; nothing where it was refused or has not scored it."""
    try:
        bundle = verified_bundle()
    except BundleError:
        return "", "", None
    scores = store.scores(bundle.sha256, case.kind, case_id=case.id)
    own = scores[scores["model_id"].isin([model.id for model in bundle.manifest.of_kind(KINDS[case.kind].model_kind)[:1]])]
    return bundle.sha256, bundle.manifest.version, None if own.empty else own["probabilities"].iloc[0]
