"""What one reader is offered, in which order: a strategy's ranking of what is open, within what they wish to see."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from cervix.bundle import Model
from cervix.labels.desk.queue import offered, queue
from cervix.labels.store.cases import Kind, Scorer
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.truth import READ

OTHERWISE = "entropy"


@dataclass(frozen=True)
class Wish:
    """What a reader asked to see.

    Attributes
    ----------
    strategy : str
        Empty: the default.
    source : str
        SHA-256 of one slide or table; empty: all.
    predicted : str
        The class that the bundle must call most probable; empty: any.
    scored_within_days : int
        How old the score may be; 0: any age.
    second_reads : bool
        Read again what one other reader has read, first; then what nobody has.
    """

    kind: Kind
    reader: str
    strategy: str = ""
    source: str = ""
    predicted: str = ""
    scored_within_days: int = 0
    second_reads: bool = False

    @property
    def blinded(self) -> bool:
        """Whether an answer owes nothing to the model: who sees one predicted class alone knows what the model says."""
        return not self.predicted

    @property
    def wanted_reads(self) -> int:
        return 2 if self.second_reads else 1


@dataclass(frozen=True)
class Opinion:
    """What the bundle's model said of a case."""

    probabilities: Mapping[str, float]
    novelty: float | None = None

    def answered_by(self, model: Model) -> bool:
        """Whether the model gives an answer for the case. One without a novelty limit, as for women, always does."""
        if not any(item.output == "novelty" for item in model.abstention):
            return True
        said = np.array([[self.probabilities[label] for label in model.class_ids]])
        return bool(model.is_recognised(np.array([np.nan if self.novelty is None else self.novelty]), said)[0])


@dataclass(frozen=True)
class Ranking:
    """The head of a queue as it was when it was made.

    Attributes
    ----------
    case_ids : the most wanted first
    opinions : what the model says of each of them
    open : how many cases are left for this reader within their wish, ranked or not
    scored : how many cases of the kind this bundle has scored, whatever the wish
    strategy, is_default : the one that ranked, and whether nobody chose it
    strategies : id -> title of those that the scores allow
    sources : SHA-256 -> cases scored, of every slide or table
    predicted : classes that are the most probable one of some case
    answered : cases that this reader answered once, even if undone since: they were shown what the model says
    """

    case_ids: list[str] = field(default_factory=list)
    opinions: dict[str, Opinion] = field(default_factory=dict)
    open: int = 0
    scored: int = 0
    strategy: str = OTHERWISE
    is_default: bool = True
    strategies: dict[str, str] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    predicted: list[str] = field(default_factory=list)
    answered: frozenset[str] = frozenset()


def rank(store: LabelStore, scorer: Scorer, wish: Wish, default_strategy: str, length: int) -> Ranking:
    """Rank at most ``length`` cases. It reads the scores and all reads: about a second at 20,000 labels, so not after each.

    Second reads are drawn at random from the cases that one other reader has read: agreement then holds for all of them, not
    of those that the model doubts.

    Raises
    ------
    LabelStoreUnavailable
        If the store does not answer.
    """
    every = store.scores(scorer.bundle_sha256, wish.kind)
    every = every[every["model_id"] == scorer.model_id].reset_index(drop=True)
    best = every["probabilities"].map(lambda said: max(said, key=said.__getitem__))
    chosen = every[_within(every, best, wish)].reset_index(drop=True)
    possible = offered(chosen)
    default = default_strategy if default_strategy in possible else OTHERWISE
    strategy = wish.strategy if wish.strategy in possible else default
    done, once = _read_already(store, wish)
    history = store.history(wish.reader)
    ranked = _second_reads(chosen, done, once) if wish.second_reads else []
    ranked = ranked[:length]
    if len(ranked) < length:
        ranked += queue(chosen, done | once, strategy, length - len(ranked))["case_id"].tolist()
    placed = chosen.set_index("case_id")
    return Ranking(
        case_ids=ranked,
        opinions={
            case: Opinion(said, None if np.isnan(novelty) else float(novelty))
            for case, said, novelty in placed.loc[ranked, ["probabilities", "novelty"]].itertuples()
        },
        open=int((~chosen["case_id"].isin(done)).sum()),
        scored=len(every),
        strategy=strategy,
        is_default=strategy == default,
        strategies=possible,
        sources={str(source): int(count) for source, count in every["source"].value_counts().items()},
        predicted=sorted(best.unique()),
        answered=frozenset(history.loc[history["action"].isin(READ), "case_id"]),
    )


def _within(scores: pd.DataFrame, best: pd.Series, wish: Wish) -> pd.Series:
    fits = pd.Series(True, index=scores.index)
    if wish.source:
        fits &= scores["source"] == wish.source
    if wish.predicted:
        fits &= best == wish.predicted
    if wish.scored_within_days:
        fits &= scores["scored_at"] >= datetime.now(UTC) - timedelta(days=wish.scored_within_days)
    return fits


def _read_already(store: LabelStore, wish: Wish) -> tuple[set[str], set[str]]:
    """Cases that need nothing of this reader any more, and those that want one more read.

    Done is what they have dealt with themselves, what is adjudicated, and what has as many reads of others as are wanted.
    """
    reads, truths = store.reads(wish.kind), store.truths(wish.kind)
    done = set(reads.loc[reads["reader"] == wish.reader, "case_id"])
    done |= set(truths.loc[(truths["status"] == "adjudicated") | (truths["reads"] >= wish.wanted_reads), "case_id"])
    once = set(truths.loc[truths["reads"] == 1, "case_id"]) - done if wish.second_reads else set()
    return done, once


def _second_reads(scores: pd.DataFrame, done: set[str], once: set[str]) -> list[str]:
    open_ids = [case for case in scores["case_id"] if case in once and case not in done]
    return [open_ids[at] for at in np.random.default_rng(0).permutation(len(open_ids))]
