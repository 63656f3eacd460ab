"""The patient page for a visit table: work-list, and one woman's risk after each of her visits."""

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model, ModelSession
from cervix.patients.figures import trajectory_figure
from cervix.patients.history_scoring import histories_of, score_visits, trajectory
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, VISIT_DATE
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from pages.parts.frame import STILL_CHART
from pages.parts.patient_views import download_scores, flag_words, held_out_auroc, show_counts

MODEL_ID = "history"
MAIN, LATER = "risk_cin2-3y", "risk_cin3-5y"


def show_history_desk(table: VisitTable, bundle: Bundle, key: str) -> None:
    """Scores of a visit table: how far to trust them, who comes first, and how her risk came about."""
    if MODEL_ID not in {model.id for model in bundle.manifest.models}:
        st.error("This is a visit table, and the bundle has no model for screening histories.", icon=":material/table_view:")
        return
    session = bundle.session(MODEL_ID)
    bar = st.progress(0.0, "Scoring …")
    scores = score_visits(
        table, session, on_progress=lambda done, total: bar.progress(done / total, f"Scored {done:,} of {total:,} women")
    )
    bar.empty()
    task = session.model.derived_tasks[0]
    show_counts(scores, f"{task.title}: ≥ {session.model.threshold(task.id):.1%}", table.rows_left_out)
    _show_trust(bundle, session.model)
    list_side, woman_side = st.columns([3, 2])
    with list_side:
        position = _show_work_list(scores, key)
    with woman_side:
        _show_woman(table, scores, session, position)
    download_scores(scores, bundle, session.model)


def _show_trust(bundle: Bundle, model: Model) -> None:
    task = model.derived_tasks[0]
    auroc = held_out_auroc(bundle, model)
    st.info(
        f"**{model.title}: held-out AUROC {auroc.value:.2f} for {task.title}** "
        f"(95 % interval {auroc.low:.2f}–{auroc.high:.2f}, simulated). {' '.join(model.limits)} "
        "No guideline action is shown: the model learnt from simulated women."
    )


def _show_work_list(scores: pd.DataFrame, key: str) -> int:
    """The women by risk, those without an answer last. Returns the position in ``scores`` of the one chosen."""
    order = scores[MAIN].reset_index(drop=True).sort_values(ascending=False, na_position="last", kind="stable").index
    ranked = scores.iloc[order]
    dates = pd.to_datetime(ranked["last_visit"])
    shown = pd.DataFrame(
        {
            "Patient": ranked[PATIENT_ID].to_numpy(),
            "CIN2+ in 3 years": ranked[MAIN].to_numpy() * 100,
            "Networks": [
                "–" if pd.isna(low) else f"{low * 100:.1f}–{high * 100:.1f} %"
                for low, high in zip(ranked["lowest"], ranked["highest"], strict=True)
            ],
            "CIN3+ in 5 years": ranked[LATER].to_numpy() * 100,
            "Flag": flag_words(ranked),
            "Last visit": dates.dt.date.to_numpy(),
            "Age": ranked[AGE].to_numpy(),
            "Visits": ranked["visits"].to_numpy(),
        }
    )
    most = max(float(shown["CIN2+ in 3 years"].max(skipna=True) or 0), 1.0)
    event = st.dataframe(
        shown,
        hide_index=True,
        height=480,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "CIN2+ in 3 years": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=most),
            "CIN3+ in 5 years": st.column_config.NumberColumn(format="%.1f %%"),
            "Networks": st.column_config.TextColumn(help="Lowest and highest answer of the networks of the ensemble"),
            "Age": st.column_config.NumberColumn(format="%d", help="At the last visit at which it is known"),
        },
        key=f"patients_history_{key}",
    )
    picked = event.selection.rows
    return int(order[picked[0] if picked and picked[0] < len(order) else 0])


def _show_woman(table: VisitTable, scores: pd.DataFrame, session: ModelSession, position: int) -> None:
    patient = scores[PATIENT_ID].iat[position]
    visits = table.frame[table.frame[PATIENT_ID] == patient]
    st.markdown(f"**{patient}: risk after each visit**")
    if scores["abstained"].iat[position]:
        st.warning("No answer: without a single test result the model would only know her age.")
    else:
        task = session.model.derived_tasks[0]
        dates = visits[VISIT_DATE] if visits[VISIT_DATE].notna().all() else visits[AGE]
        figure = trajectory_figure(
            dates, trajectory(histories_of(visits, session), 0, session), task.title, session.model.threshold(task.id)
        )
        st.plotly_chart(figure, key="patients_trajectory", config=STILL_CHART)
        st.caption(
            "What the model would have said at each visit, from that visit and those before. Select another row in the list."
        )
    told = [column for column in CODE_COLUMNS if visits[column.name].notna().any()]
    lines = pd.DataFrame({"Visit": visits[VISIT_DATE].dt.date, "Age": visits[AGE]})
    for column in told:
        lines[column.label] = visits[column.name].astype(object).where(visits[column.name].notna(), "")
    st.dataframe(
        lines.iloc[::-1],
        hide_index=True,
        column_config={"Age": st.column_config.NumberColumn(format="%d")},
        key="patients_visits",
    )
