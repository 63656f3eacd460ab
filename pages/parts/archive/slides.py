"""The list of a run's slides: narrowed, ordered, a page at a time, with small pictures; what can be done with those chosen."""

from typing import Any

import streamlit as st

from cervix.archive.desk_runs import DeskRun
from cervix.archive.results.listing import Narrowing, facet_values, listed_rows
from cervix.archive.results.orders import ORDERS
from cervix.archive.results.reading import reading
from cervix.archive.results.summary import VERDICTS
from cervix.bundle import Bundle
from cervix.errors import ArchiveRunRefused
from cervix.plain_text import escaped
from pages.parts.archive.chosen import show_actions
from pages.parts.archive.resources import desk, has_ledger, ledger_mark, remembered
from pages.parts.archive.rows import COLUMNS, ROW_PX, table_of
from pages.parts.shared.frame import kept

ROWS = 8
POLL_EVERY_S = 6.0
"""Slower than the figures above it: whoever chooses rows shall not have them move at every slide."""
STATES = {
    "done": "Scored", "waiting": "Waiting", "running": "In hand", "refused": "Not scored", "quarantined": "Set aside",
    "duplicate": "Seen twice",
}  # fmt: skip
MORE = {"state": "State", "site": "Site", "scanner": "Scanner", "day": "Day"}


def show_slides(run: DeskRun, bundle: Bundle) -> None:
    """The list; while the run goes it is drawn again from time to time."""
    st.fragment(_show_list, run_every=POLL_EVERY_S if run.state == "running" else None)(run, bundle)


def _show_list(run: DeskRun, bundle: Bundle) -> None:
    if not has_ledger(run):
        st.info("Nothing is listed yet.", icon=":material/hourglass_empty:")
        return
    try:
        with reading(desk().folder(run)) as connection:
            # One state of the ledger for all that is shown; facets are counted once for each.
            facets = kept(
                "archive_facets",
                (run.id, ledger_mark(run)),
                lambda: {name: facet_values(connection, name) for name in ("verdict", *MORE)},
            )
            narrowing = _narrowing(facets)
            key = _page_key(run, narrowing)
            page = int(st.session_state.get(remembered(key), 1))
            rows, count = listed_rows(connection, narrowing, (page - 1) * ROWS, ROWS)
            if count and not rows:  # while a run goes, slides leave a list of those that wait
                page = st.session_state[key] = -(-count // ROWS)
                rows, count = listed_rows(connection, narrowing, (page - 1) * ROWS, ROWS)
    except ArchiveRunRefused as error:
        st.error(escaped(str(error)), icon=":material/error:")
        return
    if not rows:
        st.info("No slide matches. Clear the search or the choice above.", icon=":material/search_off:")
        return
    # A column that no slide has anything in is left out.
    unknown = {title for name, title in MORE.items() if not facets[name]}
    _show_table(run, bundle, rows, count, narrowing, [name for name in COLUMNS if name not in unknown])


def _narrowing(facets: dict[str, list[tuple[str, int]]]) -> Narrowing:
    """What the list shall show, by the controls above it."""
    counts = dict(facets["verdict"])
    with st.container(horizontal=True, vertical_alignment="center", key="archive_narrow"):
        known = [name for name in VERDICTS if name in counts]
        verdicts = st.pills(
            "Answer", known, selection_mode="multi", key=remembered("archive_verdict", known),
            format_func=lambda name: f"{VERDICTS[name]} **{counts.get(name, 0):,}**", label_visibility="collapsed",
        ) if known else []  # fmt: skip
        text = st.text_input(
            "Find", key=remembered("archive_text"), placeholder="Find a name, hash or reason", label_visibility="collapsed"
        )
        order = st.selectbox("Order", list(ORDERS), format_func=lambda name: ORDERS[name].title,
                             key=remembered("archive_order"), label_visibility="collapsed")  # fmt: skip
        chosen: list[tuple[str, tuple[str, ...]]] = [("verdict", tuple(verdicts or ()))]
        narrowed = sum(bool(st.session_state.get(remembered(f"archive_by_{name}", dict(facets[name])))) for name in MORE)
        with st.popover(f"More ({narrowed})" if narrowed else "More", icon=":material/tune:", key="archive_more"):
            for column, title in MORE.items():
                values = dict(facets[column])
                picked = st.multiselect(
                    title, list(values), key=f"archive_by_{column}", placeholder="All" if values else "None is known",
                    format_func=lambda value, values=values: f"{STATES.get(value, value)} ({values.get(value, 0):,})",
                    disabled=not values,
                )  # fmt: skip
                chosen.append((column, tuple(picked)))
            st.caption(ORDERS[order].words)
    return Narrowing(tuple(chosen), text.strip(), order)


def _page_key(run: DeskRun, narrowing: Narrowing) -> str:
    return f"archive_page_{run.id}_{hash(narrowing)}"


def _show_table(
    run: DeskRun, bundle: Bundle, rows: list[dict[str, Any]], count: int, narrowing: Narrowing, columns: list[str]
) -> None:
    places = [row["place"] for row in rows]
    table, missing = table_of(rows)
    actions = st.container(horizontal=True, vertical_alignment="center", key="archive_actions")
    told = st.container()
    # The rows' place is what a selection names: another page must not inherit it.
    picked = st.dataframe(
        table,
        hide_index=True,
        row_height=ROW_PX,
        height="content",
        column_config=COLUMNS,
        column_order=columns,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        alt="Slides of the run: choose rows to open or label them",
        key=f"archive_rows_{run.id}_{hash(tuple(places))}",
    )
    chosen = [rows[row] for row in picked["selection"]["rows"] if row < len(rows)]
    with actions:
        show_actions(run, bundle, chosen, missing, told)
        _show_pages(run, narrowing, count)


def _show_pages(run: DeskRun, narrowing: Narrowing, count: int) -> None:
    pages = -(-count // ROWS)
    st.caption(f"{count:,} slide{'' if count == 1 else 's'}")
    if pages > 1:
        st.number_input(f"Page of {pages:,}", 1, pages, key=_page_key(run, narrowing), width=160, label_visibility="collapsed",
                        help=f"Page 1 to {pages:,}")  # fmt: skip
        st.caption(f"of {pages:,} pages")
