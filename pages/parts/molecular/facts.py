"""Below the tumours: what else is known of the cohort, why screening histories are not joined, and the scores as a file."""

from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import BundleError
from cervix.molecular.answers import scores_csv
from cervix.molecular.context import context_of
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.molecular.table import Scored

NOT_JOINED = (
    "**Why no screening history is joined here.** There are no pairs: no data set open to us has the microRNA of tumours and "
    "the screening histories of the same women. A joint figure could be neither fitted nor checked, so none is shown."
)


def show_facts(bundle: Bundle) -> None:
    """Frequencies of mutations and HPV types by kind, and what is not joined."""
    model = bundle.session_of("molecular").model
    try:
        context = context_of(bundle, model)
    except BundleError as error:
        st.warning(escaped(str(error)))
        context = None
    if context is not None:
        with st.expander(
            "How often a gene is mutated, and which HPV type is found, in each kind", icon=":material/table_chart:"
        ):
            titles = {name: name.capitalize() for name in context.frame.columns}
            st.dataframe(
                context.frame.rename(columns=titles).rename_axis("Gene or HPV type").reset_index(),
                hide_index=True,
                height="content",
                key="tumours_context",
            )
            st.caption(escaped(context.said))
    st.markdown(NOT_JOINED)


def show_export(of: Scored, bundle: Bundle) -> None:
    """The scores of the whole table as a file."""
    st.download_button(
        "Scores (CSV)",
        partial(_csv, of, bundle),
        file_name="tumour-scores.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="tumours_download",
    )


def _csv(of: Scored, bundle: Bundle) -> bytes:
    """The file, made when it is asked for."""
    return scores_csv(of.table, of.scores, of.model, of.markers, provenance_of(bundle, of.model.id))
