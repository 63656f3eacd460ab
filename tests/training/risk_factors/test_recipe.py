"""The risk-factor recipe on the real table, with epochs few enough for a test."""

import io
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from cervix.bundle.loading import replay_golden
from cervix.bundle.manifest import Model
from cervix.bundle.sessions import CPU_PROVIDER, ModelSession, open_session
from cervix.errors import PatientFileError
from cervix.patients.scoring import BIOPSY_TASK, feature_array
from cervix.patients.vocabulary import OTHER_TESTS, RISK_FACTORS

pytestmark = [pytest.mark.training, pytest.mark.slow]
tensorflow = pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.data.splits import check_no_leak, grouped_split  # noqa: E402
from training.data.uci import RiskTable, load_risk_table  # noqa: E402
from training.risk_factors.recipe import GOLDEN_ROWS, fit_risk_lstm, train_risk_factors  # noqa: E402
from training.shared.manifest_parts import SIGNIFICANT_BITS  # noqa: E402

RECIPE = Path(__file__).parents[3] / "training/recipes/risk-factors.toml"
IDS = ["risk-factors", "risk-factors-with-tests"]
TESTS = [column.name for column in OTHER_TESTS]
FACTORS = [column.name for column in RISK_FACTORS]
ALL_INPUTS = [*FACTORS, *TESTS]


@pytest.fixture(scope="session")
def table_csv(data_dir: Path) -> Path:
    return data_dir / "tables/uci_risk_factors_cervical_cancer.csv"


@pytest.fixture(scope="session")
def table(table_csv: Path) -> RiskTable:
    return load_risk_table(table_csv, ALL_INPUTS)


