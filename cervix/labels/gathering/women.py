"""From a scored visit table to women that readers can label, and from what was kept of them back to a model's arrays.

A case is a woman at one visit: her history up to it, which a model reads, and apart from that what her file says afterwards,
which a reader reads to tell the outcome. Decision and reasons: docs/adr/0033.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle, ModelSession
from cervix.bundle.manifest import FeatureEncoding
from cervix.errors import Cancelled, LabelRefused
from cervix.labels.desk.acquisition import entropy
from cervix.labels.gathering.tiles import doubted_and_drawn
from cervix.labels.store.cases import AFTER, VISITS, Case, Score, history_in, patient_case
from cervix.patients.diagnosis import CANCER, KNOWN, PRECANCER, TREATED, known_diagnoses
from cervix.patients.encoding import features_of
from cervix.patients.history_scoring import answer_histories, answers_with
from cervix.patients.sequences import TIME_YEARS, Histories, encode
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID

OUTPUTS = ["probabilities", "member_risk", "state"]
KEY_LENGTH = 16
OUTCOME_YEARS = 3
"""How long after a visit her file must tell of her, unless it tells of CIN2+ before: the time of the main question."""


@dataclass(frozen=True)
class WomanViews:
    """A woman as a reader sees her: frames as of ``visits_frame``, times in years since her first visit.

    Attributes
    ----------
    visits : her history, up to the visit that is asked about
    after : what her file says afterwards; None where that was not kept with her
    """

    visits: pd.DataFrame
    after: pd.DataFrame | None


def woman_views(case: Case) -> WomanViews:
    """What is shown of a woman."""
    after = case.after
    return WomanViews(_frame([case.visits]), None if after is None else _frame([after]))


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

    Nothing is stored. A case holds results, ages and the time between visits: no date, no name of a slide, no id of hers. Her
    history ends at a visit after which her file tells the outcome: CIN2+ by histology within three years, or any visit three
    years later or more. Of several such visits one is drawn by her key, whatever came afterwards. What did is kept apart, for
    the reader, and no model sees it. Left out are women of whom the file tells no outcome, women who had an untreated CIN2+ at
    each such visit, and women whose file could not be read in full: a label would rest on less than her file says.

    Parameters
    ----------
    table_sha256 : str
        SHA-256 of the file that the table was read from.
    on_progress : (women done, women in all) -> None

    Returns
    -------
    cases, scores
        A score is of her history up to that visit. It has the probabilities of the model's classes, its state as embedding,
        and as disagreement the mutual information between the answer to its main question and which network of the ensemble
        gives it.

    Raises
    ------
    Cancelled
        If ``cancel`` was set.
    LabelRefused
        If no woman of the table could be read in full, or the table tells the outcome of none.
    """
    session = _asked(bundle)
    whole = table.frame[~table.frame[PATIENT_ID].isin(table.losses.index)]
    if whole.empty:
        raise LabelRefused(
            "No woman of the table could be read in full",
            found=f"{len(table.losses):,} whose cells or visits could not be read",
            action="Correct the table first; the page Patient names each cell.",
        )
    features = features_of(session)
    histories = encode(whole, features.encoding, features.episode_days)

    def step(done: int, total: int) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("Gathering women was stopped")
        if on_progress is not None:
            on_progress(done, total)

    step(0, len(histories))
    keys = [pseudonym(table_sha256, str(name)) for name in histories.patient_ids]
    asked = asked_steps(whole, histories, keys)
    followed = np.flatnonzero(asked >= 0)
    if not len(followed):
        raise LabelRefused(
            "The table tells the outcome of no woman, so no reader could",
            expected=f"visits {OUTCOME_YEARS} years or more after another visit, or a histology of CIN2+ sooner",
            found=f"none such of {len(histories):,} women",
            action="Bring a table whose visits reach further.",
        )
    until = histories.prefixes(asked[followed])
    told = answer_histories(until, session, OUTPUTS, on_progress=step)
    cases: list[Case] = []
    scores: list[Score] = []
    for place in doubted_and_drawn(told["probabilities"].astype(np.float64), count, seed):
        woman = followed[place]
        first, last, end = histories.row_first[woman], until.row_of_step[asked[woman]], histories.last_row[woman]
        parts = {VISITS: whole.iloc[first : last + 1], AFTER: whole.iloc[last + 1 : end + 1]}
        # Times of both parts count from her first visit.
        content = {name: visits_content(rows) for name, rows in parts.items()}
        case = patient_case(table_sha256, f"{keys[woman]}@{len(content[VISITS])}", content, woman=keys[woman])
        cases.append(case)
        scores.append(_score(case.id, told, int(place), bundle))
    return cases, scores


