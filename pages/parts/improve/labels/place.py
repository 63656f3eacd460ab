"""A reader's place at the label desk: who they are, what they wish to see, and the desk that serves them in this session."""

from functools import partial
from pathlib import Path

import streamlit as st

from cervix.bundle import Bundle
from cervix.bundle.manifest import Acquisition
from cervix.errors import LabelRefused
from cervix.intake.shelf import seen_slide
from cervix.labels import Case, LabelStore
from cervix.labels.desk.desk import LabelDesk
from cervix.labels.desk.outbox import Outbox
from cervix.labels.desk.pictures import TileViews, tile_views
from cervix.labels.desk.ranking import Ranking, Wish
from cervix.labels.gathering.women import WomanViews, woman_views
from cervix.labels.store.cases import KINDS, Kind, scorer_of
from cervix.labels.store.events import checked_reader
from cervix.people import Person
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.improve.kinds import choose_kind
from pages.parts.shared.frame import class_title, kept
from pages.parts.shared.sandbox import held_by_sandbox
from pages.parts.slide.resources import slide_words

ONE, MANY = "One at a time", "Gallery"
AGES = {0: "any time", 1: "the last day", 7: "the last week", 30: "the last month"}
PLACE = "label_place"
READER = "reader_name"


@st.cache_resource(show_spinner=False)
def _outbox(url: str, _store: LabelStore) -> Outbox:  # noqa: ARG001 - part of the key
    return Outbox(_store)


def _its_outbox(store: LabelStore) -> Outbox:
    """The one outbox of a store; that of a sandbox ends with it."""
    return held_by_sandbox("outbox", lambda: Outbox(store), Outbox.close) or _outbox(get_settings().label_store_url, store)


def chosen_wish(who: Person) -> Wish:
    """What this session asks to see, by the controls of ``show_controls``, which are drawn later."""
    kind: Kind = st.session_state.get("label_kind") or "tile"

    def asked(name: str, otherwise: str) -> str:
        return st.session_state.get(f"label_{name}_{kind}") or otherwise

    return Wish(
        kind,
        who.name,
        asked("strategy", ""),
        asked("source", ""),
        asked("predicted", ""),
        int(asked("age", "0")),
        bool(st.session_state.get(f"label_second_{kind}")),
    )


def desk_for(store: LabelStore, bundle: Bundle, wish: Wish) -> LabelDesk:
    """The desk of this session, made again when the wish changes or there was nothing to see."""
    key = (wish, bundle.sha256, get_settings().label_store_url)
    held = st.session_state.get(PLACE)
    if held is not None and held[0] == key and held[1].ranking.scored:
        found: LabelDesk = held[1]
        return found
    if held is not None:
        held[1].close()
    with st.spinner("Ranking what is open …"):
        made = LabelDesk(
            store,
            _its_outbox(store),
            scorer_of(bundle, wish.kind),
            wish,
            _measured_best(bundle),
            partial(_prepared, get_settings().shelf_dir),
        )
    st.session_state[PLACE] = (key, made)
    return made


def leave_desk() -> None:
    """Have the queue ranked again at the next run."""
    held = st.session_state.pop(PLACE, None)
    if held is not None:
        held[1].close()


def _prepared(shelf: Path, case: Case) -> TileViews | WomanViews:
    return tile_views(case, shelf) if case.kind == "tile" else woman_views(case)


def _measured_best(bundle: Bundle) -> str:
    acquisition = _measured(bundle)
    return acquisition.strategy if acquisition else ""


def _measured(bundle: Bundle) -> Acquisition | None:
    """What the bundle measured of strategies, on women's histories."""
    return next((model.acquisition for model in bundle.manifest.of_kind("sequence") if model.acquisition), None)


def chosen_how() -> str:
    """``ONE`` case at a time or ``MANY``, by the control of ``show_controls``; women come one at a time."""
    if st.session_state.get("label_kind") == "patient":
        return ONE
    return st.session_state.get("label_how") or ONE


