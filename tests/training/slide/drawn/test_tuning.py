"""The search of settings: what it values, that it goes on where it stopped, what it writes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.errors import BundleError
from cervix.slides.drawn.look import LOOK_FIELDS, looks, read_table
from cervix.slides.drawn.tissues import TISSUES
from training.slide.drawn.tuning import RANGES, WANTED, Answering, answering, tune, worth, write_looks


@pytest.fixture(scope="module")
def model(bundle_root: Path) -> Answering:
    return answering(bundle_root)


def test_every_number_of_a_look_has_a_range_and_every_tissue_an_answer() -> None:
    assert set(RANGES) == set(LOOK_FIELDS)
    assert set(WANTED) == set(TISSUES) == set(looks())
    assert all(low < high for low, high in RANGES.values())


def test_the_wanted_class_is_worth_most_and_novelty_costs(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    limit = model.abstention_limit("novelty")
    sure = np.eye(len(model.class_ids))
    far_within, beyond = np.full(1, 0.2 * limit), np.full(1, 1.2 * limit)
    for place, name in enumerate(model.class_ids):
        assert worth(sure[place : place + 1], far_within, model, name) == 1
        assert worth(sure[place : place + 1], beyond, model, name) < 0.5
        assert worth(sure[(place + 1) % 3][None], far_within, model, name) == 0


def test_the_search_goes_on_where_it_stopped_and_never_loses_the_best(model: Answering, tmp_path: Path) -> None:
    table = tmp_path / "trials.csv"
    _, first = tune(model, "squamous-carcinoma", 1, 7, table, print)
    stopped = pd.read_csv(table)
    _, best = tune(model, "squamous-carcinoma", 2, 7, table, print)
    done = pd.read_csv(table)
    pd.testing.assert_frame_equal(done[:1], stopped)
    assert len(done) == 2
    assert best == done["worth"].max() >= first
    at_once = tmp_path / "at-once.csv"
    tune(model, "squamous-carcinoma", 2, 7, at_once, print)
    pd.testing.assert_frame_equal(pd.read_csv(at_once), done)


def test_written_settings_are_read_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    write_looks(looks(), "a model", path)
    assert read_table(path)["tissues"] == read_table()["tissues"]
    assert read_table(path)["tuned_to"] == "a model"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no tile model"):
        answering(tmp_path)
