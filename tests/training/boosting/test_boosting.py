"""The boosting recipe on a small cohort: the history model's women, their splits, and a graph that answers as its trees do."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("lightgbm", reason="the boosting needs LightGBM: pip install -r requirements-wrap.txt")

from cervix.bundle.loading import replay_golden  # noqa: E402
from cervix.bundle.manifest import MANIFEST_NAME, Manifest, Model  # noqa: E402
from cervix.bundle.sessions import CPU_PROVIDER, ModelSession, open_session  # noqa: E402
from cervix.errors import BundleError  # noqa: E402
from cervix.patients.guideline import why_no_ladder  # noqa: E402
from cervix.patients.history_scoring import score_visits  # noqa: E402
from cervix.patients.visit_sample import sample_visits_csv  # noqa: E402
from cervix.patients.visits import read_visits  # noqa: E402
from cervix.settings import PROJECT_ROOT  # noqa: E402
from tests.training.history_small import write_small_cohort  # noqa: E402
from training.boosting.data import CIN2, CIN3, CLASSES, HistoryFiles, boosting_data  # noqa: E402
from training.boosting.recipe import asked_of, train_boosting  # noqa: E402
from training.boosting.rows import summary_rows  # noqa: E402
from training.cli import RECIPES_DIR, main  # noqa: E402
from training.history.data import CLASSES as COURSES  # noqa: E402
from training.history.data import load_history_data  # noqa: E402
from training.history.rehearsal import chosen_women, write_history_rehearsal  # noqa: E402

RECIPE = RECIPES_DIR / "history-boosting.toml"
SHARES = {"train": 0.5, "validation": 0.1, "calibration": 0.2, "test": 0.2}
WOMEN = 1300
SIMPLE = [f"always-no__{task}" for task in (CIN2, CIN3)]


def quick_recipe() -> str:
    """The recipe with one choice of settings and few rounds."""
    text = RECIPE.read_text(encoding="utf-8")
    for slow, quick in (
        ("leaves_and_least_women = [[4, 50], [8, 50], [4, 200]]", "leaves_and_least_women = [[4, 10]]"),
        ("rounds = 200 ", "rounds = 12 "),
        ("folds = 3", "folds = 2"),
    ):
        assert slow in text
        text = text.replace(slow, quick)
    return text


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> HistoryFiles:
    """What a history model of a small cohort would carry, under the words of the shipped one."""
    folder = tmp_path_factory.mktemp("cohort")
    write_small_cohort(folder, WOMEN)
    entry = Manifest.model_validate_json((PROJECT_ROOT / "bundle" / MANIFEST_NAME).read_bytes()).model("history")
    recipe: dict[str, Any] = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    data = load_history_data(folder, recipe["input"]["columns"], SHARES, 1)
    write_history_rehearsal(folder / "rehearsal.npz", data, chosen_women(data, WOMEN, 1))
    women = data.evaluated("test")
    labels = np.array(COURSES)[data.outcomes.label[data.index_visits(women)]]
    names = data.histories.patient_ids[women].astype(str)
    predictions = pd.DataFrame({"case": names, "group": names, "label": labels})
    predictions[SIMPLE] = 0.1
    predictions[[item.column for item in entry.measured.subgroups]] = "all"
    return HistoryFiles(entry, (folder / "rehearsal.npz").read_bytes(), b"background", predictions)


@pytest.fixture(scope="module")
def made(files: HistoryFiles, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    out = tmp_path_factory.mktemp("boosting")
    (out / "quick.toml").write_text(quick_recipe(), encoding="utf-8")
    (model,) = train_boosting(out / "quick.toml", files, out, lambda _: None)
    return model, out


def session_of(made: tuple[Model, Path]) -> ModelSession:
    model, out = made
    variant = model.variants[0]
    return ModelSession(model, variant, open_session((out / variant.file).read_bytes(), CPU_PROVIDER), CPU_PROVIDER)


def test_predictions_are_of_the_history_models_test_women_one_by_one(made: tuple[Model, Path], files: HistoryFiles) -> None:
    model, out = made
    frame = pd.read_parquet(out / model.measured.predictions)
    assert frame["case"].tolist() == files.predictions["case"].tolist()
    positive = {task.id: task.positive for task in files.model.derived_tasks}
    for task in model.derived_tasks:
        told = frame["label"].isin(task.positive)
        assert told.tolist() == files.predictions["label"].isin(positive[task.id]).tolist()
        assert told.any()
    np.testing.assert_allclose(frame[[f"p_{name}" for name in CLASSES]].sum(axis=1), 1.0, atol=1e-3)
    assert set(SIMPLE) <= set(frame)


def test_the_graph_replays_its_golden_cases_and_ranks_women_it_has_not_seen(made: tuple[Model, Path]) -> None:
    model, out = made
    assert replay_golden(session_of(made), (out / model.golden).read_bytes()).passed
    frame = pd.read_parquet(out / model.measured.predictions)
    risk = frame[["p_cin2-only", "p_cin2-and-cin3"]].sum(axis=1)
    sick = frame["label"].isin(model.main_task.positive)
    assert risk[sick].mean() > 2 * risk[~sick].mean()


def test_it_scores_a_visit_table_as_any_history_model_and_no_guideline_step_rests_on_it(made: tuple[Model, Path]) -> None:
    session = session_of(made)
    scores = score_visits(read_visits(sample_visits_csv(8).encode()), session)
    answered = scores["risk_cin2-3y"].dropna()
    assert len(answered) >= 6, "who has a result"
    assert answered.between(0, 1).all()
    assert why_no_ladder(session.model)


def test_calibration_and_test_women_taught_the_trees_nothing(files: HistoryFiles) -> None:
    data = boosting_data(files)
    others = np.concatenate([data.histories.women("calibration"), data.histories.women("test")])
    assert not set(data.learned_visits()) & set(data.histories.histories.rows_of(others))


def test_a_finished_fit_is_read_back(files: HistoryFiles, made: tuple[Model, Path]) -> None:
    said: list[str] = []
    (again,) = train_boosting(made[1] / "quick.toml", files, made[1], said.append)
    assert any("read back" in line for line in said)
    assert again == made[0]


def test_predictions_of_other_women_are_refused(files: HistoryFiles) -> None:
    shuffled = files.predictions.iloc[::-1]
    with pytest.raises(BundleError, match="not of the test women"):
        boosting_data(HistoryFiles(files.model, files.rehearsal, files.background, shuffled))


def test_a_row_tells_what_the_visits_do(files: HistoryFiles) -> None:
    asked, data = asked_of(tomllib.loads(quick_recipe())), boosting_data(files)
    histories = data.histories.histories
    rows = pd.DataFrame(summary_rows(histories, asked), columns=asked.input.summaries)
    at = files.model.features.names.index("hpv") if files.model.features else 0
    for woman in (0, 17, len(histories) - 1):
        values = histories.features[histories.rows_of(np.array([woman])), at]
        known = values[~np.isnan(values)]
        assert rows.loc[woman, "last hpv"] == known[-1]
        assert rows.loc[woman, "max hpv"] == known.max()
        assert rows.loc[woman, "count-of hpv"] == len(known)


def test_a_bundle_and_the_folder_of_a_build_give_the_same_women() -> None:
    root = PROJECT_ROOT / "bundle"
    bundled = HistoryFiles.of_bundle(root)
    built = HistoryFiles.of_parts(bundled.model, root)
    assert (built.rehearsal, built.background) == (bundled.rehearsal, bundled.background)
    assert built.predictions.equals(bundled.predictions)


def test_without_the_library_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "training.boosting.recipe", None)
    assert main(["history-boosting", "--out", str(tmp_path)]) == 1
    assert "pip install -r requirements-wrap.txt" in capsys.readouterr().err
