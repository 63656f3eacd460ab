"""Promotion and roll back on a page: which bundle is active, and the two steps that change it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from cervix.bundle.active import SHIPPED, Promotion, PromotionLine, promotion_line
from cervix.errors import BundleError, CervixError, PromotionRefused
from cervix.improving import newest_candidate
from cervix.plain_text import escaped
from cervix.promotion.comparison import BundleComparison
from cervix.promotion.promote import REASON_AT_LEAST, REASON_AT_MOST, check_promotable, check_usable, promote, roll_back
from cervix.settings import get_settings
from pages.parts.improve.sample import show_empty
from pages.parts.shared.frame import active_or_stop, since_words, use_active_bundle
from pages.parts.shared.improve_step import open_step
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop

ASKED = "promotion_asked"
DONE = "promotion_done"
FEW_CASES = (
    "With few held-out cases hardly any candidate can be shown not to be worse ({cases}): “keep” may say more about the test "
    "set than about the candidate. An admin who knows more than the figures can decide otherwise, in writing. The reason is "
    "kept in the audit trail and shown with the bundle."
)


def show_line() -> PromotionLine | None:
    """The promotions that stand, the active one first; None where they cannot be read: banner or page say so already."""
    line = line_or_none()
    if line is None:
        return None
    # As plain text: a name is no markup.
    st.text(since_words(line))
    if line.promotions:
        rows = [
            {
                "Bundle": promotion.label,
                "Promoted (UTC)": f"{promotion.promoted_at:%Y-%m-%d %H:%M}",
                "By": promotion.promoted_by,
                "Against the rules, because": promotion.reason,
                "Folder": promotion.folder,
            }
            for promotion in reversed(line.promotions)
        ]
        rows.append(dict.fromkeys(rows[0], "") | {"Bundle": SHIPPED.capitalize()})
        st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", key="promotion_line")
    return line


def show_promoted() -> None:
    """Step 6: which bundle is active, the promotions that stand, and the way back; forward, where a candidate is."""
    show_done()
    line = show_line()
    show_roll_back(line)
    active = active_or_stop()
    if newest_candidate(get_settings(), active):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("A candidate lies on this server. It is promoted from its comparison with the active bundle.")
            if st.button("Compare", key="promoted_compare", type="primary", icon=":material/difference:"):
                open_step("compare")
                st.rerun()
    elif line is not None and not line.promotions:
        show_empty(
            "Nothing has been promoted here, and no candidate waits. A retraining makes one, or one is brought as a zip.",
            "promoted",
            ":material/upgrade:",
            ("retrain", "Retrain"),
            ("compare", "Bring a candidate"),
        )


def show_done() -> None:
    """What was done last, once."""
    if done := st.session_state.pop(DONE, ""):
        st.success(done, icon=":material/check_circle:")


def line_or_none() -> PromotionLine | None:
    """The promotions that stand; None where they cannot be read: banner or page say so already."""
    try:
        return promotion_line(get_settings())
    except BundleError:
        return None


def show_roll_back(line: PromotionLine | None) -> None:
    """For an admin the roll back, where something was promoted."""
    user = person()
    if not user.may_decide:
        st.info(f"Only an admin promotes and rolls back; {escaped(user.name)} is here as {user.role}.", icon=":material/lock:")
        return
    if line is None or not line.promotions:
        return
    # What was asked for is what is taken back, though another promotion may have come since.
    last = st.session_state.get(ASKED)
    if not isinstance(last, Promotion):
        st.button(
            f"Roll back to {escaped(line.before_last)}",
            icon=":material/undo:",
            key="roll_back",
            on_click=_ask,
            args=(line.promotions[-1],),
        )
        return

    def change() -> str:
        with st.spinner("Proving the bundle that comes back …"):
            bundle = roll_back(get_settings(), last, label_store_or_stop(), user.name)
        return f"Rolled back: {escaped(bundle.label)} is active again."

    _confirm(
        f"**{escaped(last.label)}** will no longer be active; **{escaped(line.before_last)}** will be, for every session that "
        "starts from then on and for yours. Its folder stays, so it can be promoted again.",
        "Roll back now",
        change,
    )


def show_promotion(comparison: BundleComparison, folder: Path | None, keep: Callable[[], None]) -> None:
    """The way from the verdict to the active bundle.

    Parameters
    ----------
    folder : Path or None
        The candidate on this server; None for one that was uploaded and lies nowhere yet.
    keep : callable
        Keeps the uploaded candidate on this server.
    """
    user = person()
    if comparison.identical or not user.may_decide:
        return
    try:
        check_usable(comparison)
    except PromotionRefused as error:
        st.info(escaped(str(error)), icon=":material/block:")
        return
    if folder is None:
        st.markdown("An uploaded candidate is deleted after the comparison. To promote it, keep it on this server.")
        if st.button("Keep it on this server", icon=":material/save:", key="promotion_keep"):
            try:
                keep()
            except CervixError as error:
                st.error(f"It was not saved. {escaped(str(error))}", icon=":material/block:")
        return
    if st.session_state.get(ASKED) != _pair(comparison):
        _ask_to_promote(comparison)
        return
    reason = st.session_state.get("promotion_reason_given", "")

    def change() -> str:
        with st.spinner("Proving every variant of the candidate once more …"):
            promotion = promote(get_settings(), folder, comparison, label_store_or_stop(), user.name, reason=reason)
        return (
            f"Promoted: {escaped(promotion.label)} is active. Sessions that are open finish with the bundle they started with."
        )

    _confirm(
        f"**{escaped(comparison.candidate)}** will take the place of **{escaped(comparison.active)}** for every session that "
        "starts from then on and for yours. Sessions that are open finish with the bundle they started with, and are offered "
        "this one.",
        "Promote now",
        change,
        reason,
    )


def _ask_to_promote(comparison: BundleComparison) -> None:
    """The first step: without a reason where every rule is met, with one where not."""
    if comparison.decision == "promote":
        st.button(
            f"Promote {escaped(comparison.candidate)}",
            icon=":material/upgrade:",
            type="primary",
            key="promote",
            on_click=_ask,
            args=(_pair(comparison),),
        )
        return
    cases = [
        f"{escaped(model.title)}: {model.pairs[model.main_task].n:,}, of them "
        f"{model.pairs[model.main_task].active.positives:,} positive"
        for model in comparison.changed
        if model.pairs
    ]
    with st.popover("Promote it all the same …", icon=":material/upgrade:", key="promotion_anyway"):
        st.markdown(FEW_CASES.format(cases="; ".join(cases) or "here none were compared"))
        with st.form("promotion_against_the_rules", border=False):
            reason = st.text_area(
                "Why promote it anyway?",
                max_chars=REASON_AT_MOST,
                key="promotion_reason",
                placeholder=f"At least {REASON_AT_LEAST} characters",
            )
            sent = st.form_submit_button("Promote against the rules", icon=":material/upgrade:", key="promote_anyway")
    if not sent:
        return
    try:
        check_promotable(comparison, reason)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/block:")
        return
    _ask(_pair(comparison), reason)
    st.rerun()


def _pair(comparison: BundleComparison) -> tuple[str, str]:
    return comparison.active_sha256, comparison.candidate_sha256


def _ask(what: Promotion | tuple[str, str] | None, reason: str = "") -> None:
    """Remember what is about to be taken back, or put in the place of what."""
    st.session_state[ASKED] = what
    st.session_state["promotion_reason_given"] = reason


def _confirm(words: str, label: str, change: Callable[[], str], reason: str = "") -> None:
    """The second step: what will happen, and the button that makes it happen."""
    with st.container(border=True, key="promotion_confirm"):
        st.markdown(words)
        if reason:
            st.text(f"Against the rules, because: {reason}")
        with st.container(horizontal=True):
            sure = st.button(label, type="primary", key="promotion_sure")
            st.button("Cancel", key="promotion_cancel", on_click=_ask, args=(None,))
        if not sure:
            return
        try:
            done = change()
        except CervixError as error:
            st.error(f"Nothing was changed. {escaped(str(error))}", icon=":material/block:")
            return
    _ask(None)
    use_active_bundle()
    st.session_state[DONE] = done
    st.rerun()
