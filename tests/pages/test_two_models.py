"""Two models of histories in one bundle, on the page Patient: each chosen, both side by side, either one's answer whole."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle.loading import read_manifest
from cervix.settings import get_settings
from tests.bundle.made.women import TITLE
from tests.pages.opening import hypothetical, open_page, texts, turn_to

BOOSTING = "Boosting on summaries of visits"
OTHERS = "patients_other_bundle"


@pytest.fixture
def list_of_women(home: Path, two_histories_root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:  # noqa: ARG001
    """The page Patient with the list of the shelf and a bundle of two models of histories."""
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(two_histories_root))
    get_settings.cache_clear()
    app = open_page("patient")
    app.query_params["case"] = "list"
    app.run()
    assert not app.exception
    return app


def worklist(app: AppTest) -> pd.DataFrame:
    return next(table.value for table in app.dataframe if "Flag" in table.value)


@pytest.mark.slow
def test_the_two_models_of_a_bundle_stand_side_by_side_and_either_answers_in_full(
    list_of_women: AppTest, two_histories_root: Path
) -> None:
    app, sha256 = list_of_women, read_manifest(two_histories_root)[1]
    assert f"Answered by {TITLE}" in texts(app)
    assert app.selectbox(key=OTHERS).options == [f"{BOOSTING}, of this bundle"]
    app.selectbox(key=OTHERS).set_value(f"{sha256} history-boosting").run()
    assert not app.exception
    listed = worklist(app)
    first, second = (listed[name].dropna() / 100 for name in ("CIN2+ in 3 years", "B"))
    odds = (second / (1 - second)) / (first / (1 - first))
    assert odds.between(2.2, 3.2).all(), "e times, but for the mean over the networks"
    said = texts(app)
    assert f"**B: {BOOSTING}, of the same bundle**" in said
    assert f"**A {100 * first.iloc[0]:.1f} % · B {100 * second.iloc[0]:.1f} %**" in said

    turn_to(app, "patients_view", "Why")
    assert f"Answered by {TITLE}" in texts(app)
    app.segmented_control(key="patients_side_explained").set_value("B").run()
    said = texts(app)
    assert f"Answered by {BOOSTING}" in said
    assert f"{100 * second.iloc[0]:.1f} %" in said
    assert "they add up to her risk exactly" in said
    assert "one model: no range" in [metric.delta for metric in app.metric]
    assert "does not answer CIN3+ both at once" in said, "no step, and why"
    turn_to(app, "patients_view", "Similar")
    assert f"labelled women are kept as “{TITLE}” sees them" in texts(app)
    turn_to(app, "patients_view", "What if")
    assert hypothetical(app)[0] == f"{100 * second.iloc[0]:.1f} %", "how she is, by B"

    app.session_state["patients_history_model"] = "history-boosting"
    app.run()
    assert not app.exception
    assert app.selectbox(key=OTHERS).options == [f"{TITLE}, of this bundle"]
    assert app.selectbox(key=OTHERS).value is None, "nothing stands beside itself"
    listed = worklist(app)
    assert "B" not in listed
    assert listed["CIN2+ in 3 years"].iloc[0] == pytest.approx(100 * second.max(), abs=1e-4)
