"""How a table of tumours gets on the page; and, once one is open, all about the file."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle
from cervix.bundle.loading import read_listed
from cervix.errors import BundleError
from cervix.molecular.answers import learned_from, marker_words
from cervix.molecular.scoring import markers_of
from cervix.molecular.template import template_csv
from cervix.plain_text import escaped
from pages.parts.molecular.table import CREDIT, TABLES, UPLOADS, Scored, forget_tumours, take_tumours

TYPES = ["csv", "tsv", "txt", "xlsx", "xls", "ods", "parquet"]
UPLOAD = "tumours_upload"
KEPT_WORDS = (
    "A table that you bring is kept in this server's memory while it is used, at most eight hours after its last use, and "
    "never written to disk. Pseudonyms only."
)
SAMPLE_LOST = "tumours_sample_lost"
SAMPLE_CREDIT = "Held-out tumours of hospitals that taught the model nothing, under drawn numbers"


def show_empty(bundle: Bundle) -> None:
    """Nothing is open: what to do, and what comes of it."""
    model = bundle.session_of("molecular").model
    st.markdown(
        f"**Bring a table of microRNA, or open the sample.** {escaped(model.task)}: the answer, what each marker added, and "
        "where the tumour lies among those that the model learned from."
    )
    show_intake(bundle)
    st.caption(
        f"It learned from {escaped(learned_from(model))}: {escaped('; '.join(data.name for data in model.training_data))}. "
        f"{escaped(model.limits[0])}"
    )


def show_intake(bundle: Bundle) -> None:
    """Sample, upload and template."""
    session = bundle.session_of("molecular")
    markers = markers_of(session)
    times = st.session_state.get(UPLOADS, 0)
    key = f"{UPLOAD}_{times}" if times else UPLOAD
    answering = ", ".join(marker_words(marker.name) for marker in markers.encoding if marker.use == "answer")
    with st.container(horizontal=True):
        if markers.sample:
            st.button(
                "Open the sample",
                icon=":material/science:",
                type="primary",
                key="tumours_sample",
                help=SAMPLE_CREDIT,
                on_click=_take_sample,
                args=(bundle, markers.sample),
            )
        st.download_button(
            "Template (CSV)",
            template_csv(markers).encode(),
            file_name="microrna-template.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="tumours_template",
        )
    st.file_uploader(
        "Table of tumours: reads per million of microRNA, one row a tumour, or genes in rows",
        type=TYPES,
        key=key,
        on_change=_take_upload,
        args=(key,),
        help=f"The answer rests on {answering}; the other markers of the template tell whether the table is of the assay that "
        "the model knows.",
    )
    if lost := st.session_state.pop(SAMPLE_LOST, ""):
        st.error(escaped(lost), icon=":material/table_view:")
    st.caption(KEPT_WORDS)


def show_file(line: DeltaGenerator, of: Scored, bundle: Bundle) -> None:
    """The chip of the open file in the page's first line, and behind it everything about the file."""
    count, none = len(of.table.tumours), int((of.scores.frame["answer"] == "").sum())
    words = f"{count:,} tumour{'s' if count != 1 else ''}"
    mark = f" · {none:,} no answer" if none else ""
    if of.table.problems:
        mark += f" · :orange-badge[{len(of.table.problems):,} to be mended]"
    if of.table.notices:
        mark += f" · :blue-badge[{len(of.table.notices):,} to know]"
    credit = st.session_state[CREDIT]
    with line.popover(words + mark, icon=":material/table_view:", key=f"tumours_file_{st.session_state[TABLES]}", wrap=True):
        st.caption(f"{words} read, {of.table.left_out:,} rows left out. {credit}")
        for notice in of.table.notices:
            st.info(escaped(notice))
        st.markdown("**Another table**")
        show_intake(bundle)
        st.button("Close this table", icon=":material/close:", key="tumours_close", on_click=forget_tumours)
    if credit:
        line.caption(credit)


def _take_upload(key: str) -> None:
    upload = st.session_state[key]
    if upload is None:
        forget_tumours()
    else:
        take_tumours(upload.getvalue())


def _take_sample(bundle: Bundle, name: str) -> None:
    try:
        take_tumours(read_listed(bundle.root, name), credit=f"{SAMPLE_CREDIT}.")
    except BundleError as error:
        st.session_state[SAMPLE_LOST] = str(error)
