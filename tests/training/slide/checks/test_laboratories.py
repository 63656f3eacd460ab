"""A laboratory that is left out has no part in its figures, and ways of learning that look past it do better there."""

import numpy as np
import pytest

from training.slide.checks.laboratories import (
    REMEDIES,
    Cases,
    alike,
    laboratories_table,
    leave_one_out,
    remedies_table,
    without_laboratories,
)

SIGNS = np.array([-1, 1, 0], np.float32)
PER_CELL, FEATURES = 60, 12
TITLES = {name: f"Laboratory {name}" for name in "ABCD"}


@pytest.fixture(scope="module")
def cases() -> Cases:
    """Four laboratories; one feature tells the classes, three tell the laboratory and mislead in the first."""
    rng = np.random.default_rng(3)
    laboratory = np.repeat(["A", "B", "C", "D"], 3 * PER_CELL)
    target = np.tile(np.repeat([0, 1, 2], PER_CELL), 4)
    x = rng.normal(size=(len(target), FEATURES)).astype(np.float32)
    x[:, 0] += 3.0 * target
    shift = {"A": 6.0, "B": -2.0, "C": 0.0, "D": 2.0}
    for name, value in shift.items():
        x[laboratory == name, 1:4] += value
    groups = np.array([f"g{index // 2}" for index in range(len(target))])
    copies = x + rng.normal(scale=0.3, size=x.shape).astype(np.float32)
    return Cases(
        clean=x, varied=[copies], colours=x[:, 4:10], target=target, signs=SIGNS, laboratory=laboratory, source=laboratory,
        tissue=np.where(target == 0, "squamous epithelium", "else"), groups=groups, hard=target == 0,
    )  # fmt: skip


def test_a_left_out_laboratory_is_never_learned_from(cases: Cases) -> None:
    seen: list[tuple[set[str], set[str]]] = []

    def learn(cases: Cases, train: np.ndarray):  # type: ignore[no-untyped-def]
        def answer(places: np.ndarray) -> np.ndarray:
            seen.append((set(cases.laboratory[train]), set(cases.laboratory[places])))
            return np.zeros((len(places), 3), np.float32)

        return answer

    assert np.allclose(leave_one_out(cases, learn), 1 / 3)
    assert sorted(out for _, (out,) in seen) == ["A", "B", "C", "D"]
    assert all(not (learned & out) and len(learned) == 3 for learned, out in seen)


@pytest.mark.parametrize("name", list(REMEDIES)[1:])
def test_every_way_learns_what_the_laboratories_share(cases: Cases, name: str) -> None:
    found = leave_one_out(cases, REMEDIES[name])
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.argmax(axis=1) == cases.target).mean() > 0.7


def test_removing_the_laboratories_directions_leaves_nothing_along_them(cases: Cases) -> None:
    train = np.arange(len(cases.target))
    answer = without_laboratories(cases, train)
    moved = Cases(**{**vars(cases), "clean": cases.clean.copy()})
    moved.clean[:, 1:4] += 5.0
    plain, shifted = answer(train), without_laboratories(moved, train)(train)
    np.testing.assert_allclose(plain, shifted, atol=0.3)


def test_colour_alone_learns_nothing_where_colour_tells_nothing(cases: Cases) -> None:
    found = leave_one_out(cases, REMEDIES["mean and spread of RGB"])
    assert (found.argmax(axis=1) == cases.target).mean() < 0.5


def test_the_table_of_remedies_has_a_row_each_and_the_areas_of_every_source(cases: Cases) -> None:
    perfect = np.eye(3)[cases.target]
    table = remedies_table(cases, {"right": perfect, "wrong": perfect[:, [1, 0, 2]]}, TITLES)
    assert table["remedy"].tolist() == ["right", "wrong"]
    assert table["mean AUROC"].tolist() == table["worst AUROC"].tolist() == ["1.000", "0.000"]
    assert table["AUROC Laboratory B"].tolist() == ["1.000 (0.886–1.000)", "0.000 (0.000–0.114)"]
    assert table["n"].tolist() == 2 * ["720 tiles, 360 groups"]
    assert table["benign called carcinoma"].str.split(" ").str[0].tolist() == ["0.0", "100.0"]


def test_the_sources_of_the_table_of_remedies_begin_with_the_worst_of_its_last_row(cases: Cases) -> None:
    probabilities = np.eye(3)[cases.target]
    for name, share in (("A", 2), ("C", 3)):
        here = np.flatnonzero((cases.laboratory == name) & (cases.target == 1))
        probabilities[here[: len(here) // share]] = [1, 0, 0]
    table = remedies_table(cases, {"first": np.eye(3)[cases.target], "shipped": probabilities}, TITLES)
    assert [name for name in table if name.startswith("AUROC")][:2] == ["AUROC Laboratory A", "AUROC Laboratory C"]


def test_the_table_of_laboratories_begins_with_the_worst_and_counts_what_is_answered(cases: Cases) -> None:
    probabilities = np.eye(3)[cases.target]
    flipped = np.flatnonzero((cases.laboratory == "C") & (cases.target == 0))[:30]
    probabilities[flipped] = [0, 1, 0]
    refused = np.zeros(len(cases.target), bool)
    refused[flipped[:18]] = True
    table = laboratories_table(cases, probabilities, refused, TITLES, {"colour statistics": np.full((len(refused), 3), 1 / 3)})
    worst = table.iloc[0]
    assert worst["left out"] == "Laboratory C"
    assert worst["AUROC, carcinoma or benign"].startswith("0.750 (")
    assert worst["AUROC, carcinoma or benign: colour statistics"] == "0.500 (0.500–0.500)"
    assert worst["answered"].startswith("90.0 %")
    assert worst["answered and wrong"].startswith("6.7 %")
    assert worst["benign called carcinoma"].startswith("50.0 %")
    assert worst["benign answered and called carcinoma"].startswith("20.0 %")
    assert worst["n"] == "180 tiles, 90 groups"


def test_ways_of_learning_differ(cases: Cases) -> None:
    assert not np.allclose(leave_one_out(cases, alike), leave_one_out(cases, without_laboratories), atol=0.01)
