"""A patient table that tells what became of the women, scored with the model that reads its format."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from cervix.bundle import ModelSession
from cervix.bundle.manifest import DerivedTask
from cervix.errors import EvaluationError
from cervix.evaluation.labelled import Labelled
from cervix.evaluation.outcomes import ACCEPTED, read_outcomes, yes_or_no
from cervix.evaluation.questions import CaseSet
from cervix.patients.completeness import INCOMPLETE
from cervix.patients.csv_text import TextTable, read_text_table, shown, without_columns
from cervix.patients.diagnosis import KNOWN, TREATED, known_diagnoses
from cervix.patients.history_scoring import answer_histories, histories_of
from cervix.patients.questions import Answers
from cervix.patients.reading import PatientTable, patients_of
from cervix.patients.scoring import score_patients
from cervix.patients.visit_vocabulary import VISIT_DATE, folded, says_nothing
from cervix.patients.visits import VisitTable, is_visit_header, visits_of
from cervix.patients.vocabulary import is_patient_id

BIOPSY_HEADERS = ("biopsy",)
OUTCOMES = ("outcome",)
OUTCOME_DAYS = ("outcomedate", "dateofoutcome", "diagnosisdate", "dateofdiagnosis")
"""Headers as ``folded`` has them."""
PROBLEMS_SHOWN = 200
SOURCE = "your patients"


def labelled_patients(content: bytes, session: ModelSession, *, task: str = "", answers: Answers | None = None) -> Labelled:
    """Read a table with outcomes and score every woman.

    The UCI risk-factor table with its ``Biopsy`` column, or a visit table with an ``outcome`` column, and perhaps an
    ``outcome_date``, that says on any of the woman's rows what came after her last visit, as ``outcomes`` reads it.

    Parameters
    ----------
    task : str
        Id of the question that a plain yes, no, grade or day answers; by default the model's main question.
    answers : Answers, optional
        What a person said of the file.

    Raises
    ------
    PatientFileError
        If the table cannot be read as a whole.
    EvaluationError
        If it is of another model's format, or tells no outcome.
    """
    features = session.model.features
    if features is None:
        raise ValueError(f"model {session.model.id!r} reads no patients")
    text = read_text_table(content)
    by_visit = features.visits > 1
    if is_visit_header(text.header) != by_visit:
        raise EvaluationError(
            "The table has another format than this model reads",
            expected="one row a visit" if by_visit else "the UCI risk-factor table",
            found="the UCI risk-factor table or none" if by_visit else "one row a visit",
            action="Choose the model that fits the table.",
        )
    asked = session.model.task_named(task) if task else session.model.main_task
    labelled = _histories(text, session, asked, answers or Answers()) if by_visit else _risk_factors(text, session)
    if labelled.cases.frame.empty and not labelled.cases.unanswered:
        raise EvaluationError(
            "The table has no outcome that can be used",
            expected=f"outcome: {ACCEPTED.format(classes=', '.join(session.model.class_ids))}"
            if by_visit
            else "Biopsy: 0 or 1",
            found=labelled.problems[0] if labelled.problems else "empty cells",
        )
    return labelled


def _risk_factors(text: TextTable, session: ModelSession) -> Labelled:
    table = patients_of(text)
    places = _places(text, BIOPSY_HEADERS, "Biopsy: 0 or 1")
    told: dict[int, str] = {}
    problems = []
    for line, cell in zip(text.lines, text.columns[places[0]], strict=True):
        if answer := yes_or_no(cell):
            told[line] = answer
        elif not says_nothing(cell):
            problems.append(f"Line {line}, biopsy: {shown(cell)} is not 0 or 1, no or yes")
    scores = score_patients(table, session)
    label = pd.Series(told, dtype=object).reindex(scores.index)
    incomplete = scores[INCOMPLETE].to_numpy(bool)
    kept = label.notna().to_numpy(bool) & ~incomplete
    notices = [*table.notices, *_left_out(int((label.notna().to_numpy(bool) & incomplete).sum()))]
    risk = scores["risk"].to_numpy(np.float64)[kept]
    lines = scores.index[kept].astype(str)
    # Rows that repeat another are not independent of it.
    twin = table.frame[kept].groupby(list(table.frame.columns), dropna=False, sort=False).ngroup().to_numpy()
    frame = pd.DataFrame(
        {"case": "line " + lines, "group": twin.astype(str), "label": label[kept].to_numpy(), "p_no": 1 - risk, "p_yes": risk}
    )
    tasks = [task.id for task in session.model.derived_tasks]
    return Labelled(CaseSet(SOURCE, frame, session.model.class_ids), _all_problems(table, problems), notices, tasks)


def _histories(text: TextTable, session: ModelSession, asked: DerivedTask, answers: Answers) -> Labelled:
    classes = session.model.class_ids
    days = [at for at, cell in enumerate(text.header) if folded(cell) in OUTCOME_DAYS]
    accepted = f"outcome: {ACCEPTED.format(classes=', '.join(classes))}; and, where known, outcome_date"
    outcomes = _places(text, OUTCOMES, accepted, unless=days)
    table = visits_of(without_columns(text, {*outcomes, *days}), answers=answers)
    histories = histories_of(table.frame, session)
    place_of = {woman: place for place, woman in enumerate(histories.patient_ids)}
    last_visits = dict(zip(histories.patient_ids, table.frame[VISIT_DATE].iloc[histories.last_row], strict=True))
    # A column of days alone tells both: that she was diagnosed, and when.
    told_in, day_in = (outcomes[0], days[:1]) if outcomes else (days[0], [])
    women = next(at for at, cell in enumerate(text.header) if is_patient_id(cell))
    day_cells = text.columns[day_in[0]] if day_in else [""] * len(text.lines)
    rows = zip(text.lines, (cell.strip() for cell in text.columns[women]), text.columns[told_in], day_cells, strict=True)
    told = read_outcomes(rows, last_visits, session.model, asked, answers.dates)
    scored = answer_histories(histories, session)
    probabilities = scored["probabilities"].astype(np.float64)
    probabilities[scored["results_known"] < session.model.abstention_limit("results_known")] = np.nan
    diagnoses = known_diagnoses(table.frame, histories.row_first, histories.row_lengths)
    probabilities[(diagnoses[KNOWN] != "").to_numpy(bool) & (diagnoses[TREATED] == "").to_numpy(bool)] = np.nan
    complete = ~told.answers.index.isin(table.losses.index) & told.answers.index.isin(histories.patient_ids)
    notices = [*table.notices, *told.notices, *_left_out(int((~complete).sum()))]
    of_woman = told.answers[complete]
    places = np.array([place_of[woman] for woman in of_woman.index], np.int64)
    names = "line " + table.frame.index[histories.last_row[places]].astype(str)
    frame = pd.DataFrame({"case": names, "group": names} | {name: of_woman[name].to_numpy() for name in of_woman})
    for index, name in enumerate(classes):
        frame[f"p_{name}"] = probabilities[places, index]
    return Labelled(CaseSet(SOURCE, frame, classes), _all_problems(table, told.problems), notices, told.tasks)


def _places(text: TextTable, names: Collection[str], accepted: str, *, unless: Sequence[int] = ()) -> list[int]:
    """Where the column of outcomes is; nowhere where others tell them."""
    places = [place for place, cell in enumerate(text.header) if folded(cell) in names]
    if len(places) > 1 or not (places or unless):
        raise EvaluationError(
            "The table has no single column of outcomes", expected=f"one column {accepted}", found=f"{len(places)} of that name"
        )
    return places


def _left_out(incomplete: int) -> list[str]:
    """What is said of patients whose file could not be read in full: an error in the file is not an error of the model."""
    return [f"{incomplete:,} patients were left out because their file could not be read in full."] if incomplete else []


def _all_problems(table: PatientTable | VisitTable, problems: list[str]) -> list[str]:
    return [*(str(problem) for problem in table.problems), *problems][:PROBLEMS_SHOWN]
