"""The labelled cases nearest to a tile or a woman: on the pages Slide and Patient, and where a dispute is settled."""

import base64
from html import escape

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError, LabelStoreUnavailable
from cervix.labels import LabelStore
from cervix.labels.desk.pictures import thumbnail
from cervix.labels.similar.found import Asked, Neighbour, Similar
from cervix.labels.similar.labelled import SIMILAR_AT_MOST, SPREAD_SHARE, LabelledCases
from cervix.labels.similar.women import course_words, may_be_herself
from cervix.labels.store.cases import KINDS, Kind, Scorer, scorer_of
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.shared.case_words import case_words, labelled_classes
from pages.parts.shared.frame import class_title
from pages.parts.shared.people import person
from pages.parts.shared.rescoring import offer_rescoring
from pages.parts.shared.sandbox import held_by_sandbox

HELD_FOR_S = 10.0
"""How old labels may be here: a label that was just given shows that much later."""
PICTURE_PX = 112
NO_COLOUR = "#8A8A8A"
MAYBE_SHE = "May be she herself. "
NOT_FOR_YOU = "Labelled cases are for readers and admins."


def labelled_cases(store: LabelStore, bundle: Bundle, kind: Kind) -> LabelledCases:
    """The labelled cases as this bundle sees them, once for all sessions; those of a sandbox go with it."""
    scorer = scorer_of(bundle, kind)

    def make() -> LabelledCases:
        return LabelledCases(store, scorer, kind, held_for_s=HELD_FOR_S)

    name = f"labelled {kind} {scorer}"
    return held_by_sandbox(name, make, lambda _: None) or _held(get_settings().label_store_url, scorer, kind, store)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={Scorer: repr})
def _held(url: str, scorer: Scorer, kind: Kind, _store: LabelStore) -> LabelledCases:  # noqa: ARG001 - the key
    return LabelledCases(_store, scorer, kind, held_for_s=HELD_FOR_S)


def show_similar(
    store: LabelStore, bundle: Bundle, kind: Kind, asked: Asked | None, key: str, visits: pd.DataFrame | None = None
) -> None:
    """The nearest labelled cases, the shares of their labels, and what was not compared.

    Parameters
    ----------
    asked : what they are nearest to; None where this bundle has no vector of it
    key : of the place on the page
    visits : of a woman of a table, to say who of the labelled may be she herself
    """
    who = person()
    if not who.may_browse:
        st.caption(NOT_FOR_YOU)
        return
    if asked is None:
        tile = "It can be compared once this bundle has scored it: step 1 of Improve."
        woman = "She cannot be compared: this bundle's history model has no state of women, or has not scored her."
        st.info(tile if kind == "tile" else woman, icon=":material/block:")
        return
    cases = labelled_cases(store, bundle, kind)
    try:
        with st.spinner("Comparing with the labelled cases …"):
            found = cases.nearest(asked, who.name)
        if found.neighbours:
            _show_shares(found, bundle, kind)
            if kind == "tile":
                _show_tiles(store, bundle, found.neighbours)
            else:
                _show_women(store, bundle, found.neighbours, key, visits)
        else:
            _show_nothing(found, kind, key)
        _show_left_out(found, bundle, kind)
        if found.unscored and who.may_label:
            offer_rescoring(cases, bundle, who.name, key)
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")


def _show_shares(found: Similar, bundle: Bundle, kind: Kind) -> None:
    titles, count = labelled_classes(bundle, kind), len(found.neighbours)
    told = " · ".join(
        f"**{escaped(titles.get(label, class_title(label)))} {round(share.value * count)}**, {100 * share.value:.0f} % "
        f"({100 * share.low:.0f}–{100 * share.high:.0f})"
        for label, share in found.shares().items()
    )
    st.markdown(f"Labels of the {count} nearest {_words(kind, count)}: {told}")


def _words(kind: Kind, count: int) -> str:
    one = {"tile": "tile", "patient": "woman"}
    return one[kind] if count == 1 else KINDS[kind].words


def _agreement(neighbour: Neighbour) -> str:
    readers = f"{neighbour.said} of {neighbour.readers} reader{'s' * (neighbour.readers != 1)}"
    return f"settled; {readers}" if neighbour.settled else readers


def _show_tiles(store: LabelStore, bundle: Bundle, neighbours: list[Neighbour]) -> None:
    classes = {item.id: item for item in bundle.session_of("tile").model.classes}
    figures = []
    for neighbour in neighbours:
        known = classes.get(neighbour.label)
        short, colour = (known.short, known.colour) if known is not None else (neighbour.label, NO_COLOUR)
        where = " · this slide" if neighbour.same_group else ""
        words = f"{class_title(neighbour.label)}, {_agreement(neighbour)}, distance {neighbour.distance:.2f}"
        figures.append(
            f"<figure style='border-top-color:{escape(colour)}' title='{escape(case_words(neighbour.case_id))}'>"
            f"{_picture(store, neighbour.case_id, words)}<figcaption><b>{escape(short)}</b> {neighbour.distance:.2f}<br>"
            f"{escape(_agreement(neighbour))}{where}</figcaption></figure>"
        )
    st.html(f"<div class='similar'>{''.join(figures)}</div>")


