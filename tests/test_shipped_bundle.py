"""What is true of the shipped bundle and of its models: the one file of tests that a new bundle may change.

Its figures, its limits, and what its models answer on inputs with a known answer. Everything else about bundles, models and
pages is tested elsewhere and holds for any bundle.
"""

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, verify_bundle
from cervix.bundle.manifest import Manifest, json_schema
from cervix.bundle.sessions import CPU_PROVIDER
from cervix.evaluation.comparison import comparison_table
from cervix.evaluation.heldout import load_predictions
from cervix.evaluation.questions import task_scores
from cervix.patients.history_scoring import score_visits
from cervix.patients.visits import read_visits
from cervix.settings import PROJECT_ROOT
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide

ROOT = PROJECT_ROOT / "bundle"
MODELS = ["slide", "history", "hybrid", "risk-factors", "risk-factors-with-tests"]
THRESHOLDS = {
    "slide cancerous": 0.5,
    "slide scc-versus-ac": 0.5,
    "history cin2-3y": 0.009106062352657318,
    "history cin3-3y": 0.009152265265583992,
    "history cin2-5y": 0.012143332627601922,
    "history cin3-5y": 0.00764195341616869,
    "hybrid cin2-at-biopsy": 0.5174931287765503,
    "hybrid glandular-lesion": 0.1412396878004074,
    "risk-factors biopsy": 0.0691399872303009,
    "risk-factors-with-tests biopsy": 0.029037177562713623,
}
ABSTENTION = {
    "slide novelty": 34.64502716064453,
    "history results_known": 1.0,
    "risk-factors known_share": 0.5,
    "risk-factors-with-tests known_share": 0.5,
}
SLIDE_RULE = (8, 0.1259506205577423, 0.5)


def manifest() -> Manifest:
    """As it is read, without a proof of the files."""
    return Manifest.model_validate_json((ROOT / "manifest.json").read_bytes())


def check() -> None:
    models = manifest().models
    assert {f"{model.id} {item.task}": item.value for model in models for item in model.thresholds} == THRESHOLDS
    assert {f"{model.id} {item.output}": item.limit for model in models for item in model.abstention} == ABSTENTION
    rules = {
        model.id: (rule.minimum_tiles, rule.false_positive_share, rule.novel_share_limit)
        for model in models if (rule := model.slide_rule)
    }  # fmt: skip
    assert rules == {"slide": SLIDE_RULE}


def test_every_limit_beyond_which_a_model_speaks_or_is_silent_is_as_pinned() -> None:
    check()


def test_the_version_is_told_in_the_changelog_and_is_higher_than_all_before() -> None:
    told = manifest()
    assert told.changelog[0].startswith(f"{told.version}: ")
    versions = [tuple(map(int, re.match(r"(\d+)\.(\d+)\.(\d+)", line).groups())) for line in told.changelog]  # type: ignore[union-attr]
    assert versions == sorted(set(versions), reverse=True)


def test_women_of_whom_much_is_known_have_the_risks_that_the_model_gave_when_it_shipped(
    cases_dir: Path, bundle: Bundle
) -> None:
    def risks(name: str) -> pd.Series:
        table = read_visits((cases_dir / "patients" / name).read_bytes())
        return score_visits(table, bundle.session("history")).set_index("patient_id")["risk_cin2-3y"]

    assert risks("x03_histology_not_monotone.csv")["HSIL-no-biopsy"] == pytest.approx(0.890, abs=1e-3)
    found = risks("x01_unused_column_costs_visit.csv")
    assert found[["P1", "P2", "P4"]].tolist() == pytest.approx([0.837] * 3, abs=5e-4)
    assert found["P3"] > 0.83, "only whether she smokes is not known"
    assert risks("x02_genotype_capital_negative.csv")["Q3"] > 0.8
    assert (risks("x05_pandas_float_flags.csv") > 0.6).all()


def test_the_committed_bundle_proves_itself_on_the_provider_that_really_runs(bundle: Bundle) -> None:
    assert set(bundle.sessions) == set(MODELS)
    assert all(check.passed for check in bundle.checks)
    for session in bundle.sessions.values():
        assert session.provider == session.session.get_providers()[0] == CPU_PROVIDER


def test_every_variant_replays_its_golden_vectors_not_only_the_one_that_would_run() -> None:
    checks = verify_bundle(PROJECT_ROOT / "bundle", device="cpu")
    assert {(check.model_id, check.variant.precision) for check in checks} == {
        ("slide", "fp16"), ("slide", "int8"), ("history", "fp32"), ("hybrid", "fp32"),
        ("risk-factors", "fp32"), ("risk-factors-with-tests", "fp32"),
    }  # fmt: skip
    assert all(check.passed for check in checks)


def test_the_cpu_gets_the_int8_variant(bundle: Bundle) -> None:
    assert bundle.session("slide").variant.precision == "int8"
    assert bundle.session("slide").device_label == "CPU, int8"


def test_shipped_variants_agree_with_fp32_on_at_least_995_of_1000_test_tiles_and_rank_as_well(bundle: Bundle) -> None:
    for variant in bundle.session("slide").model.variants:
        assert variant.difference is not None
        assert variant.difference.agreement >= 0.995
        assert variant.difference.auroc_difference >= -0.002


