"""A tumour beside the slide that is open: whoever looks says that they belong together, and reads whether both agree."""

from typing import Literal

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.slides.scoring import SlideScore
from cervix.slides.tumour import NO_PRODUCT, Agreement, tumour_beside
from pages.parts.molecular.table import Scored, keep_tumours, pair, pairs, scored, tumours_are_open
from pages.parts.slide.look import Look, look

BADGES: dict[Agreement, tuple[str, str, Literal["green", "orange", "gray"]]] = {
    "agree": ("agree", ":material/check:", "green"),
    "disagree": ("disagree", ":material/call_split:", "orange"),
    "open": ("nothing to compare", ":material/remove:", "gray"),
}
MOST_OFFERED = 500
NONE = -1


def show_beside_slide(of: Scored, row: int, bundle: Bundle) -> None:
    """On the tumour: whether the open slide is of it, and whether both agree; how to get there where no slide is open."""
    seen = _open_slide(bundle)
    if seen is None:
        st.caption(
            "To hold it against its slide, open and score the slide under **Slide**, then say here that they belong together."
        )
        return
    if seen.score is None:
        st.caption("A slide is open, and not scored yet: score it to hold it against this tumour.")
        return
    sha256 = seen.slide.sha256
    name = st.session_state.get("slide_name", "") or f"{sha256[:8]}…"
    key = f"tumour_of_slide_{sha256[:8]}_{row}"
    st.session_state[key] = pairs().get(sha256) == row

    def say() -> None:
        pair(sha256, row if st.session_state[key] else None)
        keep_tumours()

    st.checkbox(f"The open slide ({escaped(name)}) is of this tumour", key=key, on_change=say)
    if pairs().get(sha256) == row:
        _say(of, row, seen.score, bundle)


def show_tumour_of_slide(slide_sha256: str, score: SlideScore, bundle: Bundle) -> None:
    """In the slide's dock: which tumour somebody says belongs to it, and whether both agree; nothing without a table."""
    if not bundle.manifest.of_kind("molecular") or not tumours_are_open():
        return
    try:
        of = scored(bundle)
    except CervixError:  # what is wrong with the table is said where it was brought
        return
    rows = [NONE, *range(min(len(of.table.tumours), MOST_OFFERED))]
    chosen = pairs().get(slide_sha256, NONE)
    if chosen not in rows:
        rows.append(chosen)
    key = f"slide_tumour_{slide_sha256[:8]}_{of.key}"
    st.session_state[key] = chosen

    def say() -> None:
        row = st.session_state[key]
        pair(slide_sha256, None if row == NONE else row)
        keep_tumours()

    with st.container(key="slide_tumour", gap="small"):
        st.selectbox(
            "Tumour of this slide, from the table under Molecular",
            rows,
            format_func=lambda row: "None chosen" if row == NONE else of.table.tumours[row],
            key=key,
            on_change=say,
        )
        if chosen != NONE:
            _say(of, chosen, score, bundle)


def _say(of: Scored, row: int, score: SlideScore, bundle: Bundle) -> None:
    beside = tumour_beside(
        score.summary.answer, bundle.session_of("tile").model, str(of.scores.frame["answer"].iloc[row]), of.model
    )
    word, icon, colour = BADGES[beside.agreement]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(word, icon=icon, color=colour)
        st.markdown(escaped(beside.words), width="content")
    st.caption(NO_PRODUCT)


def _open_slide(bundle: Bundle) -> Look | None:
    """The slide that is open; None where none is, or it cannot be opened any more, which its own side of the page says."""
    if "slide_path" not in st.session_state or not bundle.manifest.of_kind("tile"):
        return None
    try:
        return look(bundle)
    except CervixError:
        return None
