"""A second bundle beside the one at work, on the page Patient; on the page Slide a browser looks (tests/browser)."""

import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle.loading import read_manifest
from cervix.labels import open_store
from cervix.settings import get_settings
from tests.bundle.made import women, write_risk_bundle
from tests.bundle.made.whole import write_manifest
from tests.labels.making import label_four_classes
from tests.pages.opening import PATIENCE_S, open_page, texts


@pytest.fixture
def bundle_of_women(home: Path) -> str:
    """A bundle on this server that reads no histories; its hash."""
    return read_manifest(write_risk_bundle(home / "bundles/women"))[1]


@pytest.fixture
def higher(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bundle with a history model alone, whose odds are e times those of the made one; its hash."""
    monkeypatch.setattr(women, "LOG_ODDS_OF_NOTHING_KNOWN", women.LOG_ODDS_OF_NOTHING_KNOWN + 1)
    folder = home / "bundles/higher"
    return read_manifest(write_manifest(folder, [women.write_history_model(folder, "rival")]))[1]


@pytest.mark.slow
def test_a_list_of_women_has_columns_of_the_second_bundle_and_the_difference(
    higher: str,
    bundle_of_women: str,  # noqa: ARG001 - it lies there, and is not offered
) -> None:
    app = open_page("patient")
    app.query_params["case"] = "list"
    app.run()
    assert "B" not in worklist(app)
    choice = app.selectbox(key="patients_other_bundle")
    assert len(choice.options) == 1
    assert "cannot be compared here: it has no model that reads such a list." in texts(app)
    choice.set_value(f"{higher} rival").run()
    assert not app.exception
    listed = worklist(app)
    first, second = listed["CIN2+ in 3 years"].dropna(), listed["B"].dropna()
    assert list(second - first) == pytest.approx(list(listed["B − A"].dropna()), abs=1e-4)
    odds = (second / (100 - second)) / (first / (100 - first))
    assert odds.between(2.2, 2.8).all(), "e times, but for the mean over the networks"
    said = texts(app)
    assert "not the active bundle" in said
    assert f"**A {first.iloc[0]:.1f} % · B {second.iloc[0]:.1f} %**" in said, "the woman who is open"
    app.selectbox(key=next(box.key for box in app.selectbox if box.label == "Order")).set_value(
        "Models widest apart first"
    ).run()
    gaps = worklist(app)["B − A"].abs().dropna()
    assert list(gaps) == sorted(gaps, reverse=True)


@pytest.mark.slow
def test_a_candidate_of_other_classes_is_compared_on_the_labelled_tiles_of_this_installation(
    home: Path, four_class_root: Path, two_class_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(four_class_root))
    get_settings.cache_clear()
    shutil.copytree(two_class_root, home / "bundles/two")
    with open_store(get_settings().label_store_url) as store:
        label_four_classes(store)
    app = open_page("improve/compare")
    assert not app.exception
    for name in ("active", "candidate"):
        app.button(key=f"compare_score_tile_{name}").click().run()
        deadline = time.monotonic() + PATIENCE_S
        while [button for button in app.button if button.key == f"compare_score_stop_{name}"]:
            assert time.monotonic() < deadline, "waited in vain"
            app.run()
        assert not app.exception
    assert "Malignant or not. 8 tiles (4 positive) of 2 slides; 95 % intervals, paired bootstrap over slides." in texts(app)
    figures = next(table.value for table in app.dataframe if "Metric" in table.value).set_index("Metric")
    assert figures.loc["Sensitivity (recall)", "Active"].startswith("1.000")
    assert figures.loc["Sensitivity (recall)", "Candidate"].startswith("0.000")
    assert "Limits of this installation: AUROC may fall by less than 0.02" in texts(app)


def worklist(app: AppTest) -> pd.DataFrame:
    return next(table.value for table in app.dataframe if "Flag" in table.value)