def _picture(store: LabelStore, case_id: str, words: str) -> str:
    """The tile within the page, as on the label desk: no address that somebody else could ask for."""
    try:
        content = base64.b64encode(thumbnail(store.case(case_id), PICTURE_PX)).decode()
    except LabelStoreUnavailable:
        raise
    except CervixError as error:
        return f"<p>{escape(str(error))}</p>"
    return f"<img src='data:image/jpeg;base64,{content}' alt='{escape(words)}'>"


def _show_women(store: LabelStore, bundle: Bundle, neighbours: list[Neighbour], key: str, visits: pd.DataFrame | None) -> None:
    titles = labelled_classes(bundle, "patient")
    cases = [store.case(one.case_id) for one in neighbours]
    herself = [visits is not None and may_be_herself(case, visits) for case in cases]
    st.dataframe(
        pd.DataFrame(
            {
                "Course": [
                    f"{MAYBE_SHE if same else ''}{course_words(case)}" for case, same in zip(cases, herself, strict=True)
                ],
                "Afterwards": [titles.get(one.label, class_title(one.label)) for one in neighbours],
                "Said so": [_agreement(one) for one in neighbours],
                "Distance": [one.distance for one in neighbours],
                "Woman": [one.case_id.rsplit(":", 1)[1] for one in neighbours],
            }
        ),
        hide_index=True,
        height="content",
        column_config={
            "Course": st.column_config.TextColumn(width="large", help="Up to the visit after which she was asked about"),
            "Afterwards": st.column_config.TextColumn(help="Her label: what her file says of the three years after"),
            "Distance": st.column_config.NumberColumn(format="%.3f"),
            "Woman": st.column_config.TextColumn(help="Her pseudonym, and how many of her visits were read"),
        },
        key=f"{key}_women",
    )


def _show_nothing(found: Similar, kind: Kind, key: str) -> None:
    words = KINDS[kind].words
    if found.compared:
        st.info(
            f"**No labelled {_words(kind, 1)} is similar.** The nearest of {found.compared:,} lies at distance "
            f"{found.nearest:.2f}; {_limit_words(found, words)}",
            icon=":material/filter_alt_off:",
        )
        return
    if found.unscored or found.kept_back:
        st.info(f"None of the labelled {words} can be shown beside this one.", icon=":material/filter_alt_off:")
        return
    with st.container(key=f"{key}_empty"):
        st.markdown(f"No {_words(kind, 1)} has been labelled here yet, so none is similar.")
        st.page_link("improve.py", label=f"Gather and label {words}", icon=":material/label:")


def _limit_words(found: Similar, words: str) -> str:
    if found.limit >= SIMILAR_AT_MOST:
        return "from 1 on two have no direction in common."
    return f"{100 * SPREAD_SHARE:.0f} % of pairs of labelled {words} lie within {found.limit:.2f}: it is unlike all of them."


def _show_left_out(found: Similar, bundle: Bundle, kind: Kind) -> None:
    """What the figures rest on, and what they say nothing of."""
    of, lines = KINDS[kind], []
    if found.neighbours:
        model = bundle.manifest.first_of(of.model_kind)
        what = "embedding" if kind == "tile" else "state after the last visit"
        groups = f"{found.groups} {of.groups if found.groups > 1 else of.source}" if kind == "tile" else "independent women"
        taught = (
            " This model was retrained from labels of this kind, which brings like labels together." if model.lineage else ""
        )
        lines.append(
            f"Nearest of {found.compared:,} labelled {of.words} of this installation, by the cosine distance of the {what} "
            f"(bundle {escaped(bundle.manifest.version)}; 0 is the same). Intervals: Wilson, 95 %, as wide as for {groups}. "
            "Alike to the model is no second opinion, and a share here is no probability: readers label what the model doubts."
            f"{taught}"
        )
        if found.beyond:
            lines.append(f"{found.beyond} more are not similar: beyond {found.limit:.2f}.")
    if found.kept_back:
        lines.append(f"{found.kept_back:,} kept back: you may still be asked to read them.")
    if found.unscored:
        lines.append(
            f"{found.unscored:,} not compared: this bundle has not scored them, and another's vectors are of another space."
        )
    if lines:
        st.caption(" ".join(lines))
