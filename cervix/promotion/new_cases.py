"""A retrained model beside its parent on the cases that readers newly labelled."""

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.tables import read_predictions
from cervix.errors import EvaluationError
from cervix.evaluation.paired import Pair, compare_answers
from cervix.evaluation.questions import CaseSet, Question

NEWLY_LABELLED = "newly labelled cases"
ACTIVE_PREFIX = "active__"


def new_case_pairs(active: Bundle, candidate: Bundle, model_id: str) -> dict[str, Pair]:
    """The candidate beside the active model on the cases whose labels it learned from, by question.

    Each case was scored by a model that did not learn from its fold, so the candidate's figures are those of its recipe, not
    of its memory. Cases were chosen by a strategy: the figures say how the two compare on such cases, not how good either is.

    Returns
    -------
    question id -> Pair
        Empty where the candidate's model has no lineage or another parent than the active bundle; without the questions that
        no such case answers.
    """
    model = next((model for model in candidate.manifest.models if model.id == model_id), None)
    if model is None or model.lineage is None or model.lineage.parent_sha256 != active.sha256:
        return {}
    before = active.manifest.model(model.id)
    frame = read_predictions(candidate.root, model.lineage.new_cases)
    sides = [_cases(frame, prefix, model) for prefix in (ACTIVE_PREFIX, "")]
    pairs = {}
    for task in model.derived_tasks:
        asked = [Question(cases, task, side.threshold(task.id)) for cases, side in zip(sides, (before, model), strict=True)]
        try:
            pairs[task.id] = compare_answers(*asked)
        except EvaluationError:
            continue  # no labelled case is of this question's classes
    return pairs


def _cases(frame: pd.DataFrame, prefix: str, model: Model) -> CaseSet:
    kept = {"case": "case", "group": "group", "label": "label"} | {
        f"{prefix}p_{label}": f"p_{label}" for label in model.class_ids
    }
    return CaseSet(NEWLY_LABELLED, frame.filter(list(kept)).rename(columns=kept), model.class_ids)
