"""The summaries of a bundle, made before anybody asks for them: whoever opens Evidence first need not wait."""

import logging
import time
from importlib import import_module
from threading import Thread

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.web import is_serving
from pages.parts.shared.frame import BUNDLE

BEGIN_AFTER_S = 1.0
"""The page that proved the bundle comes first."""
REST_S = 0.2
"""Between two models, for whoever asks for something meanwhile."""

logger = logging.getLogger(__name__)


def make_ahead() -> None:
    """Start it for the bundle of this session, once a process; on a server alone."""
    bundle: Bundle | None = st.session_state.get(BUNDLE)
    if bundle is not None and is_serving():
        _started(bundle)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs={Bundle: lambda bundle: bundle.sha256})
def _started(bundle: Bundle) -> None:
    Thread(target=_make, args=(bundle,), name="evidence", daemon=True).start()


def _make(bundle: Bundle) -> None:
    # At an ordinary priority: a thread of less would hold the interpreter's lock while other programs keep it from running.
    time.sleep(BEGIN_AFTER_S)
    # Imported here, and so ahead of the page too: they bring more modules than all that came before.
    import_module("pages.parts.evidence.choosing")
    from cervix.evaluation.summary import question_of, summary_of
    from cervix.evaluation.summary_chart import summary_figure

    for model in bundle.manifest.models:
        try:
            if (picture := summary_of(bundle, model).picture) is None:
                continue
            summary_figure(bundle, model, picture)
            question_of(bundle, model, model.main_task).sweep()
            time.sleep(REST_S)
        except CervixError as error:  # said on the page of the model
            logger.warning("nothing was made ahead for %s: %s", model.id, error)
