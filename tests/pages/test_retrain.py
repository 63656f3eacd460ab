"""The retrain page in each of its states, with a small program in place of the trainer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cervix.labels import open_store
from cervix.people import Person
from cervix.retraining import RECIPES, Recipe, RetrainingDesk
from cervix.retraining.runs import new_run, write_run
from cervix.settings import get_settings
from tests.labels.making import TILES, filled, label
from tests.pages.opening import open_page, texts
from tests.retraining.stand_in import QUICK, REFUSING, SLOW, an_order, end_what_is_left, eventually, stand_in
from training.cli import _parser

PAGE = "improve/retrain"


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> Iterator[None]:  # noqa: ARG001 - the settings read it
    """Each test has an app home of its own and no network, and leaves nothing running."""
    yield
    end_what_is_left(desk())


@pytest.fixture
def labelled(home: Path) -> None:
    """Five tiles called benign, five squamous, one disputed; no label of a woman."""
    home.mkdir(parents=True)
    with open_store(get_settings().label_store_url) as store:
        filled(store)
        for place, case in enumerate(TILES[:10]):
            label(store, case, "Dr Reed", "scc" if place % 2 else "benign")
        label(store, TILES[10], "Dr Reed", "scc")
        label(store, TILES[10], "Prof Old", "ac")


def trained_by(monkeypatch: pytest.MonkeyPatch, python: Path) -> None:
    monkeypatch.setenv("CERVIX_TRAINING_PYTHON", str(python))
    get_settings.cache_clear()


def desk() -> RetrainingDesk:
    return RetrainingDesk(get_settings().retraining_dir, get_settings().bundles_dir)


def codes(app: AppTest) -> str:
    return "\n".join(str(block.value) for block in app.code)


def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> AppTest:
    trained_by(monkeypatch, stand_in(tmp_path, body))
    app = open_page(PAGE)
    app.button(key="retrain_start").click().run()
    assert not app.exception
    return app


def at_its_end(app: AppTest) -> AppTest:
    eventually(lambda: desk().running() is None)
    app.run()
    assert not app.exception
    return app


def run_buttons(app: AppTest) -> list[str]:
    """The buttons that start or stop a run."""
    return [str(button.key) for button in app.button if str(button.key).startswith(("retrain_start", "retrain_stop"))]


def test_without_labels_the_page_says_so_and_offers_no_run() -> None:
    app = open_page(PAGE)
    assert not app.exception
    assert texts(app).count("Nothing can be retrained yet") == 1
    assert {"retrain_to_label", "retrain_sample"} <= {button.key for button in app.button}
    assert "No tiles have a label that counts yet." in texts(app)
    assert "No women have a label that counts yet." in texts(app)
    assert run_buttons(app) == []


@pytest.mark.usefixtures("labelled")
def test_labels_are_counted_by_class_and_what_cannot_be_retrained_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained_by(monkeypatch, stand_in(tmp_path, QUICK))
    app = open_page(PAGE)
    shown = app.dataframe[0].value.set_index("Label")
    assert shown["Cases"].to_dict() == {
        "Benign": 5, "Squamous-cell carcinoma": 5, "Adenocarcinoma": 0, "Other tissue": 0,
        "No CIN2+ within 3 years": 0, "CIN2+ within 3 years": 0,
    }  # fmt: skip
    assert shown["New"].to_dict() == shown["Cases"].to_dict()
    assert "Disputed, unsure or unusable, and so left out: 1." in texts(app)
    assert "**Risk of CIN2+ and CIN3+ from visits:** No women have" in texts(app)
    assert app.session_state["retrain_models"] == ["slide"]


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("role", ["viewer", "reader"])
def test_who_is_no_admin_sees_the_page_and_cannot_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str) -> None:
    for part in ("order", "runs"):
        monkeypatch.setattr(f"pages.parts.improve.bundles.{part}.person", lambda: Person("Ms Looker", role))  # type: ignore[arg-type]
    trained_by(monkeypatch, stand_in(tmp_path, QUICK))
    app = open_page(PAGE)
    assert not app.exception
    assert f"You are here as a {role}" in texts(app)
    assert app.button(key="retrain_start").disabled


@pytest.mark.usefixtures("labelled")
def test_without_a_training_environment_the_command_is_shown_and_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained_by(monkeypatch, tmp_path / "no-python")
    app = open_page(PAGE)
    app.radio(key="retrain_recipe").set_value("retrain-small").run()
    app.number_input(key="retrain_seed").set_value(7).run()
    assert not app.exception
    assert "This server has no trainer of its own" in texts(app)
    assert "does not name a program that can be run" in texts(app)
    store = f"sqlite:///{get_settings().home / 'labels.sqlite'}"
    assert f"python -m training retrain --labels {store} --from" in codes(app)
    assert "--model slide --recipe retrain-small --seed 7 '--by=local reader'" in codes(app)
    assert "pip install -r requirements-training.txt" in codes(app)
    assert run_buttons(app) == []


@pytest.mark.usefixtures("labelled")
def test_a_recipe_more_is_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(RECIPES, "retrain-long", Recipe("Overnight", "Ten times the epochs."))
    assert vars(_parser().parse_args(["retrain", "--recipe", "retrain-long"]))["recipe"] == "retrain-long"
    trained_by(monkeypatch, tmp_path / "no-python")
    app = open_page(PAGE)
    assert app.radio(key="retrain_recipe").options == ["Full", "Quick try", "Overnight"]
    app.radio(key="retrain_recipe").set_value("retrain-long").run()
    assert "--recipe retrain-long" in codes(app)


@pytest.mark.usefixtures("labelled")
def test_a_run_is_followed_from_its_start_to_the_candidate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = start(monkeypatch, tmp_path, SLOW)
    running = desk().running()
    assert running is not None
    eventually(lambda: "progress" in desk().log_path(running).read_text())
    app.run()
    assert "started by local reader" in texts(app)
    assert "reading 20 labels" in codes(app)
    assert "25% · fitting the head" in app.get("progress")[0].proto.text
    assert run_buttons(app) == ["retrain_stop"]
    (tmp_path / "go-on").touch()
    at_its_end(app)
    assert "**Candidate cervix-demonstration 0.4.1 (0123456789)**" in texts(app)
    assert app.button(key="retrain_compare")
    assert [expander.label.split(" · ")[1:3] for expander in app.expander if "UTC" in expander.label] == [
        ["Candidate made", "slide"]
    ]
    assert app.button(key="retrain_start")


@pytest.mark.usefixtures("labelled")
def test_a_refused_run_says_why_in_the_trainers_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = at_its_end(start(monkeypatch, tmp_path, REFUSING))
    assert "**The last run: refused.** Labels of slide aaaa are of the test group" in app.error[0].value
    assert "error: Labels of slide aaaa" in codes(app)


@pytest.mark.usefixtures("labelled")
def test_a_run_is_stopped_by_an_admin_and_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = start(monkeypatch, tmp_path, SLOW)
    with monkeypatch.context() as looking:
        looking.setattr("pages.parts.improve.bundles.runs.person", lambda: Person("Ms Looker", "viewer"))
        assert run_buttons(open_page(PAGE)) == []
    app.run()
    app.button(key="retrain_stop").click().run()
    at_its_end(app)
    assert "**The last run: stopped.** Stopped by local reader." in texts(app)
    assert list(get_settings().bundles_dir.iterdir()) == []


@pytest.mark.usefixtures("labelled")
def test_a_run_that_ended_with_the_machine_is_interrupted_and_another_can_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained_by(monkeypatch, stand_in(tmp_path, QUICK))
    run = new_run(an_order(tmp_path), get_settings().bundles_dir)
    write_run(get_settings().retraining_dir / run.id, run)
    app = open_page(PAGE)
    assert not app.exception
    assert "**The last run: interrupted.** The trainer ended while no server watched it" in texts(app)
    assert "Its log is empty." in texts(app)
    assert not app.button(key="retrain_start").disabled


@pytest.mark.usefixtures("labelled")
def test_a_run_that_another_session_started_meanwhile_is_not_doubled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained_by(monkeypatch, stand_in(tmp_path, SLOW))
    mine, theirs = open_page(PAGE), open_page(PAGE)
    theirs.button(key="retrain_start").click().run()
    mine.button(key="retrain_start").click().run()
    assert not mine.exception
    assert len(desk().runs()) == 1
    assert "started by local reader" in texts(mine)
    (tmp_path / "go-on").touch()
    at_its_end(mine)


def test_a_password_of_the_label_store_is_not_on_the_page(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    labelled: None,  # noqa: ARG001
) -> None:
    # The store itself is the file of this test; only what the page prints knows the address of a database.
    settings = get_settings().model_copy(
        update={"labels_url": "postgresql://reader:s3cret@db/labels", "training_python": tmp_path / "no-python"}
    )
    monkeypatch.setattr("pages.parts.improve.bundles.order.get_settings", lambda: settings)
    app = open_page(PAGE)
    assert not app.exception
    assert '--labels "$CERVIX_LABELS_URL"' in codes(app)
    assert "s3cret" not in codes(app) + texts(app)
