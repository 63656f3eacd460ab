"""Strategies choose what they say they choose, never a case twice, and never by the outcome."""

from dataclasses import replace

import numpy as np
import pytest

from cervix.labels.desk.acquisition import STRATEGIES, PoolView, entropy, with_controls

N, COUNT = 200, 20


@pytest.fixture
def view() -> PoolView:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), N)
    passes = rng.dirichlet(np.ones(3), (8, N))
    return PoolView(
        probabilities=probabilities,
        passes=lambda: passes,
        state=rng.normal(size=(N, 4)),
        abnormal=rng.random(N) < 0.1,
        labelled=np.arange(10),
        open=np.arange(10, N),
        candidates=4,
        novelty=rng.random(N),
    )


def chosen(name: str, view: PoolView) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return STRATEGIES[name].choose(view, COUNT, np.random.default_rng(1))


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_chooses_open_cases_once_and_the_same_every_time(name: str, view: PoolView) -> None:
    found = chosen(name, view)
    assert len(set(found)) == COUNT
    assert set(found) <= set(view.open)
    assert list(found) == list(chosen(name, view))


def test_entropy_chooses_the_widest_spread(view: PoolView) -> None:
    found = chosen("entropy", view)
    spread = entropy(view.probabilities)
    assert spread[found].min() >= np.sort(spread[view.open])[-COUNT]


def test_margin_chooses_the_closest_race(view: PoolView) -> None:
    best = np.sort(view.probabilities, axis=1)
    gap = best[:, -1] - best[:, -2]
    assert gap[chosen("margin", view)].max() <= np.sort(gap[view.open])[COUNT - 1]


def test_bald_asks_where_sure_networks_disagree_and_not_where_all_are_unsure(view: PoolView) -> None:
    passes = np.full((8, N, 3), 1 / 3)
    passes[::2, 50] = [0.98, 0.01, 0.01]
    passes[1::2, 50] = [0.01, 0.98, 0.01]
    disagreed = PoolView(view.probabilities, lambda: passes, view.state, view.abnormal, view.labelled, view.open, 4)
    assert chosen("bald", disagreed)[0] == 50


def test_abnormal_histories_come_first_and_then_the_others(view: PoolView) -> None:
    found = chosen("abnormal-first", view)
    abnormal = int(view.abnormal[view.open].sum())
    assert view.abnormal[found[:abnormal]].all()
    assert not view.abnormal[found[abnormal:]].any()


def test_diversity_takes_one_of_each_heap(view: PoolView) -> None:
    state = np.repeat(np.eye(4), N // 4, axis=0) * 100 + np.random.default_rng(0).normal(size=(N, 4)) * 0.01
    heaps = PoolView(view.probabilities, view.passes, state, view.abnormal, np.array([0]), view.open, 8)
    found = STRATEGIES["diverse"].choose(heaps, 3, np.random.default_rng(1))
    assert sorted(found // (N // 4)) == [1, 2, 3]


def test_entropy_of_certainty_is_zero_and_of_a_tie_log_n() -> None:
    assert entropy(np.array([[1.0, 0.0], [0.5, 0.5]])) == pytest.approx([0.0, np.log(2)])


def test_novelty_chooses_what_is_least_like_the_training_data(view: PoolView) -> None:
    found = chosen("novelty", view)
    assert view.novelty is not None
    assert view.novelty[found].min() >= np.sort(view.novelty[view.open])[-COUNT]


def test_controls_are_spread_among_the_chosen_and_marked(view: PoolView) -> None:
    best = chosen("entropy", view)
    ranked, control = with_controls(best, view, COUNT, 0.25, np.random.default_rng(2))
    assert (len(ranked), control.sum(), len(set(ranked))) == (COUNT, 5, COUNT)
    assert set(ranked[~control]) <= set(best)
    assert np.diff(np.flatnonzero(control)).max() <= 5
    others = [with_controls(best, view, COUNT, 0.25, np.random.default_rng(seed))[0] for seed in range(200)]
    drawn = np.bincount(np.concatenate([found[~np.isin(found, best)] for found in others]), minlength=N)
    assert (drawn[np.setdiff1d(view.open, best)] > 0).all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_small_pool_is_given_whole(name: str, view: PoolView) -> None:
    small = replace(view, open=np.arange(10, 15))
    best = chosen(name, small)
    assert sorted(best) == list(range(10, 15))
    ranked, control = with_controls(best, small, COUNT, 0.1, np.random.default_rng(1))
    assert sorted(ranked) == list(range(10, 15))
    assert control.sum() == 2
