"""The real driver and ledger over many slides, on workers and nodes that are made up."""

from pathlib import Path

from benchmarks.archive_simulation import simulate


def test_with_bad_slides_and_nodes_lost_nothing_is_lost_and_nothing_scored_to_its_end_twice(tmp_path: Path) -> None:
    ended = simulate(300, 2, tmp_path, workers_a_node=4)
    assert set(ended.counts) == {"done", "refused"}
    assert sum(ended.counts.values()) == 300
    assert 1 <= ended.counts["refused"] <= 10
    assert ended.watched.losses >= 3
    assert ended.watched.lost_slides > 0
    assert ended.attempts == 300 + ended.watched.lost_slides
    assert set(ended.watched.ends.values()) == {1}
    assert len(ended.watched.ends) == 300
    assert 0.85 < ended.useful < ended.utilisation <= 1.0
