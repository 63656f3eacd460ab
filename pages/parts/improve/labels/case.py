"""One case at a time: large, answered by a key, the next one at once."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.labels.desk.desk import LabelDesk, Shown
from cervix.labels.desk.pictures import FIELDS, TileViews
from cervix.labels.gathering.women import OUTCOME_YEARS, WomanViews
from cervix.labels.store.events import COMMENT_AT_MOST, Action
from cervix.patients.charts import timeline_figure
from cervix.patients.sequences import TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS
from cervix.plain_text import escaped
from pages.parts.improve.labels.model_view import in_line, show_last, show_undo
from pages.parts.shared.case_words import labelled_classes
from pages.parts.shared.frame import STILL_CHART, duration
from pages.parts.shared.improve_step import open_step

FIELD_WIDTH, COMMENT_WIDTH, TIMELINE_PX = 205, 215, 300
OTHER_ANSWERS: tuple[tuple[Action, str, str, str], ...] = (
    ("unsure", "Unsure", "Q", ":material/help:"),
    ("unusable", "Unusable", "X", ":material/block:"),
    ("skip", "Skip", "S", ":material/skip_next:"),
)
ASK_AGAIN_S = 1.0


def show_case(desk: LabelDesk, bundle: Bundle, show_controls: Callable[[], None]) -> None:
    """The case in hand, its answers under it, and beside it what is to choose, how far it is, and what is around it."""
    try:
        shown = desk.current()
    except CervixError as error:
        show_standing(desk, show_controls)
        show_unsaved(desk)
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.button("Try again", key="label_again", icon=":material/refresh:")
        return
    if shown is None:
        show_standing(desk, show_controls)
        show_unsaved(desk)
        with st.container(horizontal=True, key="label_answers"):
            show_nothing_left(desk)
            show_undo(desk)
        show_last(desk, bundle)
        return
    # Before it is drawn: a key that comes while the rest is drawn ends this run, and must count.
    desk.on_page(shown)
    with st.container(key=f"label_{shown.case.kind}_case"):
        with st.container(key="label_picture"):
            _show_picture(shown, bundle)
        with st.container(horizontal=True, key="label_answers"):
            _show_answers(desk, shown, bundle)
        with st.container(key="label_beside"):
            show_standing(desk, show_controls)
            show_unsaved(desk)
            if not shown.blinded:
                st.caption("You know or may know what the model says about this case: your answer is kept as not blinded.")
            if isinstance(shown.view, TileViews):
                _show_fields(shown.view)
            else:
                _show_tables(shown.view, shown.case.id)
            show_last(desk, bundle)


def show_standing(desk: LabelDesk, show_controls: Callable[[], None]) -> None:
    """What is to choose, and beside it progress, pace and what is left."""
    standing = desk.standing
    words = [f"{standing.read:,} read", f"{standing.left:,} left"]
    if standing.an_hour:
        words.append(f"{standing.an_hour:,.0f} an hour")
        if standing.left:
            words.append(f"about {duration(standing.left * (standing.seconds or 0))} to go")
    with st.container(horizontal=True, vertical_alignment="center", key="label_line"):
        show_controls()
        st.markdown(" · ".join(words), width="content")
    st.progress(standing.read / max(1, standing.read + standing.left))


def show_nothing_left(desk: LabelDesk) -> None:
    """Why nothing comes, and what would bring something."""
    narrowed = desk.wish.source or desk.wish.predicted or desk.wish.scored_within_days
    if desk.standing.left and not narrowed:
        st.info("Other readers have the last open cases. Look again in a few minutes.", icon=":material/hourglass:")
    elif narrowed:
        st.info("No case left matches these filters. Change them, or gather more cases.", icon=":material/filter_alt_off:")
    else:
        st.success("Every case has been read. Gather more, or turn on second reads.", icon=":material/done_all:")
    st.button("Look again", key="label_look_again", icon=":material/refresh:")
    if st.button("What waits next", key="label_next", icon=":material/arrow_forward:"):
        open_step("waiting")
        st.rerun()


def show_unsaved(desk: LabelDesk) -> None:
    """Answers that the store has not confirmed yet."""
    if desk.waiting():
        _watch_unsaved(desk)


@st.fragment(run_every=ASK_AGAIN_S)
def _watch_unsaved(desk: LabelDesk) -> None:
    waiting = sum(max(1, len(parcel.events)) for parcel in desk.waiting())
    if not waiting:
        st.success("All answers are saved now.", icon=":material/cloud_done:")
        return
    st.warning(
        f"{waiting} {'answer is' if waiting == 1 else 'answers are'} not saved yet, trying again every second. Do not stop the "
        f"server. {desk.trouble}",
        icon=":material/cloud_sync:",
    )


def _show_picture(shown: Shown, bundle: Bundle) -> None:
    if isinstance(shown.view, TileViews):
        st.image(in_line(shown.view.tile), width="stretch")
        return
    view: WomanViews = shown.view
    asked = escaped(bundle.manifest.first_of("sequence").main_task.title)
    if view.after is None:
        st.markdown(f"**Did she have {asked} after her last visit?**")
        st.warning(
            "She was gathered before what came afterwards was kept, so nothing here tells it. Say *Unsure*, unless you "
            "know it from her file.",
            icon=":material/help:",
        )
    else:
        st.markdown(f"**Did she have {asked}?** Asked at the dotted line; what her file says afterwards is on grey.")
    figure = timeline_figure(view.visits, view.after, years=OUTCOME_YEARS)
    st.plotly_chart(figure, key=f"label_timeline_{shown.case.id}", config=STILL_CHART, height=TIMELINE_PX)


def _show_tables(view: WomanViews, case: str) -> None:
    """What came afterwards, and the history, line by line."""
    if view.after is not None:
        st.markdown("**What her file says afterwards**")
        after = _lines(view.after, "Years after", float(view.visits[TIME_YEARS].iloc[-1]))
        st.dataframe(after, hide_index=True, height="content", key=f"label_after_{case}")
    with st.expander("Her history up to then"):
        before = _lines(view.visits.iloc[::-1], "Years since first visit", 0.0)
        st.dataframe(before, hide_index=True, height="content", key=f"label_visits_{case}")


def _lines(visits: pd.DataFrame, title: str, from_years: float) -> pd.DataFrame:
    """Visits as a table; their time counted from a moment."""
    lines = pd.DataFrame({title: (visits[TIME_YEARS] - from_years).round(1), "Age": visits[AGE].astype("Float64").round(0)})
    for column in CODE_COLUMNS:
        if visits[column.name].notna().any():
            lines[column.label] = visits[column.name].astype(object).where(visits[column.name].notna(), "")
    return lines


def _show_fields(views: TileViews) -> None:
    """The tissue around the tile."""
    if views.note:
        st.caption(views.note)
        return
    with st.container(horizontal=True, key="label_fields"):
        for width in FIELDS:
            st.image(in_line(views.fields[width]), width=FIELD_WIDTH, caption=f"{width} × as wide, the tile outlined")


def _comment_on(shown: Shown) -> str:
    return f"label_comment_{shown.case.id}"


def _show_answers(desk: LabelDesk, shown: Shown, bundle: Bundle) -> None:
    """A button an answer. Each belongs to this case alone: a key pressed twice says nothing of the next one."""
    case = shown.case.id

    def answer(action: Action, label: str | None = None) -> None:
        desk.answer(case, action, label, (st.session_state.get(_comment_on(shown)) or "").strip())

    for number, (label, title) in enumerate(labelled_classes(bundle, shown.case.kind).items(), start=1):
        st.button(
            title, key=f"label_{label}_{case}", shortcut=str(number), type="primary", on_click=answer, args=("label", label)
        )
    for action, title, shortcut, icon in OTHER_ANSWERS:
        st.button(title, key=f"label_{action}_{case}", shortcut=shortcut, icon=icon, on_click=answer, args=(action,))
    show_undo(desk)
    st.text_input(
        "Comment",
        key=_comment_on(shown),
        placeholder="Comment, kept with the answer",
        max_chars=COMMENT_AT_MOST,
        width=COMMENT_WIDTH,
        label_visibility="collapsed",
    )
