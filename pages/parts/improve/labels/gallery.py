"""Many tiles at once, one choice each, sent together."""

from collections.abc import Callable

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import CervixError
from cervix.labels.desk.desk import LabelDesk, Shown
from cervix.labels.store.events import Action
from cervix.plain_text import escaped
from pages.parts.improve.labels.case import show_nothing_left, show_standing, show_unsaved
from pages.parts.improve.labels.model_view import show_last, show_undo

PAGES = (12, 18, 24)
COLUMNS = 6
OTHERS: dict[str, str] = {"unsure": "Unsure", "unusable": "Unusable"}
SHORT = {"unsure": "?", "unusable": "×"}
NOTHING = "nothing; keep them here"


def show_gallery(desk: LabelDesk, bundle: Bundle, show_controls: Callable[[], None]) -> None:
    """A page of tiles; what has no answer stays on it."""
    count = int(st.session_state.get("label_page_size") or PAGES[0])

    def controls() -> None:
        show_controls()
        st.segmented_control("Tiles a page", PAGES, default=PAGES[0], key="label_page_size", required=True,
                             label_visibility="collapsed")  # fmt: skip

    try:
        page = desk.page(count)
    except CervixError as error:
        show_standing(desk, controls)
        show_unsaved(desk)
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.button("Try again", key="label_gallery_again", icon=":material/refresh:")
        return
    show_standing(desk, controls)
    show_unsaved(desk)
    if page:
        _show_page(desk, page, bundle.manifest.first_of("tile"))
    else:
        show_nothing_left(desk)
    show_undo(desk)
    show_last(desk, bundle)
    desk.on_page(*page)


def _show_page(desk: LabelDesk, page: list[Shown], model: Model) -> None:
    titles = model.class_titles | OTHERS
    short = {item.id: item.short for item in model.classes} | SHORT

    def send() -> None:
        rest = st.session_state.get("label_others")
        said = {shown.case.id: st.session_state.get(_pick(shown)) or rest for shown in page}
        st.session_state["label_others"] = None
        desk.answer_page({case: _answer(choice) for case, choice in said.items() if choice})

    st.caption(" · ".join(f"{short[name]} = {title}" for name, title in titles.items() if short[name] != title))
    with st.form("label_gallery", border=False):
        for start in range(0, len(page), COLUMNS):
            columns = st.columns(COLUMNS, gap="small")
            for column, shown in zip(columns, page[start : start + COLUMNS], strict=False):
                column.image(shown.case.content, width="stretch")
                column.pills(
                    "Answer",
                    list(titles),
                    format_func=short.__getitem__,
                    key=_pick(shown),
                    label_visibility="collapsed",
                    wrap=True,
                )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.selectbox(
                "Label all others as",
                list(titles),
                index=None,
                format_func=titles.__getitem__,
                placeholder=NOTHING,
                key="label_others",
                width=280,
            )
            st.form_submit_button("Save this page", type="primary", icon=":material/done_all:", on_click=send, key="label_send")


def _pick(shown: Shown) -> str:
    return f"label_pick_{shown.key}"


def _answer(choice: str) -> tuple[Action, str | None]:
    return ("unsure", None) if choice == "unsure" else ("unusable", None) if choice == "unusable" else ("label", choice)
