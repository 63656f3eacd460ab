"""One patient's page as PDF: her risks, what was found when, why, and provenance."""

from pathlib import Path

import pandas as pd
from reportlab.platypus import Flowable

from cervix.bundle import Model, ModelSession
from cervix.files import replacing
from cervix.intervals import Interval
from cervix.patients.completeness import completeness_of
from cervix.patients.diagnosis import TREATED
from cervix.patients.explanation import Explanation, value_words
from cervix.patients.history_explanation import HistoryExplanation
from cervix.patients.history_scoring import beyond_note
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.visit_words import step_titles, visit_titles, visit_words
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID
from cervix.pdf import fact_table, text, write_pdf
from cervix.provenance import Provenance

WORTH_SAYING = 5e-4


def summary_sentence(visits: pd.DataFrame, explained: HistoryExplanation, title: str) -> str:
    """The explanation in one sentence."""
    start = f"{title}: {explained.risk * 100:.1f} %, from {explained.reference_risk * 100:.1f} % for her ages and dates alone."
    order = abs(explained.contributions).argsort()[::-1]
    titles = step_titles(visits, explained.rows)
    parts = [
        f"the {'episode' if len(explained.rows[index]) > 1 else 'visit'} of {titles[index]} "
        f"({visit_words(visits.iloc[explained.rows[index]])}) "
        f"{'adds' if share > 0 else 'takes away'} {abs(share) * 100:.1f} points"
        for index in order[:2]
        if abs(share := explained.contributions[index]) >= WORTH_SAYING
    ]
    return f"{start} Most of all, {'; '.join(parts)}." if parts else start


def write_patient_report(
    visits: pd.DataFrame,
    scores: pd.Series,
    explained: HistoryExplanation | None,
    session: ModelSession,
    origin: Provenance,
    ladder: str,
    path: Path,
) -> None:
    """Write the report of one woman.

    Parameters
    ----------
    scores : Series
        Her row of ``score_visits``.
    explained : HistoryExplanation, optional
        Of the first question; None where there is no answer.
    ladder : str
        The guideline action with its caveat, or why none is shown.
    """
    model = session.model
    tasks = model.derived_tasks
    if explained is None:
        risks = [("Answer", str(scores[NO_ANSWER]))]
        if scores[TREATED]:
            risks += [(f"After treatment: {task.title}", f"{scores[f'after_treatment_{task.id}']:.2%}") for task in tasks]
    else:
        risks = [(task.title, f"{scores[f'risk_{task.id}']:.2%}") for task in tasks]
        if not pd.isna(scores["lowest"]):
            risks.append(
                (
                    f"{tasks[0].title}, lowest to highest network of the ensemble",
                    f"{scores['lowest']:.2%} to {scores['highest']:.2%}",
                )
            )
    story = [
        text(f"Pseudonym {scores[PATIENT_ID]}", "strong"),
        text("Risk after the last visit", "heading"),
        *_mark(scores),
        *([text(beyond, "strong")] if (beyond := beyond_note(scores)) else []),
        fact_table(risks),
        text(ladder, "small"),
        text("Visits", "heading"),
        fact_table(
            [(title, visit_words(visits.iloc[[index]]) or "no result") for index, title in enumerate(visit_titles(visits))]
        ),
    ]
    if explained is not None:
        shares = [
            (title, f"{share * 100:+.2f} points")
            for title, share in zip(step_titles(visits, explained.rows), explained.contributions, strict=True)
            if share
        ]
        story += [
            text("Why (Shapley values of visits)", "heading"),
            text(summary_sentence(visits, explained, tasks[0].title)),
            fact_table(
                [("Ages and dates alone", f"{explained.reference_risk:.2%}"), *shares, ("Risk", f"{explained.risk:.2%}")]
            ),
        ]
    _write(path, story, model, origin)


def mark_words(scores: "pd.Series") -> str:
    """What the answer about a patient does not rest on, as a sentence; empty where her file was read in full."""
    rests_on = completeness_of(scores).sentence
    return (
        f"Incomplete: this answer {rests_on}."
        if rests_on.startswith("rests")
        else f"Incomplete: {rests_on}."
        if rests_on
        else ""
    )


def _mark(scores: pd.Series) -> list[Flowable]:
    words = mark_words(scores)
    return [text(words, "strong")] if words else []


def write_factor_report(
    row: pd.Series,
    scores: pd.Series,
    explained: Explanation | None,
    alike: Interval | None,
    session: ModelSession,
    origin: Provenance,
    path: Path,
) -> None:
    """Write the report of one patient of the risk-factor table.

    Parameters
    ----------
    row : Series
        Her row of ``PatientTable.frame``.
    scores : Series
        Her row of ``score_patients``.
    explained : Explanation, optional
        None where the model abstains.
    alike : Interval, optional
        Share of held-out patients of like risk who had the outcome.
    """
    model = session.model
    title = model.derived_tasks[0].title
    if explained is None:
        risks = [("Answer", str(scores[NO_ANSWER]))]
    else:
        risks = [
            (title, f"{explained.risk:.2%}"),
            *(
                [("Of held-out patients of like risk", f"{alike.value:.1%} ({alike.low:.1%} to {alike.high:.1%})")]
                if alike
                else []
            ),
        ]
    known = [
        (column.label, value_words(column.name, float(row[column.name])))
        for column in COLUMNS.values()
        if pd.notna(row[column.name])
    ]
    story = [
        text(f"Row {row.name}" + (f", pseudonym {row[PATIENT_ID]}" if row.get(PATIENT_ID) else ""), "strong"),
        text("Risk", "heading"),
        *_mark(scores),
        fact_table(risks),
        text("What is known", "heading"),
        fact_table(known),
    ]
    if explained is not None:
        shares = [(label, f"{amount * 100:+.2f} points") for label, amount in explained.steps()]
        story += [
            text("Why (Shapley values of inputs)", "heading"),
            fact_table([("Nothing known", f"{explained.reference_risk:.2%}"), *shares, ("Risk", f"{explained.risk:.2%}")]),
        ]
    _write(path, story, model, origin)


def _write(path: Path, story: list[Flowable], model: Model, origin: Provenance) -> None:
    """Add provenance and limits to a patient's page and write it."""
    story += [
        text("Provenance and limits", "heading"),
        fact_table(
            [
                ("Model", model.title),
                ("Bundle", f"{origin.bundle}, SHA-256 {origin.bundle_sha256}"),
                ("Scored on", f"{origin.provider}, {origin.created}, Cervix Workbench {origin.app_version}"),
                *(("Limit", limit) for limit in model.limits),
            ]
        ),
    ]
    with replacing(path) as temporary:
        write_pdf(
            temporary, "Patient report", story, footer=f"{origin.bundle} ({origin.bundle_sha256[:10]}) · {origin.created}"
        )