@pytest.fixture(scope="session")
def quick_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped recipe, but 2 epochs, 4 units and 3 folds."""
    text = RECIPE.read_text(encoding="utf-8")
    for slow, quick in (
        ("epochs = 300", "epochs = 2"),
        ("units = 16", "units = 4"),
        ("folds = 5", "folds = 3"),
        ("repeats = 5 ", "repeats = 1 "),
    ):
        assert slow in text
        text = text.replace(slow, quick)
    path = tmp_path_factory.mktemp("recipe") / "quick.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(table_csv: Path, quick_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Model], Path]:
    out = tmp_path_factory.mktemp("risk")
    return train_risk_factors(quick_recipe, table_csv, out, lambda message: None), out  # noqa: ARG005


@pytest.fixture(params=IDS)
def model(request: pytest.FixtureRequest, trained: tuple[list[Model], Path]) -> Model:
    return next(model for model in trained[0] if model.id == request.param)


@pytest.fixture
def session(model: Model, trained: tuple[list[Model], Path]) -> ModelSession:
    content = (trained[1] / model.variants[0].file).read_bytes()
    return ModelSession(model, model.variants[0], open_session(content, CPU_PROVIDER), CPU_PROVIDER)


@pytest.fixture
def predictions(model: Model, trained: tuple[list[Model], Path]) -> pd.DataFrame:
    return pd.read_parquet(trained[1] / model.measured.predictions)


def assigned_splits(table: RiskTable) -> "np.ndarray[Any, np.dtype[np.str_]]":
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    labels = np.where(table.positive, "yes", "no")
    return grouped_split(labels, table.groups, tenths=tuple(recipe["data"]["tenths"]), seed=recipe["seed"], mixed=True)


def test_exact_duplicates_are_removed_and_counted(table: RiskTable) -> None:
    assert (len(table.frame), table.duplicates_removed, int(table.positive.sum())) == (835, 23, 54)
    assert not table.frame.duplicated().any()


def test_rows_with_equal_inputs_share_a_group_whatever_their_outcome(tmp_path: Path, table_csv: Path) -> None:
    lines = table_csv.read_text().splitlines()
    outcome = lines[1].rsplit(",", 1)
    twin = f"{outcome[0]},{1 - int(outcome[1])}"
    path = tmp_path / "twin.csv"
    path.write_text("\n".join([*lines, twin]))
    with_twin = load_risk_table(path, ALL_INPUTS)
    assert with_twin.groups[0] == with_twin.groups[-1]
    assert with_twin.positive[0] != with_twin.positive[-1]


def test_rows_that_share_a_group_have_equal_inputs(table: RiskTable) -> None:
    inputs = table.frame.drop(columns="Biopsy")
    shared = [group for group, count in Counter(table.groups.tolist()).items() if count > 1]
    assert all(len(inputs[table.groups == group].drop_duplicates()) == 1 for group in shared)


def test_rows_that_differ_in_what_a_model_does_not_read_share_its_group(table_csv: Path, table: RiskTable) -> None:
    """Four sets of rows are equal in every risk factor and differ in the three tests."""
    of_factors = load_risk_table(table_csv, FACTORS)
    inputs = of_factors.frame[FACTORS]
    assert of_factors.frame.equals(table.frame)
    assert len(set(of_factors.groups)) == len(inputs.drop_duplicates()) == 831
    assert len(set(table.groups)) == 835


def test_a_table_without_an_outcome_is_not_trained_on(tmp_path: Path, table_csv: Path) -> None:
    header, first, *_ = table_csv.read_text().splitlines()
    path = tmp_path / "gap.csv"
    path.write_text(f"{header}\n{first.rsplit(',', 1)[0]},?\n")
    with pytest.raises(PatientFileError, match="outcome of every row"):
        load_risk_table(path, ALL_INPUTS)


def test_no_row_of_the_test_split_or_its_twin_was_trained_on(table_csv: Path, model: Model, predictions: pd.DataFrame) -> None:
    assert model.features is not None
    table = load_risk_table(table_csv, model.features.names)
    splits = assigned_splits(table)
    check_no_leak(splits, table.groups)
    expected = table.frame.index[splits == "test"].astype(str)
    assert predictions["case"].tolist() == expected.tolist()
    assert not set(predictions["group"]) & set(table.groups[splits != "test"])


def test_the_predictions_are_what_the_exported_graph_says_of_the_test_rows(
    table: RiskTable, predictions: pd.DataFrame, session: ModelSession
) -> None:
    assert session.model.features is not None
    rows = table.frame.loc[predictions["case"].astype(int)]
    risk = session.run({"features": feature_array(rows, session.model.features.names)})["risk"]
    np.testing.assert_allclose(predictions["p_yes"], risk, atol=1e-5, rtol=2.0**-SIGNIFICANT_BITS)
    np.testing.assert_array_equal(predictions["label"], np.where(rows["Biopsy"] == 1, "yes", "no"))


def test_every_pair_of_probabilities_sums_to_one(predictions: pd.DataFrame) -> None:
    for prefix in ("", "always-no__", "logistic__"):
        np.testing.assert_allclose(
            predictions[f"{prefix}p_no"] + predictions[f"{prefix}p_yes"], 1.0, atol=2.0**-SIGNIFICANT_BITS
        )
        assert predictions[f"{prefix}p_yes"].between(0, 1).all()
    assert predictions["always-no__p_yes"].nunique() == 1
    assert predictions["logistic__p_yes"].nunique() > 50


def test_only_the_second_model_reads_the_other_tests_and_none_reads_the_outcome(trained: tuple[list[Model], Path]) -> None:
    inputs = [model.features.names for model in trained[0] if model.features]
    assert [model.id for model in trained[0]] == IDS
    assert inputs == [FACTORS, ALL_INPUTS]


def test_the_graph_has_the_declared_signature_and_no_loop(model: Model, trained: tuple[list[Model], Path]) -> None:
    assert model.features is not None
    graph = onnx.load(trained[1] / model.variants[0].file).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    count = len(model.features.names)
    assert shapes == {"features": ["N", 1, count], "risk": ["N"], "logit": ["N"], "known_share": ["N"]}
    assert "Loop" not in {node.op_type for node in graph.node}


def test_the_risk_is_the_sigmoid_of_the_logit_and_missing_values_give_numbers(session: ModelSession) -> None:
    assert session.model.features is not None
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 40, (50, 1, len(session.model.features.names))).astype(np.float32)
    rows[rng.random(rows.shape) < 0.5] = np.nan
    rows[0] = np.nan
    out = session.run({"features": rows})
    np.testing.assert_allclose(out["risk"], 1 / (1 + np.exp(-out["logit"])), atol=1e-6)
    np.testing.assert_allclose(out["known_share"], (~np.isnan(rows)).mean(axis=(1, 2)), atol=1e-6)
    assert np.isfinite(out["risk"]).all()


def test_not_known_and_the_training_median_are_told_apart(table: RiskTable, session: ModelSession) -> None:
    """Imputation alone would make them equal; the mask keeps "not known" its own value."""
    assert session.model.features is not None
    names = session.model.features.names
    train = table.frame[assigned_splits(table) == "train"]
    median = train[names].median().fillna(0).to_numpy(np.float32)[None, None, :]
    hidden = median.copy()
    hidden[0, 0, names.index("Smokes")] = np.nan
    logits = session.run({"features": np.concatenate([median, hidden])})["logit"]
    assert logits[0] != logits[1]


def test_the_golden_vectors_replay_and_break_when_they_are_altered(
    session: ModelSession, trained: tuple[list[Model], Path]
) -> None:
    content = (trained[1] / session.model.golden).read_bytes()
    assert replay_golden(session, content).passed
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive.items())
    assert arrays["input:features"].shape[0] == GOLDEN_ROWS
    arrays["fp32:risk"] = arrays["fp32:risk"] + np.float32(0.01)
    altered = io.BytesIO()
    np.savez(altered, **arrays)
    assert not replay_golden(session, altered.getvalue()).passed


def test_no_golden_row_is_a_row_of_the_table(table: RiskTable, model: Model, trained: tuple[list[Model], Path]) -> None:
    assert model.features is not None
    with np.load(trained[1] / model.golden) as archive:
        golden = archive["input:features"][:, 0]
    real = {row.tobytes() for row in table.frame[model.features.names].to_numpy(np.float32)}
    assert not [row for row in golden if row.tobytes() in real]


def test_the_entry_survives_the_manifest_and_says_what_a_reader_must_know(
    model: Model, trained: tuple[list[Model], Path]
) -> None:
    assert Model.model_validate(json.loads(model.model_dump_json())) == model
    assert 0 < model.threshold(BIOPSY_TASK) < 1
    assert {figure.value for figure in model.measured.published if "another data set" in figure.source} == {0.945, 0.937}
    (source,) = model.training_data
    assert (source.nature, source.licence) == ("real", "CC BY 4.0")
    assert "10.24432/C5Z310" in source.citation
    assert sum(sum(counts.values()) for counts in source.counts.values()) == 835
    text = " ".join([*model.limits, *model.measured.notes])
    for needed in ("single time step", "Prior diagnoses", "cross-validation", "54 positive biopsies"):
        assert needed in text
    tables = {table.id: pd.read_csv(trained[1] / table.file) for table in model.measured.tables}
    assert tables["cross-validation"]["n"].str.startswith("835 rows, 54 positive").all()
    assert (tables["leakage"]["leaked"] == "LEAKED").sum() == 3


def test_the_leaky_figure_stands_beside_the_model_that_invites_it_alone(trained: tuple[list[Model], Path]) -> None:
    leaky = [[figure for figure in model.measured.published if figure.value == 0.99] for model in trained[0]]
    assert [len(figures) for figures in leaky] == [0, 1]
    assert "before the split" in leaky[1][0].source


def test_medians_and_scales_come_from_the_training_rows_alone(table: RiskTable, quick_recipe: Path) -> None:
    recipe = tomllib.loads(quick_recipe.read_text(encoding="utf-8"))
    splits = assigned_splits(table)
    names = [column.name for column in RISK_FACTORS]
    features = feature_array(table.frame, names)
    altered = features.copy()
    altered[splits == "test"] = 1e3
    train, validation = splits == "train", splits == "validation"
    first, second = (fit_risk_lstm(rows, table.positive, train, validation, recipe) for rows in (features, altered))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    prepare = next(layer for layer in first.layers if hasattr(layer, "median"))
    expected = np.nan_to_num(np.nanmedian(features[train][:, 0, :4], axis=0))
    np.testing.assert_allclose(prepare.median[:4], expected)


def test_a_table_that_is_not_the_risk_factor_table_is_refused(tmp_path: Path, quick_recipe: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(PatientFileError, match="not that of the risk-factor table"):
        train_risk_factors(quick_recipe, path, tmp_path, print)
