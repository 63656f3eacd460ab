"""History and slide together: what each says alone and what the hybrid says of both."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.patients.encoding import features_of
from cervix.patients.history_scoring import histories_of, task_risk

# What comes with or after the slide is not told to the history, in training and here: at the step that it was taken at.
HIDDEN_AT_VISIT = ("histology", "treatment")
EMBEDDING_SIZE = 512
OUTPUTS = {"joint": "probabilities", "history": "history_probabilities", "slide": "slide_probabilities"}


@dataclass(frozen=True)
class JointRisk:
    """Risk of a lesion at the biopsy by what is read, 0..1.

    Attributes
    ----------
    joint, history, slide : float
        From both, from the history alone, from the slide alone: means over the tiles that were read. Without a tile only
        the history says anything, and the others are NaN.
    lowest, highest : float
        Of the joint risk, by single tiles; NaN without one.
    tiles : int
    """

    joint: float
    history: float
    slide: float
    lowest: float
    highest: float
    tiles: int


def joint_risk(visits: pd.DataFrame, embeddings: NDArray[np.float32], session: ModelSession) -> JointRisk:
    """Score one woman's history beside each of a slide's tiles with the hybrid, for its first question.

    Parameters
    ----------
    visits : DataFrame
        Her rows of ``VisitTable.frame`` up to the visit the slide was taken at.
    embeddings : (n, 512)
        Of single tiles, as in training: a mean of them would resemble no tile. May be empty.
    """
    tiles = len(embeddings)
    if not tiles:
        embeddings = np.zeros((1, EMBEDDING_SIZE), np.float32)  # the history's own answer does not look at it
    histories = histories_of(visits, session)
    arrays = histories.padded(np.zeros(len(embeddings), np.int64)) | {"embedding": embeddings}
    hidden = [feature.column in HIDDEN_AT_VISIT for feature in features_of(session).encoding]
    arrays["features"][:, -1, hidden] = np.nan
    out = session.run(arrays, list(OUTPUTS.values()))
    task = session.model.derived_tasks[0]
    risk = {
        name: task_risk(np.asarray(out[output], np.float32), session.model.class_ids, task) for name, output in OUTPUTS.items()
    }
    if not tiles:
        risk["joint"] = risk["slide"] = np.array([np.nan], np.float32)
    return JointRisk(
        joint=float(risk["joint"].mean()),
        history=float(risk["history"].mean()),
        slide=float(risk["slide"].mean()),
        lowest=float(risk["joint"].min()),
        highest=float(risk["joint"].max()),
        tiles=tiles,
    )
