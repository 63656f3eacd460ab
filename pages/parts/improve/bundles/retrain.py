"""Retrain: what the labels amount to, a run that makes a candidate bundle of them, what labels have brought so far."""

import streamlit as st

from cervix.errors import CervixError
from cervix.plain_text import escaped
from pages.parts.improve.bundles.learning_curves import show_labels_saved, show_live_curve
from pages.parts.improve.bundles.order import show_order
from pages.parts.improve.bundles.runs import desk, label_counts, show_earlier_runs, show_labels, show_outcome, show_running
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.shared.store import label_store_or_stop


def show_retrain() -> None:
    """The next run, what labels are worth, what there is of them, earlier runs."""
    bundle = bundle_or_stop()
    store = label_store_or_stop()
    try:
        counts = label_counts(store, bundle)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.stop()
    runs = desk().runs()
    running = next((run for run in runs if run.state == "running"), None)
    ended = [run for run in runs if run.state != "running"]
    next_run, worth = st.columns(2, gap="large")
    with next_run:
        st.header("Next run" if running is None else "Running now")
        if running is not None:
            show_running(running.id)
        else:
            # A place of its own, so that what follows does not move, and stand there twice for a moment, when a run ends.
            with st.container(key="retrain_outcome"):
                if ended:
                    show_outcome(ended[0])
            show_order(bundle, counts)
        st.caption(
            "A run trains a **candidate** bundle on the labels that count. The active bundle stays as it is until somebody "
            "compares the two and promotes the candidate. A slide or woman with a case that is nearly one of the frozen test "
            "cases is left out, so the candidate is judged on cases that neither bundle learned from."
        )
        show_labels(counts, bundle)
    with worth:
        show_labels_saved(bundle)
    show_earlier_runs(ended)
    show_live_curve(bundle, store)
