"""Two bundles side by side on the page Improve."""

from pathlib import Path

import pytest

from tests.bundle.altered import bundle_of_risk_models, change_predictions
from tests.pages.opening import open_page, texts


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


def test_a_candidate_on_the_server_is_compared_and_the_verdict_comes_first(home: Path) -> None:
    app = open_page("improve/compare")
    assert app.selectbox(key="compare_folder").disabled
    assert "Nothing to compare yet" in texts(app)
    assert {"compare_to_retrain", "compare_sample"} <= {button.key for button in app.button}
    other = bundle_of_risk_models(home / "bundles/candidate")
    change_predictions(other, "risk-factors", lambda frame: frame.assign(p_yes=frame["p_no"], p_no=frame["p_yes"]))
    app.run()
    assert not app.exception
    assert app.selectbox(key="compare_folder").value == "candidate", "the newest there is"
    assert app.warning[0].value.startswith("Keep the active bundle.")
    assert "The candidate has no such model." in app.warning[0].value
    rules = next(table.value for table in app.dataframe if "Rule" in table.value)
    assert dict(zip(rules["Rule"], rules["Finding"], strict=True))["AUROC falls by less than 0.02"] == "not met"
    differences = next(table.value for table in app.dataframe if "What" in table.value)
    assert "Held-out predictions" in set(differences["What"])
    (other / "risk-factors/golden.npz").write_bytes(b"damaged")
    (other / "manifest.json").touch()
    app.run()
    assert not app.exception
    assert "The candidate was refused, so nothing is compared. risk-factors/golden.npz" in app.error[0].value
