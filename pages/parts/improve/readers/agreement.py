"""How far readers agree beyond chance: all together, and pair by pair."""

import pandas as pd
import streamlit as st

from cervix.labels.insight.agreement import Kappa, all_readers, pairs
from cervix.labels.insight.charts import PAIRS_SHOWN, pairs_figure
from pages.parts.shared.frame import STILL_CHART, kept, show_metrics


def show_agreement(reads: pd.DataFrame, state: object) -> None:
    """Fleiss' kappa of all and Cohen's of each pair, with what the figures cannot say.

    Parameters
    ----------
    reads : of one kind
    state : changes whenever they do
    """
    found, table = kept("readers_agreement", state, lambda: (all_readers(reads), pairs(reads)))
    if found is None:
        st.info(
            "No case has labels of two readers yet, so there is no agreement to measure. Let a second reader ask for second "
            "reads on the label desk.",
            icon=":material/group_add:",
        )
        return
    st.header("All readers together")
    _show_all(found)
    st.header("Pair by pair")
    if table["kappa"].notna().any():
        st.plotly_chart(pairs_figure(table), key="readers_pairs", config=STILL_CHART)
        if table["kappa"].notna().sum() > PAIRS_SHOWN:
            st.caption(f"The {PAIRS_SHOWN} pairs with the most cases in common.")
    shown = pd.DataFrame(
        {
            "First": table["first"],
            "Second": table["second"],
            "Cases": table["cases"],
            "Same label": [f"{100 * share:.0f} %" for share in table["agreed_share"]],
            "Cohen's kappa": [_figure(kappa) for kappa in table["kappa"]],
            "95 % interval": [_range(low, high) for low, high in zip(table["low"], table["high"], strict=True)],
            "Caution": table["caution"].replace("", "–"),
        }
    )
    st.dataframe(shown, hide_index=True, height="content", key="readers_pairs_table")
    st.caption(
        "Cohen's kappa on the cases that both labelled; interval by the large-sample variance of Fleiss, Cohen and Everitt "
        "1969, which is too narrow for few cases and vanishes at full agreement."
    )


def _show_all(found: Kappa) -> None:
    show_metrics(
        {
            "Fleiss' kappa": (_figure(found.interval.value), _range(found.interval.low, found.interval.high)),
            "Cases": (f"{found.cases:,}", f"with {found.readers} labels each"),
            "Same label": (f"{100 * found.agreed_share:.0f} %", "of pairs of labels"),
        }
    )
    if found.caution:
        st.warning(found.caution, icon=":material/error_med:")
    st.caption(
        "1 is full agreement, 0 what chance gives. Fleiss' kappa needs equally many labels of each case: it is computed on the "
        "cases with the most common number, unsure and unusable apart. 95 % interval by bootstrap over cases, not over slides: "
        "it speaks of these slides, not of others. Cases that a strategy chose are harder than most: this is not the agreement "
        "of routine."
    )


def _figure(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


def _range(low: float, high: float) -> str:
    return "does not exist" if pd.isna(low) else f"{low:.2f} to {high:.2f}"
