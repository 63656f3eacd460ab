"""One tumour: its kind or why there is no answer, where its markers lie, what each added."""

import numpy as np
import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.molecular.answers import kinds_of, learned_from, marker_words, probability_words
from cervix.molecular.charts import added_figure, markers_figure
from cervix.molecular.scoring import explained
from cervix.plain_text import escaped
from pages.parts.molecular.beside import show_beside_slide
from pages.parts.molecular.table import Scored
from pages.parts.shared.frame import STILL_CHART
from pages.parts.shared.unevaluated import show_unevaluated
from pages.parts.slide.answer import show_verdict
from pages.parts.slide.head import held_out_line


def show_tumour(of: Scored, row: int, bundle: Bundle) -> None:
    """The answer first, beneath it the slide beside it, the markers, and what each added."""
    told = of.scores.frame.iloc[row]
    with st.container(key="tumour_head", gap="small"):
        st.caption(f"Tumour {escaped(str(told['tumour']))}")
        _show_answer(of, row, bundle)
    show_beside_slide(of, row, bundle)
    parts = explained(of.table, of.scores, row, of.markers)
    kinds = {item.id: item for item in of.model.classes}
    positive, negative = (kinds[label] for label in kinds_of(of.model))
    where, why = st.columns([3, 2], gap="medium")
    with where:
        st.markdown("**Where it lies among the tumours the model learned from**")
        figure = markers_figure(parts, of.markers.encoding, [negative, positive], "This tumour")
        st.plotly_chart(figure, key="tumour_markers", config=STILL_CHART)
    if told["answer"]:
        with why:
            st.markdown("**What each marker added**")
            st.plotly_chart(added_figure(parts, {True: positive, False: negative}), key="tumour_added", config=STILL_CHART)
    st.caption(" ".join([_bands_words(of, row), *([_sum_words(of, parts, positive.mid_sentence)] if told["answer"] else [])]))


def _show_answer(of: Scored, row: int, bundle: Bundle) -> None:
    told, model = of.scores.frame.iloc[row], of.model
    answer = str(told["answer"])
    task, titles = model.main_task, {item.id: item.mid_sentence for item in model.classes}
    if answer:
        p = {label: probability_words(float(told[f"p_{label}"])) for label in kinds_of(model)}
        positive, negative = kinds_of(model)
        threshold = next(item for item in model.thresholds if item.task == task.id)
        show_verdict(
            "kind",  # both are cancer: in no colour of a verdict, since those of the kinds are in the charts
            model.class_titles[answer],
            f"**{p[positive]}** {escaped(titles[positive])}, {p[negative]} {escaped(titles[negative])}; called "
            f"{escaped(titles[positive])} from {100 * threshold.value:.0f} %",
            f"That threshold: {escaped(threshold.chosen_by)}.",
            place="_tumour",
        )
    else:
        headline, _, reason = str(told["no_answer"]).partition(": ")
        show_verdict("abstained", headline, "", escaped(reason[:1].upper() + reason[1:]), place="_tumour")
    show_unevaluated(model)
    st.caption(f"{escaped(held_out_line(bundle, model))} {escaped(model.notice)}")
    for warning in _warnings(of, row):
        st.warning(warning, icon=":material/rule:")


def _warnings(of: Scored, row: int) -> list[str]:
    lost, said = int(of.scores.frame["not_read"].iloc[row]), []
    if lost:
        said.append(f"{'1 marker of this tumour' if lost == 1 else f'{lost} markers of this tumour'} could not be read.")
    beyond = [
        marker_words(marker.name)
        for marker, rpm in zip(of.markers.encoding, of.table.rpm[row], strict=True)
        if rpm < np.float32(marker.trained_on[0]) or rpm > np.float32(marker.trained_on[1])
    ]
    if beyond:
        lies = "lies" if len(beyond) == 1 else "lie"
        said.append(f"{', '.join(beyond)} {lies} outside the range of the tumours that the model learned from.")
    return said


def _bands_words(of: Scored, row: int) -> str:
    words = (
        "Reads per million. Bands: median, middle half, and 5 to 95 % of the tumours it learned from "
        f"({escaped(learned_from(of.model))})."
    )
    gate = [at for at, marker in enumerate(of.markers.encoding) if marker.use == "gate"]
    known = int((~np.isnan(of.table.rpm[row, gate])).sum())
    return words if known == len(gate) else f"{words} {known} of {len(gate)} reference markers were measured."


def _sum_words(of: Scored, parts: pd.DataFrame, kind: str) -> str:
    added = float(parts["log_odds"].sum())
    words = (
        f"The bars add up to {added:+.2f}; with the {of.scores.base:+.2f} of a tumour midway between both kinds that is "
        f"{of.scores.base + added:+.2f} log odds of {escaped(kind)}, exactly. In a logistic regression these are its SHAP "
        "values, against a background in which both kinds weigh half."
    )
    if not parts["measured"].all():
        words += " A marker that was not measured adds what the measured ones make expected of it."
    return words
