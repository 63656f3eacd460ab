"""One tumour: its kind or why there is no answer, where its markers lie, what each added."""

import numpy as np
import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.molecular.answers import kinds_of, learned_from, probability_words
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
        _show_answer(of, told, bundle)
    show_beside_slide(of, row, bundle)
    parts = explained(of.table, of.scores, row, of.markers)
    kinds = {item.id: item for item in of.model.classes}
    positive, negative = (kinds[label] for label in kinds_of(of.model))
    where, why = st.columns([3, 2], gap="medium")
    with where:
        st.markdown("**Where it lies among the tumours the model learned from**")
        figure = markers_figure(parts, of.markers.encoding, [negative, positive], "This tumour")
        st.plotly_chart(figure, key="tumour_markers", config=STILL_CHART)
    with why:
        st.markdown("**What each marker added**" if told["answer"] else "**What each marker would have added**")
        st.plotly_chart(added_figure(parts, {True: positive, False: negative}), key="tumour_added", config=STILL_CHART)
    st.caption(_sum_words(of, row, parts, positive.mid_sentence))


def _show_answer(of: Scored, told: pd.Series, bundle: Bundle) -> None:
    model, answer = of.model, str(told["answer"])
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
    for warning in _warnings(told):
        st.warning(warning, icon=":material/rule:")


def _warnings(told: pd.Series) -> list[str]:
    lost, beyond = int(told["not_read"]), int(told["beyond_training"])
    said = []
    if lost:
        said.append(f"{'1 marker of this tumour' if lost == 1 else f'{lost} markers of this tumour'} could not be read.")
    if beyond:
        is_or_are = "1 marker lies" if beyond == 1 else f"{beyond} markers lie"
        said.append(f"{is_or_are} outside the range of the tumours that the model learned from.")
    return said


def _sum_words(of: Scored, row: int, parts: pd.DataFrame, kind: str) -> str:
    added = float(parts["log_odds"].sum())
    words = (
        f"Bands: median, middle half, and 5 to 95 % of the tumours it learned from ({escaped(learned_from(of.model))}). The "
        f"bars add up to {added:+.2f}; with the {of.scores.base:+.2f} of a tumour midway between both kinds that is "
        f"{of.scores.base + added:+.2f} log odds of {escaped(kind)}, exactly. In a logistic regression these are its SHAP "
        "values, against a background in which both kinds weigh half."
    )
    if not parts["measured"].all():
        words += " A marker that was not measured adds what the measured ones make expected of it."
    if np.isnan(of.table.rpm[row]).any():
        gate = [at for at, marker in enumerate(of.markers.encoding) if marker.use == "gate"]
        known = int((~np.isnan(of.table.rpm[row, gate])).sum())
        words += f" {known} of {len(gate)} reference markers were measured."
    return words
