"""Score tumours with a molecular model, and say what each marker added."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.bundle.manifest import MOLECULAR_OUTPUTS, MarkerInput
from cervix.bundle.markers import MarkerEncoding
from cervix.molecular.reading import MarkerTable

BATCH_ROWS: Final = 4096
KEY_MISSING: Final = "No answer: none of the markers that the answer rests on was measured."
GATE_BLIND: Final = (
    "No answer: too few reference markers were measured to tell whether this table is of the assay the model knows."
)
NOT_LIKE: Final = (
    "No answer: the reference markers are not like those of cervical carcinomas in the model's assay. Logarithms, another "
    "assay, another scale or normal tissue look like this."
)


@dataclass(frozen=True)
class MolecularScores:
    """What a model says of a table.

    Attributes
    ----------
    frame : DataFrame, a row a tumour
        ``tumour``, ``p_<class>`` (NaN without an answer), ``answer`` (a class, empty without), ``no_answer`` (why),
        ``novelty``, ``reference_known``, ``key_known``, ``not_read``, ``beyond_training``
        (how many markers lie outside the range of training).
    contributions : (n, F) log odds that each marker adds to ``base``; they add up to the answer's log odds
    base : log odds of a tumour midway between the classes
    """

    frame: pd.DataFrame
    contributions: NDArray[np.float32]
    base: float


def markers_of(session: ModelSession) -> MarkerInput:
    """What the model is fed; ``ValueError`` for a model of another kind."""
    if session.model.markers is None:
        raise ValueError(f"model {session.model.id!r} reads no markers")
    return session.model.markers


def score_markers(table: MarkerTable, session: ModelSession) -> MolecularScores:
    """Score every tumour of a table. Pure."""
    model, markers = session.model, markers_of(session)
    batches = [
        session.run({"rpm": table.rpm[start : start + BATCH_ROWS]}, list(MOLECULAR_OUTPUTS))
        for start in range(0, len(table.rpm), BATCH_ROWS)
    ]
    out = {name: np.concatenate([np.asarray(batch[name], np.float32) for batch in batches]) for name in MOLECULAR_OUTPUTS}
    reasons = _reasons(out, session)
    answered = reasons == ""
    task = model.main_task
    positive, negative = task.positive[0], task.negative[0]
    probability = out["probabilities"][:, model.class_ids.index(positive)]
    low, high = (np.array([marker.trained_on[end] for marker in markers.encoding], np.float32) for end in (0, 1))
    frame = pd.DataFrame({"tumour": table.tumours})
    for at, label in enumerate(model.class_ids):
        frame[f"p_{label}"] = np.where(answered, out["probabilities"][:, at], np.float32(np.nan))
    frame["answer"] = np.where(answered, np.where(probability >= model.threshold(task.id), positive, negative), "")
    frame["no_answer"] = reasons
    for name in ("novelty", "reference_known", "key_known"):
        frame[name] = out[name]
    frame["not_read"] = table.not_read
    frame["beyond_training"] = ((table.rpm < low) | (table.rpm > high)).sum(axis=1)
    base = float(np.median(out["logit"] - out["contributions"].sum(axis=1)))
    return MolecularScores(frame, out["contributions"], base)


def _reasons(out: dict[str, NDArray[np.float32]], session: ModelSession) -> NDArray[np.object_]:
    """Why there is no answer, the most telling reason first; empty where there is one."""
    limit = session.model.abstention_limit
    conditions = [
        (out["key_known"] < limit("key_known"), KEY_MISSING),
        (out["reference_known"] < limit("reference_known"), GATE_BLIND),
        (~session.model.is_recognised(out["novelty"], out["probabilities"]), NOT_LIKE),
    ]
    reasons = np.full(len(out["novelty"]), "", object)
    for held, words in reversed(conditions):
        reasons[held] = words
    return reasons


def explained(table: MarkerTable, scores: MolecularScores, row: int, markers: MarkerInput) -> pd.DataFrame:
    """What each marker of the answer added for one tumour, the largest first.

    Returns
    -------
    DataFrame
        ``marker``, ``rpm`` (NaN where not measured), ``measured``, ``log_odds``: what it adds to ``scores.base``, exactly,
        since the answer is a sum. A marker that was not measured adds what the measured ones make expected of it.
    """
    frame = pd.DataFrame(
        {
            "marker": [marker.name for marker in markers.encoding],
            "rpm": table.rpm[row],
            "measured": ~np.isnan(table.rpm[row]),
            "log_odds": scores.contributions[row],
        }
    )
    answer = frame[[marker.use == "answer" for marker in markers.encoding]]
    order = answer["log_odds"].abs().sort_values(ascending=False, kind="stable").index
    return answer.loc[order].reset_index(drop=True)


def cohort_of(marker: MarkerEncoding) -> pd.DataFrame:
    """The training tumours' values of a marker, for drawing: a row a class, ``p5, p25, p50, p75, p95`` in reads per million."""
    names = ["p5", "p25", "p50", "p75", "p95"]
    return pd.DataFrame([{"class": label, **dict(zip(names, values, strict=True))} for label, values in marker.cohort.items()])
