"""A tile classifier from elsewhere to a proved bundle: ``python -m training wrap``."""

import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from cervix.bundle.manifest import UNEVALUATED, Manifest, Precision, SlideRule, TensorSpec, within_novelty
from cervix.bundle.operators import check_operators
from cervix.errors import BundleError
from training.bundle.build import About, assemble_bundle, git_commit
from training.data.tissue.strange import strange_tiles
from training.shared.manifest_parts import write_predictions, write_table
from training.slide.checks.robustness import novelty_table
from training.slide.novelty import fit_novelty
from training.slide.slide_level import STRANGE, Calling, ScoredTiles, fit_and_compare, fitted_rule
from training.wrap.about import AboutModel, read_about
from training.wrap.activation import check_answers, find_answer
from training.wrap.entry import Wrapped, wrapped_entry
from training.wrap.fitting import (
    class_index,
    fit_temperature,
    novelty_limit,
    predictions_frame,
    rival_scores,
    youden_threshold,
)
from training.wrap.graph import Fits, answers, both_sides, raw_graph, wrapped_graph
from training.wrap.head import Head, read_head
from training.wrap.listed import TEST, VALIDATION
from training.wrap.loading import PREFIX, TORCHSCRIPT, load_model
from training.wrap.reader import GraphReader
from training.wrap.refusal import WrapRefused
from training.wrap.tiles import HeldOutTiles, read_tiles
from training.wrap.variants import SCORES, Told, export_variants, run, write_variants
from training.wrap.wsinfer import CONFIG_NAME

Log = Callable[[str], None]
RECIPE = Path(__file__).parents[1] / "recipes/wrap.toml"
SIZE_LIMIT_BYTES = 2_000_000_000
EMBEDDING_AT_MOST = 4096
"""Features of the embedding: its covariance is a square of them in the graph, 67 MB at this."""
RAW_LOGITS, RAW_EMBEDDING = "raw/logits", "raw/embedding"


@dataclass(frozen=True)
class Network:
    """A model that was read: its graph, where it answers, and which tensor is its embedding."""

    graph: onnx.ModelProto
    reader: GraphReader
    head: Head
    embedding: str


@dataclass(frozen=True)
class Fitted:
    """The wrapped graph in single precision, and what validation tiles decided of it."""

    single: onnx.ModelProto
    outputs: list[TensorSpec]
    fits: Fits
    limit: float


def wrap_tile_model(model_path: Path, about_path: Path, tiles_path: Path, out_dir: Path, log: Log) -> Manifest:
    """Make a bundle of somebody's tile classifier, and prove it.

    Parameters
    ----------
    model_path : ``.onnx``, ``.keras``, ``.pt`` (TorchScript, with its ``config.json`` beside it), or the folder of a SavedModel
    about_path : ``about.toml``, see ``AboutModel``
    tiles_path : ``tiles.csv``, see ``read_tiles``
    out_dir : where the bundle is written; it must not exist

    Raises
    ------
    WrapRefused, LeakError, LostApart, VariantRefused, BundleError
        Nothing is written then.
    """
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    if out_dir.exists():
        raise WrapRefused("The bundle's folder is there already", expected="a new folder", action="Name another with --out.")
    about = read_about(about_path, model_path.parent / CONFIG_NAME if model_path.suffix == TORCHSCRIPT else None)
    network = read_network(model_path, about, log)
    log(f"The model is read: {len(network.graph.graph.node)} operators.")
    tiles = read_tiles(tiles_path, about.class_ids, about.input.size_px, recipe["tiles"]["fewest_groups"])
    log(f"{len(tiles.labels):,} tiles are read; no group and no picture is on both sides.")
    if not tiles.has(TEST):
        log(f"{UNEVALUATED} There are no test tiles: the bundle, its card and every answer will say so.")
    fitted = fit(network, about, tiles.of(VALIDATION), recipe)
    log(f"Temperature {1 / fitted.fits.weight:.3f}, novelty limit {fitted.limit:.3f}.")
    made = export_variants(fitted.single, about, recipe["quantise"], tiles, log)
    shipped: Precision = "int8" if "int8" in made else "fp32"
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder)
        variants = write_variants(parts, about, made, [item.name for item in fitted.outputs])
        thresholds, rule = _evaluate(parts, about, made[shipped].content, made[shipped].on_test, tiles, fitted.limit, recipe)
        log("Held-out predictions and tables are made." if tiles.has(TEST) else "Thresholds and slide rule are fitted.")
        wrapped = Wrapped(tiles, fitted.outputs, fitted.fits, fitted.limit, thresholds, variants, shipped, rule)
        return assemble_bundle(parts, out_dir, [wrapped_entry(about, wrapped)], _about_bundle(about))


