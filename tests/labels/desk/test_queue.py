"""The queue ranks what the store holds, by what was scored and never by what was said."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cervix.errors import LabelRefused
from cervix.labels.desk.acquisition import STRATEGIES, PoolView, Strategy, entropy
from cervix.labels.desk.queue import offered, queue

N = 60


@pytest.fixture
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(3), N)
    return pd.DataFrame(
        {
            "case_id": [f"tile:{place}" for place in range(N)],
            "probabilities": [dict(zip(("benign", "scc", "ac"), row, strict=True)) for row in probabilities.tolist()],
            "embedding": list(rng.normal(size=(N, 8)).astype(np.float32)),
            "novelty": rng.random(N),
            "disagreement": np.full(N, np.nan),
        }
    )


def test_only_strategies_that_the_scores_allow_are_offered(scores: pd.DataFrame) -> None:
    assert list(offered(scores)) == ["random", "entropy", "margin", "diverse", "novelty"]
    assert "bald" in offered(scores.assign(disagreement=0.1))
    assert "diverse" not in offered(scores.assign(embedding=None))


def test_a_strategy_more_is_one_entry(scores: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def newest(view: PoolView, count: int, rng: np.random.Generator) -> NDArray[np.int64]:  # noqa: ARG001
        return np.asarray(view.open[::-1][:count], np.int64)

    monkeypatch.setitem(STRATEGIES, "newest", Strategy("Newest first", newest, needs="age_days"))
    assert "newest" not in offered(scores)
    with_ages = scores.assign(age_days=1.0)
    assert offered(with_ages)["newest"] == "Newest first"
    ranked = queue(with_ages, [], "newest", 10)
    assert ranked.loc[~ranked["control"], "case_id"].iloc[0] in {f"tile:{N - 1}", f"tile:{N - 2}"}


@pytest.mark.parametrize("strategy", ["random", "entropy", "margin", "diverse", "novelty"])
def test_each_ranks_open_cases_once_with_a_tenth_of_controls_and_the_same_every_time(
    strategy: str, scores: pd.DataFrame
) -> None:
    settled = set(scores["case_id"].head(10))
    ranked = queue(scores, settled, strategy, 20)
    assert ranked["case_id"].is_unique
    assert len(ranked) == 20
    assert not settled & set(ranked["case_id"])
    assert ranked["control"].sum() == 2
    pd.testing.assert_frame_equal(ranked, queue(scores, settled, strategy, 20))


def test_entropy_asks_for_the_widest_spread_first(scores: pd.DataFrame) -> None:
    ranked = queue(scores, [], "entropy", 20)
    spread = pd.Series(entropy(np.array([list(row.values()) for row in scores["probabilities"]])), index=scores["case_id"])
    wanted = spread[ranked.loc[~ranked["control"], "case_id"]]
    assert wanted.is_monotonic_decreasing
    assert wanted.iloc[0] == pytest.approx(spread.drop(ranked.loc[ranked["control"], "case_id"]).max())


def test_bald_goes_by_what_was_measured_when_the_case_was_scored(scores: pd.DataFrame) -> None:
    ranked = queue(scores.assign(disagreement=np.arange(N) / N), [], "bald", 10)
    assert set(ranked.loc[~ranked["control"], "case_id"]) <= {f"tile:{place}" for place in range(N - 11, N)}


def test_a_cold_start_without_any_label_is_diverse_too(scores: pd.DataFrame) -> None:
    assert len(queue(scores, [], "diverse", 30)) == 30


def test_when_all_is_settled_the_queue_is_empty(scores: pd.DataFrame) -> None:
    assert queue(scores, list(scores["case_id"]), "entropy", 10).empty


def test_a_strategy_without_its_scores_is_refused_by_name(scores: pd.DataFrame) -> None:
    with pytest.raises(LabelRefused, match="expected one of random, entropy, margin, diverse, novelty; found 'bald'"):
        queue(scores, [], "bald", 10)