def _asked(bundle: Bundle) -> ModelSession:
    """The session of the model that scores women; ``LabelRefused`` where it answers less than the queue goes by."""
    session = bundle.session_of("sequence")
    if missing := [name for name in OUTPUTS if not answers_with(session, name)]:
        raise LabelRefused(
            f"{session.model.title} does not answer what women are chosen for labels by",
            expected="an ensemble that gives its networks' answers and its state",
            found=f"no {' and no '.join(missing)}",
            action="Gather with a bundle whose first model of screening histories is such an ensemble, as the one that ships.",
        )
    return session


def asked_steps(visits: pd.DataFrame, histories: Histories, keys: Sequence[str]) -> NDArray[np.int64]:
    """Of each woman the step after which she is asked about ``(women,)``, a position in the arrays; -1 where there is none.

    Parameters
    ----------
    visits : as ``VisitTable.frame``, from which the histories were made
    keys : of the women, by which one of several steps is drawn
    """
    times = visits[TIME_YEARS].to_numpy(np.float64)
    histology = visits["histology"].astype(object)
    found = histology.isin([*PRECANCER, *CANCER]).to_numpy(bool)
    asked = np.full(len(histories), -1, np.int64)
    for woman in range(len(histories)):
        row_first, row_end = histories.row_first[woman], histories.last_row[woman] + 1
        steps = np.arange(histories.first[woman], histories.last[woman])
        ends = histories.row_of_step[steps]
        answered = [
            step
            for step, end in zip(steps, ends, strict=True)
            if times[row_end - 1] - times[end] >= OUTCOME_YEARS
            or (found[end + 1 : row_end] & (times[end + 1 : row_end] - times[end] <= OUTCOME_YEARS)).any()
        ]
        drawn = np.random.default_rng(int(keys[woman], 16)).permutation(np.array(answered, np.int64))
        asked[woman] = next((step for step in drawn if _askable(visits, row_first, histories.row_of_step[step], found)), -1)
    return asked


def _askable(visits: pd.DataFrame, first: int, last: int, found: NDArray[np.bool_]) -> bool:
    """Whether the outcome is not known at that visit already: no CIN2+ was found, or it was treated."""
    if not found[first : last + 1].any():
        return True
    known = known_diagnoses(visits.iloc[first : last + 1], np.zeros(1, np.int64), np.array([last + 1 - first]))
    return bool(known[KNOWN].iloc[0] == "" or known[TREATED].iloc[0] != "")


def score_women(case_ids: Sequence[str], contents: Sequence[bytes], bundle: Bundle) -> list[Score]:
    """What the bundle's history model makes of women whose visits the store holds, as ``gather_patients`` scores them."""
    session = _asked(bundle)
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
    """The histories in the contents of cases of women as one table, as ``encode`` reads it; not what came afterwards.

    Returns
    -------
    DataFrame
        One row a visit, a woman's rows together and in order: ``patient_id`` (her place in ``contents``), ``time_years``,
        ``age`` (float32) and one categorical column a code.
    """
    return _frame([history_in(content) for content in contents])


def _frame(women: Sequence[Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
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
