"""How a model was made: what it learned from, what was tried, what it cost; and how a leak makes a figure."""

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import BundleError
from cervix.evaluation import leakage
from cervix.evaluation.charts import leakage_figure
from cervix.plain_text import escaped
from pages.parts.evidence.tables import TRAINING, show_measured, show_table, show_tables
from pages.parts.shared.frame import STILL_CHART


def show_training(bundle: Bundle, model: Model) -> None:
    """Architecture, sources and cost; then what training measured."""
    st.markdown(f"{escaped(model.task)}. {escaped(model.architecture)}.")
    st.subheader("What it learned from")
    show_table(_sources(model), "evidence_sources_of_training")
    if cost := model.training_cost:
        st.caption(
            f"Training took {cost.wall_seconds / 60:,.0f} min on {escaped(cost.hardware)}, about {cost.energy_kwh:.2g} kWh, "
            f"calculated with an assumed {cost.assumed_watts:g} W; it covers {escaped(cost.covers)}."
        )
    show_tables(bundle, model, TRAINING)


def show_leakage(bundle: Bundle, model: Model) -> None:
    """One table, tested honestly and with copies of the cases on both sides."""
    frame = leakage.leakage_frame(bundle, model)
    declared = next(table for table in model.tables if table.id == leakage.TABLE)
    assert frame is not None
    try:
        found = leakage.leaks(leakage.protocols(frame))
    except BundleError as error:
        st.error(escaped(str(error)))
        return
    st.subheader("The same table, the same kind of model: only how it is tested changes")
    st.markdown(
        "\n".join(
            f"- {escaped(honest.title)}: AUROC {honest.auroc.value:.3f}. {escaped(leaked.title)}: **{leaked.auroc.value:.3f}**."
            for honest, leaked in found
        )
    )
    st.markdown("With copies of a case on both sides of the split the model is asked what it was told.")
    st.plotly_chart(leakage_figure(frame), key="evidence_leakage", config=STILL_CHART)
    show_measured(bundle, model, declared)


def _sources(model: Model) -> pd.DataFrame:
    """One row a source: nature, cases and groups in training and test, licence."""
    return pd.DataFrame(
        [
            {
                "source": data.name, "nature": data.nature, "split by": data.grouped_by,
                "training": _size(data.counts.get("train", {}), data.groups.get("train")),
                "test": _size(data.counts.get("test", {}), data.groups.get("test")),
                "licence": data.licence, "note": data.note,
            }
            for data in model.training_data
        ]
    )  # fmt: skip


def _size(counts: dict[str, int], groups: int | None) -> str:
    return f"{sum(counts.values()):,} cases, {groups:,} groups" if counts and groups else "–"
