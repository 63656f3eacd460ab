"""From a scored visit table to women that readers can label, and from what was kept of them back to a model's arrays."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.bundle.manifest import FeatureEncoding
from cervix.errors import Cancelled, LabelRefused
from cervix.labels.desk.acquisition import entropy
from cervix.labels.gathering.tiles import doubted_and_drawn
from cervix.labels.store.cases import Case, Score, patient_case
from cervix.patients.encoding import features_of
from cervix.patients.history_scoring import answer_histories
from cervix.patients.sequences import TIME_YEARS, Histories, encode
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID

OUTPUTS = ["probabilities", "member_risk", "state"]
KEY_LENGTH = 16


def gather_patients(
    table: VisitTable,
    table_sha256: str,
    bundle: Bundle,
    count: int,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    cancel: Event | None = None,
) -> tuple[list[Case], list[Score]]:
    """Make cases of at most ``count`` women: half those that the history model doubts most, half drawn from the rest.

    Nothing is stored. A case holds results, ages and the time between visits: no date, no name of a slide, no id of hers.
    Women on whom the model abstains are among them: what it cannot answer, a reader may. Women whose file could not be read
    in full are not: a label would rest on less than her file says, and nobody would see it.

    Parameters
    ----------
    table_sha256 : str
        SHA-256 of the file that the table was read from.
    on_progress : (women done, women in all) -> None

    Returns
    -------
    cases, scores
        A score has the probabilities of the model's classes, its state as embedding, and as disagreement the mutual
        information between the answer to its main question and which network of the ensemble gives it.

    Raises
    ------
    Cancelled
        If ``cancel`` was set.
    LabelRefused
        If no woman of the table could be read in full.
    """
    session = bundle.session_of("sequence")
    whole = table.frame[~table.frame[PATIENT_ID].isin(table.losses.index)]
    if whole.empty:
        raise LabelRefused(
            "No woman of the table could be read in full",
            found=f"{len(table.losses):,} whose cells or visits could not be read",
            action="Correct the table first; the Patients page names each cell.",
        )
    features = features_of(session)
    histories = encode(whole, features.encoding, features.episode_days)

    def step(done: int, total: int) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("Gathering women was stopped")
        if on_progress is not None:
            on_progress(done, total)

    step(0, len(histories))
    told = answer_histories(histories, session, OUTPUTS, on_progress=step)
    cases: list[Case] = []
    scores: list[Score] = []
    for woman in doubted_and_drawn(told["probabilities"].astype(np.float64), count, seed):
        rows = whole.iloc[histories.row_first[woman] : histories.last_row[woman] + 1]
        case = patient_case(table_sha256, pseudonym(table_sha256, str(histories.patient_ids[woman])), visits_content(rows))
        cases.append(case)
        scores.append(_score(case.id, told, woman, bundle))
    return cases, scores


def score_women(case_ids: Sequence[str], contents: Sequence[bytes], bundle: Bundle) -> list[Score]:
    """What the bundle's history model makes of women whose visits the store holds, as ``gather_patients`` scores them."""
    session = bundle.session_of("sequence")
    features = features_of(session)
    told = answer_histories(histories_of(contents, features.encoding, features.episode_days), session, OUTPUTS)
    return [_score(case_id, told, woman, bundle) for woman, case_id in enumerate(case_ids)]


def _score(case_id: str, told: Mapping[str, NDArray[np.float32]], woman: int, bundle: Bundle) -> Score:
    model = bundle.manifest.first_of("sequence")
    return Score(
        case_id,
        model.id,
        bundle.sha256,
        bundle.manifest.version,
        dict(zip(model.class_ids, told["probabilities"][woman].tolist(), strict=True)),
        told["state"][woman],
        disagreement=float(_disagreement(told["member_risk"][woman : woman + 1])[0]),
    )


def pseudonym(table_sha256: str, patient_id: str) -> str:
    """A short key of one woman of one table. It is a digest: it cannot be read back, but whoever has the table can make it."""
    return hashlib.sha256(f"{table_sha256}:{patient_id}".encode()).hexdigest()[:KEY_LENGTH]


def visits_content(visits: pd.DataFrame) -> list[dict[str, Any]]:
    """One woman's rows of ``VisitTable.frame`` as the store keeps them: what is known, and years since her first visit."""
    kept = []
    for at in range(len(visits)):
        row = visits.iloc[at]
        visit: dict[str, Any] = {TIME_YEARS: float(row[TIME_YEARS])}
        if not np.isnan(row[AGE]):
            visit[AGE] = float(row[AGE])
        kept.append(visit | {column.name: str(row[column.name]) for column in CODE_COLUMNS if pd.notna(row[column.name])})
    return kept


def visits_frame(contents: Sequence[bytes]) -> pd.DataFrame:
    """The contents of cases of women as one table, as ``encode`` reads it.

    Returns
    -------
    DataFrame
        One row a visit, a woman's rows together and in order: ``patient_id`` (her place in ``contents``), ``time_years``,
        ``age`` (float32) and one categorical column a code.
    """
    women = [json.loads(content) for content in contents]
    visits = [visit for woman in women for visit in woman]
    data: dict[str, Any] = {
        PATIENT_ID: np.repeat(np.array([f"{place}" for place in range(len(women))], object), [len(woman) for woman in women]),
        TIME_YEARS: np.array([visit[TIME_YEARS] for visit in visits], np.float64),
        AGE: np.array([visit.get(AGE, np.nan) for visit in visits], np.float32),
    }
    for column in CODE_COLUMNS:
        data[column.name] = pd.Categorical([visit.get(column.name) for visit in visits], categories=list(column.codes))
    return pd.DataFrame(data)


def histories_of(contents: Sequence[bytes], features: Sequence[FeatureEncoding], episode_days: int | None) -> Histories:
    """The contents of cases of women as a history model reads them, exactly as its table gave them (``encode``)."""
    return encode(visits_frame(contents), features, episode_days)


def _disagreement(members: NDArray[np.float32]) -> NDArray[np.float64]:
    """BALD of a yes-or-no question ``(n,)`` in nats, from each network's own risk ``(n, members)``: entropy of the mean
    minus mean of the entropies (Houlsby et al. 2011, arXiv:1112.5745), the networks standing in for draws of the weights."""
    risk = members.astype(np.float64)
    both = np.stack([1 - risk, risk], axis=-1)
    between = entropy(both.mean(axis=1)) - entropy(both).mean(axis=1)
    return np.asarray(np.maximum(between, 0.0))