def test_the_whole_bundle_is_at_most_60_megabytes_and_holds_no_pickle() -> None:
    files = [path for path in (PROJECT_ROOT / "bundle").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 60_000_000
    assert {path.suffix for path in files} <= {".json", ".md", ".onnx", ".npz", ".parquet", ".csv"}


def test_the_published_schema_is_the_one_the_code_enforces() -> None:
    assert (ROOT / "manifest.schema.json").read_text(encoding="utf-8") == json_schema()


def test_the_committed_manifest_follows_the_published_schema() -> None:
    schema = json.loads((ROOT / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((ROOT / "manifest.json").read_text(encoding="utf-8")), schema)


def test_every_model_names_its_data_with_licence_citation_and_split(bundle: Bundle) -> None:
    for model in bundle.manifest.models:
        for data in model.training_data:
            assert data.licence
            assert data.citation
        assert set(model.training_data[0].counts) >= {"train", "validation", "test"}


def test_the_slide_model_says_that_it_was_trained_on_lung(bundle: Bundle) -> None:
    assert "lung" in " ".join(bundle.manifest.model("slide").limits)


def test_tile_splits_are_about_60_20_20_by_source_image(bundle: Bundle) -> None:
    groups = bundle.manifest.model("slide").training_data[0].groups
    total = sum(groups.values())
    assert groups["train"] / total == pytest.approx(0.6, abs=0.02)
    assert groups["validation"] / total == pytest.approx(0.2, abs=0.02)
    assert groups["test"] / total == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("model_id", ["slide", "hybrid", "risk-factors", "risk-factors-with-tests"])
def test_the_held_out_predictions_of_the_bundle_are_probabilities(bundle: Bundle, model_id: str) -> None:
    model = bundle.session(model_id).model
    frame = load_predictions(bundle, model)
    probabilities = frame[[f"p_{label}" for label in model.class_ids]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert set(frame["label"]) == set(model.class_ids)
    assert frame["case"].is_unique
    assert len(frame) == sum(model.training_data[0].counts["test"].values())
    assert frame["group"].nunique() == model.training_data[0].groups["test"]


def test_the_history_model_is_evaluated_on_test_women_followed_to_the_end(bundle: Bundle) -> None:
    model = bundle.session("history").model
    frame = load_predictions(bundle, model)
    women = sum(model.training_data[0].counts["test"].values())
    assert frame["case"].is_unique
    assert 0.9 * women < len(frame) < women
    assert set(frame["label"]) <= set(model.class_ids)


def test_every_baseline_that_the_manifest_names_has_predictions(bundle: Bundle) -> None:
    for model in bundle.manifest.models:
        frame = load_predictions(bundle, model)
        for baseline in model.evaluation.baselines:
            for task in model.derived_tasks:
                assert np.isfinite(task_scores(frame, task, baseline=baseline.id).score).all()


def test_published_figures_are_as_published_without_an_interval_of_ours(bundle: Bundle) -> None:
    model = bundle.session("slide").model
    task = next(task for task in model.derived_tasks if task.id == "scc-versus-ac")
    published = comparison_table(bundle, model, task).iloc[-1]
    assert published["accuracy"] == "98.26 %"
    assert published["specificity"] == "–"
    assert published["n"] == "not stated"


def test_always_no_is_right_most_of_the_time_and_finds_nobody(bundle: Bundle) -> None:
    model = bundle.session("risk-factors").model
    row: pd.Series = comparison_table(bundle, model, model.derived_tasks[0]).set_index("source").loc["Always no"]
    assert float(row["accuracy"].split()[0]) > 85
    assert row["recall"].startswith("0.0 %")
    assert row["precision"] == "–"
    assert row["auroc"].startswith("50.0 %")


@pytest.mark.parametrize("model_id", ["risk-factors", "risk-factors-with-tests"])
def test_a_leaky_0_99_is_named_as_such_wherever_it_is_quoted(bundle: Bundle, model_id: str) -> None:
    model = bundle.session(model_id).model
    quoted = [figure.source for figure in model.evaluation.published if figure.value >= 0.99]
    assert all("before the split" in source for source in quoted)
    assert bool(quoted) == (model_id == "risk-factors-with-tests")


def test_the_real_slide_scores_and_an_unknown_tissue_is_not_answered(data_dir: Path, bundle: Bundle) -> None:
    summary = score_slide(open_slide(data_dir / "slides/CMU-1-Small-Region.svs"), bundle).summary
    assert summary.answer.tiles == 56
    assert summary.answer.verdict == "abstained"
    assert "not recognised by the model" in summary.answer.reason
    assert summary.provenance.provider == "CPU, int8"


def test_real_carcinoma_tiles_pasted_into_a_slide_are_called(carcinoma_slide: Path, bundle: Bundle) -> None:
    answer = score_slide(open_slide(carcinoma_slide), bundle).summary.answer
    assert (answer.verdict, answer.headline) == ("cancer", "Squamous-cell carcinoma")
    assert answer.cancerous_share is not None
    assert answer.cancerous_share.low > 0.161
