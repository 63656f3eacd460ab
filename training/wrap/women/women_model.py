"""A table or sequence model from elsewhere to a proved bundle: ``python -m training wrap``."""

import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from cervix.bundle.manifest import UNEVALUATED, FeatureEncoding, GoldenTable, Manifest
from cervix.bundle.sessions import Arrays
from cervix.patients.golden import encoded_table
from cervix.patients.sample import sample_table_csv
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_table
from training.bundle.build import About, assemble_bundle, git_commit
from training.history.golden_table import golden_visits_csv
from training.risk_factors.golden_table import golden_patients_csv
from training.shared.manifest_parts import write_bytes, write_golden, write_golden_table, write_predictions, write_table
from training.shared.stages import Log
from training.wrap.about import described, said_in
from training.wrap.checked import checked
from training.wrap.listed import TEST, VALIDATION
from training.wrap.refusal import WrapRefused
from training.wrap.women.about import AboutWomen, WomenAsked
from training.wrap.women.answer import check_women_answers, find_output, logits_of
from training.wrap.women.entry import WrappedWomen, women_entry
from training.wrap.women.fitting import (
    answers_of,
    calibration_table,
    fit_women,
    probabilities_of,
    rivals_of,
    thresholds_of,
    women_predictions,
)
from training.wrap.women.graph import RAW, raw_women_graph, women_outputs, wrapped_women_graph
from training.wrap.women.loading import read_women_model
from training.wrap.women.rows import LabelledWomen, encoding_of, read_labelled_women

RECIPE = Path(__file__).parents[2] / "recipes/wrap.toml"
SIZE_LIMIT_BYTES = 200_000_000
GOLDEN_WOMEN = 16


def wrap_women_model(
    model_path: Path, about_path: Path, table_path: Path, outcomes_path: Path, out_dir: Path, log: Log
) -> Manifest:  # fmt: skip
    """Make a bundle of somebody's model of a table or of histories, and prove it.

    Parameters
    ----------
    model_path : ``.onnx``
    about_path : ``about.toml``, see ``AboutWomen``
    table_path : women as the app reads them: the risk-factor table with ``patient_id``, or one row a visit
    outcomes_path : ``outcomes.csv``, see ``read_labelled_women``
    out_dir : where the bundle is written; it must not exist

    Raises
    ------
    WrapRefused, LeakError, PatientFileError, BundleError
        Nothing is written then.
    """
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    if out_dir.exists():
        raise WrapRefused("The bundle's folder is there already", expected="a new folder", action="Name another with --out.")
    about = described(AboutWomen, said_in(about_path))
    model = read_women_model(model_path, about)
    output = find_output(model, about)
    log(f"The model is read: {len(model.graph.node)} operators.")
    women = read_labelled_women(table_path, outcomes_path, about, recipe["rows"]["fewest_groups"])
    log(f"{len(women):,} women are read; no group and no woman is on both sides.")
    if not women.has(TEST):
        log(f"{UNEVALUATED} There are no test women: the bundle, its card and every answer will say so.")
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder)
        made = _made(parts, about, model, output, women, log)
        changelog = about.changelog or [f"{about.version}: wrapped from a model file."]
        of_bundle = About(
            about.name, about.version, changelog, "demonstration", git_commit(), about.card_facts, SIZE_LIMIT_BYTES
        )
        return assemble_bundle(parts, out_dir, [women_entry(about, made)], of_bundle)


def _made(
    parts: Path, about: AboutWomen, model: onnx.ModelProto, output: str, women: LabelledWomen, log: Log
) -> WrappedWomen:  # fmt: skip
    """Fit the model, write its files under ``parts`` and measure it."""
    validation, folder = women.of(VALIDATION), parts / about.model.id
    raw = checked(raw_women_graph(model, about, output))
    told = answers_of(raw, _with_less_known(validation.arrays), [RAW])[RAW]
    check_women_answers(about, told)
    fits = fit_women(about, logits_of(about, told[: len(validation)]), validation.labels)
    log(f"Calibration: slope {fits.slope:.3f}, intercept {fits.intercept:.3f}.")
    graph = checked(wrapped_women_graph(model, about, output, told.shape[1], fits))
    names = [spec.name for spec in women_outputs(about)]
    write_bytes(folder / "fp32.onnx", graph)
    golden_table = write_women_golden(parts, about.model.id, about, encoding_of(about), graph, names)
    thresholds = thresholds_of(about, probabilities_of(about, answers_of(graph, validation.arrays, names)), validation.labels)
    if women.has(TEST):
        _measure(folder, about, graph, validation, women.of(TEST))
        log("Held-out predictions and tables are made.")
    return WrappedWomen(women, fits, thresholds, golden_table)


def _measure(folder: Path, about: AboutWomen, graph: bytes, validation: LabelledWomen, test: LabelledWomen) -> None:
    """Write predictions of test women, beside their rivals', and the table of calibration."""
    told = probabilities_of(about, answers_of(graph, test.arrays, [spec.name for spec in women_outputs(about)]))
    scores = {"p_": told} | {f"{name}__p_": rival for name, rival in rivals_of(about, validation, test).items()}
    write_predictions(folder / "predictions.parquet", women_predictions(about, test, scores))
    write_table(folder / "calibration.csv", calibration_table(about, test, told))


def _with_less_known(arrays: Arrays) -> Arrays:
    """The same women, then each input hidden in turn from the first of them, then all: what an explanation asks about."""
    features = np.asarray(arrays["features"])
    hidden = np.repeat(features[:1], features.shape[2] + 1, axis=0)
    for at in range(features.shape[2]):
        hidden[at, :, at] = np.nan
    hidden[-1] = np.nan
    more = {name: np.concatenate([values, np.repeat(values[:1], len(hidden), axis=0)]) for name, values in arrays.items()}
    more["features"] = np.concatenate([features, hidden])
    return more


def write_women_golden(
    parts: Path, model_id: str, asked: WomenAsked, encoding: Sequence[FeatureEncoding], graph: bytes, names: list[str]
) -> GoldenTable:  # fmt: skip
    """Golden vectors of sample patients, and a golden table, under ``parts/<model_id>``.

    Parameters
    ----------
    encoding : as the manifest will have it
    names : outputs of the graph
    """
    is_table = asked.kind == "table"
    days = None if is_table else asked.input.episode_days
    text = (sample_table_csv if is_table else sample_visits_csv)(GOLDEN_WOMEN)
    sample = read_table(text.encode())
    _, arrays = encoded_table(sample, encoding, days)
    write_golden(parts / model_id / "golden.npz", arrays, {"fp32": dict(answers_of(graph, arrays, names))})
    return write_golden_table(
        parts,
        model_id,
        golden_patients_csv() if is_table else golden_visits_csv(),
        encoding,
        lambda found: dict(answers_of(graph, found, names)),
        one_row=is_table,
        episode_days=days,
    )
