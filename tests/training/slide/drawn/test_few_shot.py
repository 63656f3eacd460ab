"""What drawn tiles add: a gain where real ones are few, none by shuffled labels, and no leak."""

import numpy as np
import pandas as pd
import pytest

from training.slide.drawn import few_shot
from training.slide.drawn.few_shot import gain_table

pytestmark = pytest.mark.training
CLASSES = ["ac", "benign", "scc"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Three classes along three directions, groups that differ much; drawn tiles that lie in the same directions."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(120), 3)
    target = np.repeat(np.arange(3).repeat(40), 3)
    of_group = rng.normal(0, 2.5, (120, 30))[groups]
    features = np.eye(3, 30)[target] * 4 + of_group + rng.normal(0, 0.3, (360, 30))
    drawn_target = np.arange(3).repeat(60)
    drawn = np.eye(3, 30)[drawn_target] * 4 + rng.normal(0, 2.5, (180, 30))
    labels, drawn_labels = np.array(CLASSES)[target], np.array(CLASSES)[drawn_target]
    patch = pytest.MonkeyPatch()
    patch.setattr(few_shot, "REPEATS", 6)
    found = gain_table(features, labels, groups.astype(str), drawn, drawn_labels, seed=1, groups_a_class=(2, 20, 60))
    patch.undo()
    return found.set_index("groups a class")


def gain(told: str) -> float:
    return float(told.split()[0])


def test_drawn_tiles_help_where_real_ones_are_few(table: pd.DataFrame) -> None:
    assert gain(table.loc[2, "gain"]) > 0.05
    assert gain(table.loc[20, "gain"]) < gain(table.loc[2, "gain"])


def test_shuffled_labels_do_not_help(table: pd.DataFrame) -> None:
    assert gain(table.loc[2, "gain with shuffled labels"]) < 0.03


def test_more_groups_than_there_are_make_no_row(table: pd.DataFrame) -> None:
    assert list(table.index) == [2, 20]
    assert table["n"].str.startswith(("100 groups", "60 groups")).all()
