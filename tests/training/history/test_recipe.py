"""The history recipe on a small cohort: outcomes known in part, one graph, honest tables."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from cervix.bundle.loading import replay_golden
from cervix.bundle.manifest import Model
from cervix.bundle.published_risks import GRADES, YEARS, published_risks_in
from cervix.bundle.sessions import CPU_PROVIDER, ModelSession, open_session
from cervix.patients.encoding import encoding_named
from cervix.patients.guideline import LADDER
from cervix.patients.history_scoring import score_visits, trajectory
from cervix.patients.sequences import encode
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits

pytestmark = [pytest.mark.training, pytest.mark.slow]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.history_small import NAMES, write_small_cohort  # noqa: E402
from tests.training.recipes import declared_in  # noqa: E402
from training.data.splits import EventError  # noqa: E402
from training.history import recipe as history_module  # noqa: E402
from training.history.data import CLASSES, EARLY, SPLITS, load_history_data, outcomes_of  # noqa: E402
from training.history.fit import HistoryBatches  # noqa: E402
from training.history.graph import HistoryGraph  # noqa: E402
from training.hybrid import recipe as hybrid  # noqa: E402
from training.hybrid.pairs import Pairs  # noqa: E402
from training.shared.declared import declared_tasks  # noqa: E402

PUBLISHED = "tables/asccp_2019_risks.csv"
SHARES = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}
RECIPE = """
name = "history"
seed = 5
[data]
shares = { train = 0.6, validation = 0.1, calibration = 0.1, test = 0.2 }
features = ["age", "cytology_squamous", "cytology_glandular", "hpv", "colposcopy", "histology", "treatment"]
[train]
loss = "cross-entropy"
epochs = 6
patience = 3
patience_rate = 1
earlier_visits = 1.0
tests_only_share = 0.5
members = 2
[search]
trials = 1
epochs = 1
women = 200
units = [8, 8]
learning_rate = [1e-2, 2e-2]
dropout = [0.0, 0.1]
batch_sizes = [64]
[abstention]
results_at_least = 1
[calibration]
ece_at_most = 0.003
observed_expected = [0.85, 1.15]
p_at_least = 0.01
[background]
women = 5
[rehearsal]
train_women = 150

