"""Evidence of a molecular model: every tab that it has, in a bundle of other kinds too."""

from pathlib import Path

import pytest

from cervix.settings import get_settings
from tests.bundle.made.tumours import write_molecular_bundle
from tests.pages.opening import open_page, texts


@pytest.fixture
def _tumours(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """A server whose bundle is the made molecular model."""
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(write_molecular_bundle(tmp_path / "tumours")))
    get_settings.cache_clear()


@pytest.mark.usefixtures("_tumours")
def test_every_tab_of_a_molecular_model_opens_and_speaks_of_tumours() -> None:
    app = open_page("evidence")
    tabs = app.segmented_control(key="evidence_view").options
    assert {"At a threshold", "Rivals", "All models", "How it was trained", "Card and downloads"} <= set(tabs)
    assert "Your own cases" not in tabs
    ids = {"At a threshold": "threshold", "Calibration": "calibration", "Rivals": "rivals", "All models": "models"}
    for tab in ids.values():
        app.segmented_control(key="evidence_view").set_value(tab).run()
        assert not app.exception
        assert "tumours" in texts(app)
        assert not [caption.value for caption in app.caption if "women" in caption.value]
