"""The page Patient with models of women from elsewhere: alone, and beside the bundle's own."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import cervix.cli
from cervix.bundle import Bundle
from cervix.bundle.manifest import UNEVALUATED
from cervix.patients.vocabulary import PATIENT_ID
from cervix.settings import get_settings
from tests.bundle.made.whole import write_manifest
from tests.pages.opening import open_page, texts, turn_to
from tests.pages.test_patient import listed
from tests.training.wrap.women.visits import BroughtVisits

pytestmark = pytest.mark.training


@pytest.fixture
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


@pytest.fixture
def with_both(bundle: Bundle, wrapped_visits: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:  # noqa: ARG001
    """A bundle of two models of screening histories, active: the made one and the booster."""
    models = [bundle.manifest.first_of("sequence"), wrapped_visits.manifest.first_of("sequence")]
    for model, source in zip(models, (bundle.root, wrapped_visits.root), strict=True):
        shutil.copytree(source / model.id, tmp_path / "both" / model.id)
    return activated(write_manifest(tmp_path / "both", models), monkeypatch)


def activated(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(root))
    get_settings.cache_clear()
    return root


def with_visits(brought: BroughtVisits) -> AppTest:
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("v.csv", brought.table.to_csv(index=False).encode(), "text/csv").run()
    assert not app.exception
    return app


@pytest.mark.usefixtures("with_both")
def test_of_two_models_of_histories_one_is_chosen_and_each_answers_its_own_question(brought_visits: BroughtVisits) -> None:
    app = with_visits(brought_visits)
    first = listed(app)
    assert "Range of the models" in first
    app.session_state["patients_history_model"] = "elsewhere"
    app.run()
    assert not app.exception
    second = listed(app)
    assert "Range of the models" not in second
    assert "CIN3+ in 5 years" not in second
    assert second["CIN2+ in 3 years"].dropna().is_monotonic_decreasing
    assert set(second["CIN2+ in 3 years"].dropna()) != set(first["CIN2+ in 3 years"].dropna())
    assert "one model: no range" in [metric.delta for metric in app.metric]
    turn_to(app, "patients_view", "Why")
    assert "they add up to her risk exactly" in texts(app)


def test_the_command_line_asks_the_model_that_is_named(with_both: Path, brought_visits: BroughtVisits, tmp_path: Path) -> None:
    brought_visits.table.to_csv(tmp_path / "v.csv", index=False)
    call = ["patients", str(tmp_path / "v.csv"), "--bundle", str(with_both), "--out", str(tmp_path / "out.csv")]
    assert cervix.cli.main([*call, "--model", "elsewhere"]) == 0
    header = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[0]
    assert PATIENT_ID in header
    assert "risk_cin2," in header
    assert "risk_cin2-3y" not in header


@pytest.mark.usefixtures("_own_home")
def test_every_answer_of_one_without_test_women_says_that_it_is_unevaluated(
    unmeasured_visits: Bundle, brought_visits: BroughtVisits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    activated(unmeasured_visits.root, monkeypatch)
    app = with_visits(brought_visits)
    for view in ("Similar", "What if", "With a slide", "Visits", "Take away", "Why"):
        turn_to(app, "patients_view", view)
        assert not app.exception
        assert UNEVALUATED in texts(app)
    brought_visits.table.to_csv(tmp_path / "v.csv", index=False)
    called = ["patients", str(tmp_path / "v.csv"), "--bundle", str(unmeasured_visits.root), "--out", str(tmp_path / "out.csv")]
    assert cervix.cli.main(called) == 0
    assert UNEVALUATED in (tmp_path / "out.csv").read_text(encoding="utf-8")


@pytest.mark.usefixtures("_own_home")
def test_a_bundle_of_nothing_but_a_booster_opens_every_view_of_the_page(
    wrapped_visits: Bundle, brought_visits: BroughtVisits, monkeypatch: pytest.MonkeyPatch
) -> None:
    activated(wrapped_visits.root, monkeypatch)
    app = with_visits(brought_visits)
    for view in ("Similar", "What if", "With a slide", "Visits", "Take away", "Why"):
        turn_to(app, "patients_view", view)