def read_network(path: Path, about: AboutModel, log: Log = lambda _: None) -> Network:
    """Load the model and find its answer, head and embedding; ``WrapRefused`` or ``LostApart`` where that is not possible."""
    graph = load_model(path, about.input, log)
    reader = GraphReader(graph)
    head = read_head(reader, find_answer(graph, reader, about.output))
    tensor = PREFIX + about.output.embedding if about.output.embedding else head.embedding
    shape = reader.shape(tensor)
    if len(shape) != 2 or shape[1] is None or shape[1] > EMBEDDING_AT_MOST:
        found = " × ".join("N" if size is None else str(size) for size in shape) or "no such tensor"
        raise WrapRefused(
            "The embedding cannot be used for novelty",
            expected=f"a row of at most {EMBEDDING_AT_MOST:,} features a tile",
            found=found,
            action="Name the tensor after a pooling or a narrower dense layer in about.toml: output.embedding.",
        )
    return Network(graph, reader, head, tensor)


def fit(network: Network, about: AboutModel, validation: HeldOutTiles, recipe: Mapping[str, Any]) -> Fitted:
    """Temperature and novelty on validation tiles, and the graph that answers with them."""
    raw = raw_graph(network.graph, about.input, {RAW_LOGITS: network.head.logits, RAW_EMBEDDING: network.embedding})
    told = run(raw, validation.pixels, [RAW_LOGITS, RAW_EMBEDDING])
    logits, features = told[RAW_LOGITS], told[RAW_EMBEDDING]
    check_answers(about.output, logits, len(about.classes))
    columns, target = logits.shape[1], class_index(validation.labels, about.class_ids)
    weight = fit_temperature(logits @ both_sides(columns), target)
    fits = Fits(weight, fit_novelty(features, target, len(about.classes)))
    limit = novelty_limit(features, target, validation.groups, recipe["novelty"], about.fit.accepted_share, about.fit.seed)
    outputs = answers(network.head, len(about.classes), features.shape[1])
    single = wrapped_graph(network.graph, about.input, network.reader, network.head, network.embedding, columns, fits, outputs)
    try:
        check_operators(single, "The wrapped model")
    except BundleError as error:
        action = "Wrap a smaller model, or one for smaller tiles."
        raise WrapRefused(error.problem, expected=error.expected, found=error.found, action=action) from error
    return Fitted(single, outputs, fits, limit)


def _evaluate(
    parts: Path, about: AboutModel, graph: bytes, on_test: Told, tiles: HeldOutTiles, limit: float, recipe: Mapping[str, Any]
) -> tuple[dict[str, float], SlideRule]:
    """Thresholds and slide rule by validation tiles; predictions and tables of test tiles, if any, go under ``parts``."""
    validation, test, folder = tiles.of(VALIDATION), tiles.of(TEST), parts / about.model.id
    on_validation = run(graph, validation.pixels, SCORES)
    thresholds = {
        task.id: youden_threshold(on_validation["probabilities"], validation.labels, about.class_ids, task)
        for task in about.tasks
    }
    calling = Calling(about.classes, thresholds[about.tasks[0].id], limit)
    strange = strange_tiles(about.input.size_px, about.fit.seed, validation.pixels)
    odd = run(graph, strange.pixels, SCORES)
    name = np.full(len(strange.kind), STRANGE)
    mixed = ScoredTiles(odd["probabilities"], odd["novelty"], name, strange.source, name)
    first = np.isin(strange.source, np.unique(strange.source)[::2])
    fit_on = _scored(validation, on_validation).beside(mixed.of(first))
    if not len(test.labels):
        return thresholds, fitted_rule(fit_on, calling, recipe["slide_rule"], about.fit.seed)
    scores = {"p_": on_test["probabilities"]}
    scores |= {f"{name}__p_": rival for name, rival in rival_scores(validation, test, about.class_ids).items()}
    write_predictions(folder / "predictions.parquet", predictions_frame(test, about.class_ids, scores, on_test["novelty"]))
    rule, slides = fit_and_compare(
        fit_on,
        {"test groups": _scored(test, on_test).beside(mixed.of(~first))},
        calling,
        recipe["slide_rule"],
        about.fit.seed,
    )
    known, known_odd = (within_novelty(told["novelty"], told["probabilities"], limit) for told in (on_test, odd))
    tables: dict[str, pd.DataFrame] = {
        "novelty": novelty_table(known, test.groups, strange, known_odd),
        "slide-level": slides,
    }
    for table_id, table in tables.items():
        write_table(folder / f"{table_id}.csv", table)
    return thresholds, rule


def _scored(tiles: HeldOutTiles, told: Told) -> ScoredTiles:
    return ScoredTiles(told["probabilities"], told["novelty"], tiles.labels, tiles.groups, tiles.laboratory)


def _about_bundle(about: AboutModel) -> About:
    changelog = about.changelog or [f"{about.version}: wrapped from a model file."]
    return About(about.name, about.version, changelog, "demonstration", git_commit(), about.card_facts, SIZE_LIMIT_BYTES)
