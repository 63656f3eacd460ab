"""Score a visit table with the history model: one answer a woman."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.bundle.manifest import DerivedTask
from cervix.patients.completeness import completeness_columns
from cervix.patients.diagnosis import KNOWN, TREATED, known_diagnoses, why_no_answer
from cervix.patients.encoding import features_of
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.sequences import Histories, encode
from cervix.patients.visit_vocabulary import AGE, VISIT_DATE
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID

BATCH_WOMEN = 4096
BEYOND = "beyond_training"
OUTPUTS = ["probabilities", "results_known"]
"""What every sequence model answers."""
MEMBERS, AFTER_EACH = "member_risk", "trajectory"
"""What only some answer: the first question's risk by each network of an ensemble, and after each step of a history."""
NOTHING_KNOWN = "No answer: without any test result the model would only know her age."


def answers_with(session: ModelSession, output: str) -> bool:
    """Whether the model gives this output."""
    return any(spec.name == output for spec in session.model.outputs)


def histories_of(visits: pd.DataFrame, session: ModelSession) -> Histories:
    """Visits, all or some rows of ``VisitTable.frame``, as the model reads them."""
    features = features_of(session)
    return encode(visits, features.encoding, features.episode_days)


def score_visits(
    table: VisitTable,
    session: ModelSession,
    *,
    histories: Histories | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Score every woman after her last visit. Pure.

    Parameters
    ----------
    histories : Histories, optional
        ``histories_of(table.frame, session)``, where it was made already.
    on_progress : callable, optional
        Called with (women done, women in all) after each batch.

    Returns
    -------
    DataFrame
        Index ``row``: line of her last visit. ``patient_id, last_visit, age`` (of the last visit that has it), ``visits``;
        ``risk_<task>`` of every question of the manifest, 0..1; ``lowest, highest`` of the ensemble's networks for the
        first question, NaN of a model that is none; ``flagged`` at its threshold; ``results_known`` steps of the model with
        a test result; ``abstained`` and ``no_answer``, why: no result is known, or the diagnosis is (``known_diagnosis``,
        ``treated_by``, see ``diagnosis``). Where there is no answer, the risks are NaN; after treatment of precancer the
        answers to the question that may still be asked stand in ``after_treatment_<task>``, NaN elsewhere. Then what of her
        the model was never taught, ``beyond_training``, and what each answer does not rest on: ``visits_in_file,
        cells_not_read, contradictions, incomplete, rests_on`` (``completeness``).
    """
    histories = histories_of(table.frame, session) if histories is None else histories
    women = len(histories)
    wanted = [*OUTPUTS, *([MEMBERS] if answers_with(session, MEMBERS) else [])]
    answers = answer_histories(histories, session, wanted, on_progress=on_progress)
    tasks = session.model.derived_tasks
    silent = answers["results_known"] < session.model.abstention_limit("results_known")
    visits = histories.row_lengths
    diagnoses = known_diagnoses(table.frame, histories.row_first, visits)
    known, treated = diagnoses[KNOWN].to_numpy(object) != "", diagnoses[TREATED].to_numpy(object) != ""
    abstained = silent | known
    last = table.frame.iloc[histories.last_row]
    ages = table.frame.groupby(np.repeat(np.arange(women), visits))[AGE].last()
    scores = pd.DataFrame(
        {
            PATIENT_ID: histories.patient_ids,
            "last_visit": last[VISIT_DATE].to_numpy(),
            AGE: ages.to_numpy(),
            "visits": visits,
        },
        index=last.index,
    )
    nowhere = np.float32(np.nan)
    after = {}
    for task in tasks:
        risk = task_risk(answers["probabilities"], session.model.class_ids, task)
        scores[f"risk_{task.id}"] = np.where(abstained, nowhere, risk)
        after[f"after_treatment_{task.id}"] = np.where(treated & ~silent, risk, nowhere)
    members = answers.get(MEMBERS, np.full((women, 1), nowhere))
    scores["lowest"] = np.where(abstained, nowhere, members.min(axis=1))
    scores["highest"] = np.where(abstained, nowhere, members.max(axis=1))
    first = tasks[0].id
    scores["flagged"] = ~abstained & (scores[f"risk_{first}"].to_numpy() >= session.model.threshold(first))
    scores["results_known"] = answers["results_known"]
    scores["abstained"] = abstained
    scores[NO_ANSWER] = _why_silent(diagnoses, silent, known)
    for name, values in after.items():
        scores[name] = values
    scores[BEYOND] = beyond_training(histories, session)
    marks = completeness_columns(table.losses, histories.patient_ids, visits)
    return pd.concat([scores, diagnoses.set_index(scores.index), marks.set_index(scores.index)], axis=1)


def _why_silent(diagnoses: pd.DataFrame, silent: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.object_]:
    why = np.full(len(silent), "", object)
    why[silent] = NOTHING_KNOWN
    of_known = diagnoses[known]
    why[known] = [why_no_answer(str(found), str(by)) for found, by in zip(of_known[KNOWN], of_known[TREATED], strict=True)]
    return why


def answer_histories(
    histories: Histories,
    session: ModelSession,
    outputs: list[str] = OUTPUTS,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """The graph's answers for every woman by output, in batches of about equal length."""
    women = np.arange(len(histories))
    answers: dict[str, NDArray[np.float32]] = {}
    done = 0
    for batch in histories.batches(BATCH_WOMEN, women):
        for name, values in session.run(histories.padded(batch), outputs).items():
            answers.setdefault(name, np.empty((len(women), *values.shape[1:]), np.float32))[batch] = values
        done += len(batch)
        if on_progress:
            on_progress(done, len(women))
    return answers


def beyond_training(histories: Histories, session: ModelSession) -> NDArray[np.object_]:
    """What lies beyond the model's training and is answered as the nearest that it was taught, in words ``(women,)``.

    Of each woman the age and the time since a result that lie farthest out; empty where nothing does, or where the manifest
    does not say what the model was trained on.
    """
    reach, encoding = histories.reach, features_of(session).encoding
    values = np.nan_to_num(np.maximum(histories.features - reach.high, reach.low - histories.features))
    gaps = np.nan_to_num(histories.gap_years - reach.gap_years)
    told = np.full(len(histories), "", object)
    beyond = ((values > 0) | (gaps > 0)).any(axis=1)
    if not beyond.any():
        return told
    for woman in np.flatnonzero(np.logical_or.reduceat(beyond, histories.first)):
        steps = slice(histories.first[woman], histories.last[woman] + 1)
        parts = []
        step, feature = np.unravel_index(values[steps].argmax(), values[steps].shape)
        if values[steps][step, feature] > 0:
            low, high = reach.low[feature], reach.high[feature]
            found = histories.features[steps][step, feature]
            parts.append(f"{encoding[feature].label} {found:g}, in training {low:g} to {high:g}")
        step, feature = np.unravel_index(gaps[steps].argmax(), gaps[steps].shape)
        if gaps[steps][step, feature] > 0:
            found = histories.gap_years[steps][step, feature]
            label = encoding[feature].label
            since = "the visit before" if encoding[feature].column == AGE else f"the last result of {label}"
            parts.append(f"{found:.1f} years since {since}, in training at most {reach.gap_years[feature]:.1f}")
        told[woman] = "; ".join(parts)
    return told


def beyond_note(scores: "Mapping[str, Any] | pd.Series") -> str:
    """The sentence for one row of ``score_visits`` that is answered beyond the model's training; empty where it is not."""
    told = str(scores.get(BEYOND, ""))
    return (
        f"Beyond what the model was trained on: {told}. The answer is that for the nearest it was trained on." if told else ""
    )


def trajectory(histories: Histories, woman: int, session: ModelSession) -> NDArray[np.float32]:
    """Risk of the first question after each step of her history, ``(steps,)``."""
    return trajectories(histories, np.array([woman]), session)[0]


def trajectories(histories: Histories, women: NDArray[np.integer], session: ModelSession) -> list[NDArray[np.float32]]:
    """The same of several women, in their order.

    A model that does not answer after each step is asked about each history that ends there.
    """
    if answers_with(session, AFTER_EACH):
        risks = session.run(histories.padded(women), [AFTER_EACH])[AFTER_EACH]
        return [np.asarray(risk[:length], np.float32) for risk, length in zip(risks, histories.lengths[women], strict=True)]
    prefixes = histories.prefixes(histories.rows_of(women))
    told = answer_histories(prefixes, session, ["probabilities"])["probabilities"]
    risk = task_risk(told, session.model.class_ids, session.model.derived_tasks[0])
    return np.split(risk, np.cumsum(histories.lengths[women])[:-1])


def member_band(
    histories: Histories, woman: int, session: ModelSession
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:  # fmt: skip
    """Lowest and highest answer of the ensemble's networks after each step of her history, ``(steps,)`` each.

    None of a model that is no ensemble: it states no range.
    """
    if not answers_with(session, MEMBERS):
        return None
    prefixes = histories.prefixes(histories.rows_of(np.array([woman])))
    members = session.run(prefixes.padded(np.arange(len(prefixes))), [MEMBERS])[MEMBERS]
    return np.asarray(members.min(axis=1), np.float32), np.asarray(members.max(axis=1), np.float32)


def task_risk(probabilities: NDArray[np.float32], classes: list[str], task: DerivedTask) -> NDArray[np.float32]:
    """Probability of a question's yes ``(n,)`` from those of the courses ``(n, classes)``."""
    return np.asarray(probabilities[:, [classes.index(name) for name in task.positive]].sum(axis=1), np.float32)