def show_controls(store: LabelStore, bundle: Bundle, who: Person, wish: Wish, ranking: Ranking) -> None:
    """What to label; who labels, how, in which order and what of it behind one button."""
    choose_kind("What to label", "label_kind")
    set_apart = sum(map(bool, (wish.strategy, wish.source, wish.predicted, wish.scored_within_days, wish.second_reads)))
    with st.popover(
        f"{escaped(who.name)} · order and filters{f' ({set_apart} set)' if set_apart else ''}",
        icon=":material/tune:",
        key="label_wishes",
    ):
        _show_reader(store, who)
        if wish.kind == "tile":
            st.segmented_control("How", [ONE, MANY], default=ONE, key="label_how", required=True)
        if ranking.scored:
            _show_wishes(bundle, wish, ranking)


def _show_reader(store: LabelStore, who: Person) -> None:
    """Under whose name answers are kept; where nobody signs in, a field to change it."""
    if st.user.to_dict().get("is_logged_in") is True:
        st.caption(f"You label as **{who.name}**.")
        return
    # Asked once a reader, not after every key.
    others = kept("label_readers", (get_settings().label_store_url, who.name), store.readers)
    names = list(dict.fromkeys([who.name, *others]))

    def take() -> None:
        try:
            st.session_state[READER] = checked_reader(st.session_state["label_reader"] or "")
        except LabelRefused as error:
            st.toast(escaped(str(error)), icon=":material/person_off:")

    st.session_state["label_reader"] = who.name
    st.selectbox(
        "You label as",
        names,
        accept_new_options=True,
        key="label_reader",
        on_change=take,
        placeholder="Type a name",
    )


def _show_wishes(bundle: Bundle, wish: Wish, ranking: Ranking) -> None:
    """Order and filters."""
    kind, titles = wish.kind, ranking.strategies
    strategy = titles.get(ranking.strategy, ranking.strategy)
    st.selectbox(
        "Which first",
        ["", *titles],
        key=f"label_strategy_{kind}",
        format_func=lambda name: titles[name] if name else f"Default: {strategy if ranking.is_default else 'as measured'}",
    )
    st.caption(_why_default(bundle, ranking))
    st.toggle(
        "Second reads first",
        key=f"label_second_{kind}",
        help="To measure agreement: cases that one other reader has read, drawn at random, come first.",
    )
    st.selectbox(
        f"From which {KINDS[kind].source}",
        ["", *ranking.sources],
        key=f"label_source_{kind}",
        format_func=lambda sha: f"{_source_words(sha)} ({ranking.sources[sha]:,})" if sha else "all",
    )
    classes = {"": "any", **{label: class_title(label) for label in ranking.predicted}}
    st.selectbox("Most probable class", list(classes), key=f"label_predicted_{kind}", format_func=classes.__getitem__)
    if wish.predicted:
        st.caption("You then know what the model says, so your answers are kept as not blinded.")
    st.selectbox("Scored within", [str(days) for days in AGES], key=f"label_age_{kind}", format_func=lambda n: AGES[int(n)])


def _why_default(bundle: Bundle, ranking: Ranking) -> str:
    """Where the default order comes from, in a sentence."""
    acquisition = _measured(bundle)
    controls = "Every tenth case is a control drawn at random."
    if acquisition is None:
        return f"No strategy was measured for this bundle, so the default is entropy. {controls}"
    if acquisition.strategy not in ranking.strategies:
        return f"The strategy that the bundle measured best cannot rank these scores, so the default is entropy. {controls}"
    return (
        f"The default had the {acquisition.chosen_by}: a simulation of labelling women's histories. For tiles no strategy "
        f"has been measured yet. {controls}"
    )


def _source_words(sha256: str) -> str:
    entry = seen_slide(get_settings().shelf_dir, sha256)
    return slide_words(entry) if entry is not None else f"{sha256[:8]}…"