""" + declared_in("history")
TASKS = declared_tasks(tomllib.loads(RECIPE))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> tuple[Model, Path, list[str]]:
    out = tmp_path_factory.mktemp("history")
    write_small_cohort(out / "cohort", 1500)
    recipe = out / "history.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "make_cohort", lambda *_, **__: None)
        (model,) = history_module.train_history(recipe, Path("unused"), 1500, 0, data_dir / PUBLISHED, out, lines.append)
    return model, out, lines


@pytest.fixture
def session(trained: tuple[Model, Path, list[str]]) -> ModelSession:
    model, out, _ = trained
    content = (out / model.variants[0].file).read_bytes()
    return ModelSession(model, model.variants[0], open_session(content, CPU_PROVIDER), CPU_PROVIDER)


class TestOutcomes:
    def outcome(self, to_cin2: float, to_cin3: float, observed: float) -> tuple[str, set[str], bool]:
        found = outcomes_of(np.array([to_cin2]), np.array([to_cin3]), np.array([observed]))
        possible = {name for name, may in zip(CLASSES, found.possible[0], strict=True) if may}
        return CLASSES[found.label[0]], possible, bool(found.complete[0])

    def test_who_was_followed_has_one_course(self) -> None:
        assert self.outcome(np.inf, np.inf, 9) == ("none", {"none"}, True)
        assert self.outcome(0, 0, 9) == ("cin2-0y-cin3-0y", {"cin2-0y-cin3-0y"}, True)
        assert self.outcome(0, 0.5, 9) == ("cin2-0y-cin3-1y", {"cin2-0y-cin3-1y"}, True)
        assert self.outcome(1, 2, 9) == ("cin2-1y-cin3-3y", {"cin2-1y-cin3-3y"}, True)
        assert self.outcome(2, 4, 9) == ("cin2-3y-cin3-5y", {"cin2-3y-cin3-5y"}, True)
        assert self.outcome(2, 7, 9) == ("cin2-3y", {"cin2-3y"}, True)
        assert self.outcome(4, 9, 9) == ("cin2-5y", {"cin2-5y"}, True)

    def test_who_was_lost_at_once_without_disease_may_have_taken_any_course_but_those_at_once(self) -> None:
        assert self.outcome(np.inf, np.inf, 0)[1:] == ({name for name in CLASSES if "-0y" not in name}, False)

    def test_who_was_lost_after_four_years_without_disease_may_only_have_it_later(self) -> None:
        assert self.outcome(np.inf, np.inf, 4)[1] == {"none", "cin2-5y", "cin2-5y-cin3-5y"}

    def test_who_had_cin2_before_she_was_lost_may_have_any_cin3_after(self) -> None:
        assert self.outcome(1, 2.5, 2)[1] == {"cin2-1y", "cin2-1y-cin3-5y", "cin2-1y-cin3-3y"}

    def test_the_true_course_is_always_possible(self) -> None:
        rng = np.random.default_rng(0)
        to_cin2 = np.where(rng.random(500) < 0.5, rng.uniform(0, 8, 500), np.inf)
        found = outcomes_of(to_cin2, to_cin2 + rng.uniform(2.1, 4, 500), rng.uniform(0, 8, 500))
        assert found.possible[np.arange(500), found.label].all()

    def test_the_questions_nest(self) -> None:
        positives = {task.id: set(task.positive) for task in TASKS}
        assert positives["cin3-3y"] < positives["cin2-3y"] < positives["cin2-5y"]
        for grade in ("cin2", "cin3"):
            at_once, *later = (positives[f"{grade}-{years}y"] for years in (0, 1, 3, 5))
            assert at_once < later[0] < later[1] < later[2]
        assert all(positives[f"cin3-{years}y"] < positives[f"cin2-{years}y"] for years in (0, 1, 3, 5))
        assert all(set(task.positive) | set(task.negative) == set(CLASSES) for task in TASKS)
        assert positives["cin2-3y"] == set(EARLY), "the event that training counts is that of the main question"


def test_a_cohort_with_too_few_events_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_small_cohort(tmp_path, 60)
    with pytest.raises(EventError, match="at least 50"):
        load_history_data(tmp_path, NAMES, SHARES, 0)


def test_every_woman_is_in_one_split(tmp_path: Path) -> None:
    write_small_cohort(tmp_path, 1500)
    data = load_history_data(tmp_path, NAMES, SHARES, 0)
    assert sorted(np.concatenate([data.women(split) for split in SPLITS])) == list(range(1500))
    assert len(data.women("test")) == 300


def test_the_graph_holds_no_loop_and_names_its_dimensions(trained: tuple[Model, Path, list[str]]) -> None:
    model, out, _ = trained
    graph = onnx.load(out / model.variants[0].file).graph
    assert {"Loop", "Scan", "If"}.isdisjoint(node.op_type for node in graph.node)
    assert sum(node.op_type == "LSTM" for node in graph.node) == 2
    shapes = {value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input}
    assert shapes == {"features": ["N", "V", 7], "gap_years": ["N", "V", 7], "lengths": ["N"]}


def test_it_equals_keras_and_its_golden_vectors(trained: tuple[Model, Path, list[str]], session: ModelSession) -> None:
    model, out, _ = trained
    assert any("largest difference to Keras" in note or "between graph and Keras" in note for note in model.measured.notes)
    assert replay_golden(session, (out / model.golden).read_bytes()).passed


def test_padding_changes_no_answer(session: ModelSession) -> None:
    histories = encode(read_visits(sample_visits_csv().encode()).frame, encoding_named(NAMES), None)
    together = session.run(histories.padded(np.arange(len(histories))))
    for woman in range(len(histories)):
        alone = session.run(histories.padded(np.array([woman])))
        assert together["probabilities"][woman] == pytest.approx(alone["probabilities"][0], abs=1e-6)
        length = histories.lengths[woman]
        assert together["trajectory"][woman, :length] == pytest.approx(alone["trajectory"][0], abs=1e-6)


def test_the_trajectory_is_what_the_history_until_then_says(session: ModelSession) -> None:
    histories = encode(read_visits(sample_visits_csv().encode()).frame, encoding_named(NAMES), None)
    woman = int(histories.lengths.argmax())
    rows = np.arange(histories.first[woman], histories.first[woman] + histories.lengths[woman])
    prefixes = histories.prefixes(rows)
    probabilities = session.run(prefixes.padded(np.arange(len(prefixes))))["probabilities"]
    main = [CLASSES.index(name) for name in TASKS[0].positive]
    assert trajectory(histories, woman, session) == pytest.approx(probabilities[:, main].sum(axis=1), abs=1e-6)


def test_risks_are_coherent_and_a_woman_of_whom_nothing_is_known_gets_none(session: ModelSession) -> None:
    scores = score_visits(read_visits(sample_visits_csv().encode()), session)
    known, proven = scores[~scores["abstained"]], scores["known_diagnosis"] != ""
    assert (known["risk_cin3-3y"] <= known["risk_cin2-3y"] + 1e-6).all()
    assert (known["risk_cin2-3y"] <= known["risk_cin2-5y"] + 1e-6).all()
    assert (known["lowest"] <= known["highest"]).all()
    assert (scores["abstained"] & ~proven).sum() == 1
    assert scores.loc[scores["abstained"], "risk_cin2-3y"].isna().all()


def test_it_learns_that_persistent_hpv_is_a_risk(session: ModelSession) -> None:
    header = "patient_id,visit_date,age,cytology,hpv_result\n"
    results = {"A": "NILM,negative", "B": "HSIL,positive"}
    rows = [f"{who},{year}-01-01,35,{told}" for who, told in results.items() for year in (2018, 2020, 2022)]
    scores = score_visits(read_visits((header + "\n".join(rows).replace(",35,", ",,")).encode()), session)
    assert scores["risk_cin2-3y"].iloc[1] > 3 * scores["risk_cin2-3y"].iloc[0]


def test_tables_compare_with_every_rival_and_test_the_calibration(trained: tuple[Model, Path, list[str]]) -> None:
    model, out, _ = trained
    tables: dict[str, Any] = {table.id: pd.read_csv(out / table.file) for table in model.measured.tables}
    assert len(tables["comparison"]) == 6
    assert {"trials", "calibration", "comparison"} == set(tables)
    assert {test.task for test in model.calibration.tests} == {"cin2-3y", "cin3-0y", "cin3-3y", "cin3-5y"}
    for test in model.calibration.tests:
        low, value, high = test.observed_expected[1], test.observed_expected[0], test.observed_expected[2]
        assert low <= value <= high
        assert model.calibration.passed(test.task) == test.passed


def test_the_background_set_has_the_shape_of_the_inputs(trained: tuple[Model, Path, list[str]], session: ModelSession) -> None:
    model, out, _ = trained
    assert model.background is not None
    with np.load(out / model.background) as background:
        assert len(session.run(dict(background))["probabilities"]) == 5


def test_it_is_held_against_published_risks(trained: tuple[Model, Path, list[str]]) -> None:
    model, out, _ = trained
    assert model.measured.published_risks is not None
    table = published_risks_in((out / model.measured.published_risks).read_bytes(), model.measured.published_risks)
    assert len(table) == 168
    for grade in GRADES:
        risks = table[[f"model_{grade}_{years}" for years in YEARS]].to_numpy()
        assert (np.diff(risks, axis=1) >= -1e-9).all(), "later is never less"
    assert (table["model_cin2_5"] >= table["model_cin3_5"]).all()
    of_hsil, of_nilm = (
        table.loc[(table["kind"] == "current test") & (table["cytology"] == smear), "model_cin3_5"].mean()
        for smear in ("HSIL+", "NILM")
    )
    assert of_hsil > of_nilm
    assert {"boosting_cin3_5", "logistic_cin3_0"} <= set(table)
    assert set(table["model_step"]) <= {rung.action for rung in LADDER}


def test_the_history_of_a_visit_with_tests_only_hides_the_work_up_and_nothing_else(tmp_path: Path) -> None:
    write_small_cohort(tmp_path, 1500)
    data = load_history_data(tmp_path, NAMES, SHARES, 0)
    rows = np.flatnonzero(data.worked_up)[:50]
    cut, whole = data.with_tests_only(rows, NAMES), data.histories.prefixes(rows)
    hidden = [NAMES.index(name) for name in ("colposcopy", "histology", "treatment")]
    for at in range(len(rows)):
        one, other = cut.padded(np.array([at])), whole.padded(np.array([at]))
        last = one["lengths"][0] - 1
        assert np.isnan(one["features"][0, last, hidden]).all()
        assert not np.isnan(other["features"][0, last, hidden]).all()
        other["features"][0, last, hidden] = np.nan
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])


def test_in_every_epoch_other_histories_end_before_a_work_up(tmp_path: Path) -> None:
    write_small_cohort(tmp_path, 1500)
    data = load_history_data(tmp_path, NAMES, SHARES, 0)
    batches = HistoryBatches(data, data.women("train"), 64, 0, NAMES, {"earlier_visits": 1.0, "tests_only_share": 0.5})
    seen = []
    for _ in range(3):
        (features, _), possible, weight = batches[0]
        assert possible.any(axis=2)[weight > 0].all()
        seen.append(np.isnan(features).sum())
        batches.on_epoch_end()
    assert len(set(seen)) > 1


def test_an_interrupted_run_reads_its_members_back(trained: tuple[Model, Path, list[str]], data_dir: Path) -> None:
    model, out, _ = trained
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "make_cohort", lambda *_, **__: None)
        (again,) = history_module.train_history(
            out / "history.toml", Path("unused"), 1500, 0, data_dir / PUBLISHED, out, lines.append
        )
    assert sum("finished before" in line for line in lines) == 4
    assert again.calibration == model.calibration


def test_the_hybrid_reads_its_networks_back_and_refuses_those_of_another_cohort(trained: tuple[Model, Path, list[str]]) -> None:
    model, out, _ = trained
    exported = (out / model.variants[0].file).read_bytes()
    data = load_history_data(out / "cohort", NAMES, SHARES, 5)
    members = [history_module.network_as_exported(network, data, NAMES) for network in HistoryGraph(exported).networks]
    women = len(data.histories)
    names = data.histories.patient_ids.astype(str)
    pairs = Pairs(data.histories, np.zeros(women, np.int64), np.zeros((women, 512), np.float32), names, names)
    states = hybrid.ensemble_states(members, pairs)
    assert states.shape == (women, 2 * 8)
    hybrid.refuse_other_history(states, exported, pairs)
    with pytest.raises(RuntimeError, match="another cohort"):
        hybrid.refuse_other_history(states + np.float32(0.01), exported, pairs)
