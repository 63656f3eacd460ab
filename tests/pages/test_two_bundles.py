"""A second bundle beside the one at work."""

import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle.loading import read_manifest
from cervix.settings import get_settings
from tests.bundle.made import write_risk_bundle
from tests.pages.opening import PATIENCE_S, scored, texts


@pytest.fixture
def two_there(home: Path, four_class_root: Path, two_class_root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The four-class bundle active, that of two classes in a folder of this server; the hash of the latter."""
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(four_class_root))
    get_settings.cache_clear()
    shutil.copytree(two_class_root, home / "bundles/two")
    return read_manifest(two_class_root)[1]


def with_second(app: AppTest, sha256: str) -> AppTest:
    app.selectbox(key="slide_other_bundle").set_value(sha256).run()
    assert not app.exception
    app.button(key="slide_second_score").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while [button for button in app.button if button.key == "slide_second_stop"]:
        assert time.monotonic() < deadline, "waited in vain"
        app.run()
    assert not app.exception
    return app


def test_a_slide_is_scored_by_a_second_bundle_and_both_answers_stand_side_by_side(
    two_there: str, four_class_slide: Path, bundle_of_women: str
) -> None:
    app = scored(four_class_slide)
    assert "Without a model of tiles, so not to be compared here: made-for-tests" in texts(app)
    app = with_second(app, two_there)
    said = texts(app)
    assert "the active bundle" in said
    assert "not the active bundle" in said
    shares = {metric.label: metric.value for metric in app.metric}
    assert shares["Malignant or not: the same"] == "50 %"
    assert "The same class" not in shares, "their classes are others"
    assert "B knows healthy, tumour" in said
    kinds = next(table.value for table in app.dataframe if "On the map" in table.value)
    areas = dict(zip(kinds["On the map"], kinds["Tissue, mm²"].astype(float), strict=True))
    assert areas["B malignant, A not"] == pytest.approx(0.125, abs=0.005)
    assert bundle_of_women not in app.selectbox(key="slide_other_bundle").options


@pytest.fixture
def bundle_of_women(home: Path) -> str:
    """A bundle on this server that reads no slides; its hash."""
    return read_manifest(write_risk_bundle(home / "bundles/women"))[1]
