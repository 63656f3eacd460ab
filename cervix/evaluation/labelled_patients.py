"""A patient table that tells what became of the women, scored with the model that reads its format."""

import numpy as np
import pandas as pd

from cervix.bundle import ModelSession
from cervix.errors import EvaluationError
from cervix.evaluation.labelled import Labelled
from cervix.evaluation.questions import CaseSet
from cervix.patients.completeness import INCOMPLETE
from cervix.patients.csv_text import TextTable, read_text_table, shown
from cervix.patients.diagnosis import KNOWN, TREATED, known_diagnoses
from cervix.patients.history_scoring import answer_histories, histories_of
from cervix.patients.reading import PatientTable, patients_of
from cervix.patients.scoring import score_patients
from cervix.patients.visits import VisitTable, is_visit_header, visits_of

BIOPSY, OUTCOME = "biopsy", "outcome"
YES, NO = ("1", "1.0", "yes", "positive"), ("0", "0.0", "no", "negative")
BIOPSY_LABELS = dict.fromkeys(YES, "yes") | dict.fromkeys(NO, "no")
PROBLEMS_SHOWN = 200
SOURCE = "your patients"


def labelled_patients(content: bytes, session: ModelSession) -> Labelled:
    """Read a table with outcomes and score every woman.

    The UCI risk-factor table with its ``Biopsy`` column, or a visit table with an ``outcome`` column that names the course
    after the last visit by a class of the model, on any of the woman's rows.

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
            "The table is of another format than this model reads",
            expected="one row a visit" if by_visit else "the UCI risk-factor table",
            found="the UCI risk-factor table or none" if by_visit else "one row a visit",
            action="Choose the model that fits the table.",
        )
    labelled = _histories(text, session) if by_visit else _risk_factors(text, session)
    if labelled.cases.frame.empty and not labelled.cases.unanswered:
        raise EvaluationError(
            "The table tells no outcome that can be used",
            expected=f"{'outcome: ' + ', '.join(session.model.classes) if by_visit else 'Biopsy: 0 or 1'}",
            found=labelled.problems[0] if labelled.problems else "empty cells",
        )
    return labelled


def _risk_factors(text: TextTable, session: ModelSession) -> Labelled:
    table = patients_of(text)
    told, problems = _told(text, BIOPSY, BIOPSY_LABELS, "0 or 1")
    scores = score_patients(table, session)
    label = pd.Series(told).reindex(scores.index)
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
    return Labelled(CaseSet(SOURCE, frame, session.model.classes), _all_problems(table, problems), notices)


def _histories(text: TextTable, session: ModelSession) -> Labelled:
    table = visits_of(text)
    classes = session.model.classes
    told, problems = _told(text, OUTCOME, {name: name for name in classes}, ", ".join(classes))
    histories = histories_of(table.frame, session)
    woman = pd.Series(np.repeat(np.arange(len(histories)), histories.lengths), index=table.frame.index)
    outcomes = pd.Series(told).reindex(table.frame.index).dropna()
    by_woman = outcomes.groupby(woman[outcomes.index])
    agreed = by_woman.nunique() == 1
    for place in agreed.index[~agreed]:
        line = int(table.frame.index[histories.last[place]])
        problems.append(f"Line {line}, {OUTCOME}: the rows of this woman tell different outcomes")
    of_woman = by_woman.first()[agreed]
    answers = answer_histories(histories, session)
    probabilities = answers["probabilities"].astype(np.float64)
    probabilities[answers["results_known"] < session.model.abstention_limit("results_known")] = np.nan
    diagnoses = known_diagnoses(table.frame, histories.first, histories.lengths)
    probabilities[(diagnoses[KNOWN] != "").to_numpy(bool) & (diagnoses[TREATED] == "").to_numpy(bool)] = np.nan
    incomplete = pd.Index(histories.patient_ids).isin(table.losses.index)
    notices = [*table.notices, *_left_out(int(incomplete[of_woman.index].sum()))]
    of_woman = of_woman[~incomplete[of_woman.index]]
    places = of_woman.index.to_numpy(np.int64)
    names = "line " + table.frame.index[histories.last[places]].astype(str)
    frame = pd.DataFrame({"case": names, "group": names, "label": of_woman.to_numpy()})
    for index, name in enumerate(classes):
        frame[f"p_{name}"] = probabilities[places, index]
    return Labelled(CaseSet(SOURCE, frame, classes), _all_problems(table, problems), notices)


def _left_out(incomplete: int) -> list[str]:
    """What is said of patients whose file could not be read in full: an error of the file is none of the model."""
    return [f"{incomplete:,} patients are left out, as their file could not be read in full."] if incomplete else []


def _told(text: TextTable, column: str, meaning: dict[str, str], accepted: str) -> tuple[dict[int, str], list[str]]:
    """Line -> label of the rows that tell one; and what is told but not understood."""
    places = [place for place, cell in enumerate(text.header) if cell.strip().lower() == column]
    if len(places) != 1:
        raise EvaluationError(
            "The table has no column of outcomes", expected=f"one column {column}", found=f"{len(places)} of that name"
        )
    told: dict[int, str] = {}
    problems = []
    for line, cell in zip(text.lines, text.columns[places[0]], strict=True):
        value = cell.strip().lower()
        if value in meaning:
            told[line] = meaning[value]
        elif value not in ("", "?"):
            problems.append(f"Line {line}, {column}: {shown(cell)} is not {accepted}")
    return told, problems


def _all_problems(table: PatientTable | VisitTable, problems: list[str]) -> list[str]:
    return [*(str(problem) for problem in table.problems), *problems][:PROBLEMS_SHOWN]
