"""A tile classifier from elsewhere to a proved bundle: ``python -m training wrap``."""

import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented, RuntimeException

from cervix.bundle.manifest import Manifest, Precision, Variant, VariantDifference, within_novelty
from cervix.bundle.operators import check_operators
from cervix.bundle.sessions import Arrays
from cervix.errors import BundleError
from cervix.slides.phantom import phantom_region
from training.bundle.build import About, assemble_bundle, git_commit
from training.data.tissue.strange import strange_tiles
from training.shared.manifest_parts import write_bytes, write_golden, write_predictions, write_table
from training.shared.onnx_graphs import run_onnx
from training.slide.checks.robustness import novelty_table
from training.slide.novelty import fit_novelty
from training.slide.quantise import to_fp16, to_int8
from training.slide.slide_level import STRANGE, Calling, ScoredTiles, fit_and_compare
from training.slide.variants import compare, refuse_if_different
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
from training.wrap.graph import NOVELTY_PREFIX, TILES, Fits, answers, both_sides, raw_graph, wrapped_graph
from training.wrap.head import GraphReader, read_head
from training.wrap.loading import PREFIX, load_model
from training.wrap.refusal import WrapRefused
from training.wrap.tiles import TEST, VALIDATION, HeldOutTiles, read_tiles

Log = Callable[[str], None]
RECIPE = Path(__file__).parents[1] / "recipes/wrap.toml"
SIZE_LIMIT_BYTES = 2_000_000_000
EMBEDDING_AT_MOST = 4096
"""Features of the embedding: its covariance is a square of them in the graph, 67 MB at this."""
GOLDEN_TILES = 4
# Golden tolerances allow for another processor's kernels, not for another model: a share of the largest value of each output.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8": 0.05}
PROBABILITY_TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8": 0.02}
SMALLEST_TOLERANCE = 1e-4


def wrap_tile_model(model_path: Path, about_path: Path, tiles_path: Path, out_dir: Path, log: Log) -> Manifest:
    """Make a bundle of somebody's tile classifier, and prove it.

    Parameters
    ----------
    model_path : ``.onnx``, ``.keras``, or the folder of a SavedModel
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
    about = read_about(about_path)
    network = load_model(model_path, about.input)
    reader = GraphReader(network)
    answer = find_answer(network, reader, about.output)
    head = read_head(reader, answer.logits)
    embedding = _embedding(reader, head.embedding, about.output.embedding)
    log(f"The model is read: {len(network.graph.node)} operators, head of {len(head.steps)} steps.")
    tiles = read_tiles(tiles_path, about.class_ids, about.input.size_px, recipe["tiles"]["fewest_groups"])
    log(f"{len(tiles.labels):,} tiles are read; no group and no picture is on both sides.")

    validation, test = tiles.of(VALIDATION), tiles.of(TEST)
    raw = raw_graph(network, about.input, {"raw/logits": answer.logits, "raw/embedding": embedding})
    told = _run(raw, validation.pixels, ["raw/logits", "raw/embedding"])
    check_answers(about.output, told["raw/logits"], len(about.classes))
    columns, features = told["raw/logits"].shape[1], told["raw/embedding"]
    target = class_index(validation.labels, about.class_ids)
    weight = fit_temperature(told["raw/logits"] @ both_sides(columns), target)
    fits = Fits(weight, fit_novelty(features, target, len(about.classes)))
    limit = novelty_limit(features, target, validation.groups, recipe["novelty"], about.fit.accepted_share, about.fit.seed)
    outputs = answers(head, len(about.classes), features.shape[1])
    single = wrapped_graph(network, about.input, reader, head, embedding, columns, fits, outputs)
    _check(single)
    log(f"Temperature {1 / weight:.3f}, novelty limit {limit:.3f}: fitted on {len(target):,} validation tiles.")

    names = ["probabilities", "novelty"]
    graphs, differences, on_test = _variants(single, about, recipe, validation, test, names, log)
    shipped: Precision = "int8" if "int8" in graphs else "fp32"
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder)
        variants = _write_variants(parts, about, graphs, differences, [item.name for item in outputs])
        on_validation = _run(graphs[shipped], validation.pixels, names)
        thresholds = {
            task.id: youden_threshold(on_validation["probabilities"], validation.labels, about.class_ids, task)
            for task in about.tasks
        }
        rivals = rival_scores(validation, test, about.class_ids)
        scores = {"p_": on_test[shipped]["probabilities"]} | {f"{name}__p_": rival for name, rival in rivals.items()}
        frame = predictions_frame(test, about.class_ids, scores, on_test[shipped]["novelty"])
        write_predictions(parts / about.model.id / "predictions.parquet", frame)
        calling = Calling(about.classes, thresholds[about.tasks[0].id], limit)
        strange = strange_tiles(about.input.size_px, about.fit.seed, validation.pixels)
        odd = _run(graphs[shipped], strange.pixels, names)
        known_odd = within_novelty(odd["novelty"], odd["probabilities"], limit)
        of_strange = np.full(len(strange.kind), STRANGE)
        mixed = ScoredTiles(odd["probabilities"], odd["novelty"], of_strange, strange.source, of_strange)
        first = np.isin(strange.source, np.unique(strange.source)[::2])
        rule, slides = fit_and_compare(
            _scored(validation, on_validation).beside(mixed.of(first)),
            {"test groups": _scored(test, on_test[shipped]).beside(mixed.of(~first))},
            calling,
            recipe["slide_rule"],
            about.fit.seed,
        )
        known = within_novelty(on_test[shipped]["novelty"], on_test[shipped]["probabilities"], limit)
        for name, table in {
            "novelty": novelty_table(known, test.groups, strange, known_odd),
            "slide-level": slides,
        }.items():
            write_table(parts / about.model.id / f"{name}.csv", table)
        log("Held-out predictions and tables are made.")
        entry = wrapped_entry(about, Wrapped(tiles, outputs, fits, limit, thresholds, variants, shipped, rule))
        changelog = about.changelog or [f"{about.version}: wrapped from a model file."]
        whole = About(about.name, about.version, changelog, "demonstration", git_commit(), about.card_facts, SIZE_LIMIT_BYTES)
        return assemble_bundle(parts, out_dir, [entry], whole)


def _embedding(reader: GraphReader, default: str, named: str) -> str:
    tensor = PREFIX + named if named else default
    shape = reader.shape(tensor)
    if len(shape) != 2 or shape[1] is None or shape[1] > EMBEDDING_AT_MOST:
        found = " × ".join("N" if size is None else str(size) for size in shape) or "no such tensor"
        raise WrapRefused(
            "The embedding cannot be used for novelty",
            expected=f"a row of at most {EMBEDDING_AT_MOST:,} features a tile",
            found=found,
            action="Name the tensor after a pooling or a narrower dense layer in about.toml: output.embedding.",
        )
    return tensor


def _check(model: onnx.ModelProto) -> None:
    try:
        check_operators(model, "The wrapped model")
    except BundleError as error:
        action = "Wrap a smaller model, or one for smaller tiles."
        raise WrapRefused(error.problem, expected=error.expected, found=error.found, action=action) from error


def _run(graph: onnx.ModelProto | bytes, pixels: NDArray[np.uint8], names: list[str]) -> dict[str, NDArray[np.float32]]:
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    try:
        return run_onnx(content, pixels, names)
    except (Fail, InvalidGraph, NotImplemented, RuntimeException, ValueError) as error:
        raise WrapRefused(
            "The model does not run on these tiles",
            expected="a graph that takes any number of tiles at once",
            found=(str(error).splitlines() or [""])[0][:200],
            action="Export the model with a free batch size.",
        ) from error


def _variants(
    single: onnx.ModelProto,
    about: AboutModel,
    recipe: Mapping[str, Any],
    validation: HeldOutTiles,
    test: HeldOutTiles,
    names: list[str],
    log: Log,
) -> tuple[dict[Precision, bytes], dict[Precision, VariantDifference], dict[Precision, dict[str, NDArray[np.float32]]]]:
    """Every graph that is asked for, how far each is from fp32, and what each says of the test tiles."""
    graphs: dict[Precision, bytes] = {"fp32": single.SerializeToString()}
    told = {"fp32": _run(graphs["fp32"], test.pixels, names)}
    differences: dict[Precision, VariantDifference] = {}
    for precision in dict.fromkeys(item for item in about.fit.variants if item != "fp32"):
        if precision == "int8":
            rng = np.random.default_rng(about.fit.seed)
            most = min(recipe["quantise"]["calibration_tiles"], len(validation.labels))
            graphs[precision] = to_int8(single, validation.pixels[rng.choice(len(validation.labels), most, replace=False)])
        else:
            kept = [node.name for node in single.graph.node if node.name.startswith(NOVELTY_PREFIX) or node.name == "novelty"]
            graphs[precision] = to_fp16(single, in_single=kept)
        told[precision] = _run(graphs[precision], test.pixels, names)
        pair = (told[item]["probabilities"] for item in ("fp32", precision))
        differences[precision] = compare(*pair, test.labels, test.groups, about.class_ids, about.tasks)
        refuse_if_different(precision, differences[precision], recipe["quantise"])
        log(f"{precision}: {differences[precision].agreement:.2%} agreement with fp32.")
    return graphs, differences, told


def _write_variants(
    parts: Path,
    about: AboutModel,
    graphs: Mapping[Precision, bytes],
    differences: Mapping[Precision, VariantDifference],
    names: list[str],
) -> list[Variant]:
    """Write graphs and golden vectors; the variants as the manifest lists them."""
    size, model_id = about.input.size_px, about.model.id
    golden = np.stack([phantom_region(size, size, seed=seed, tissue_share=0.9) for seed in range(GOLDEN_TILES)])
    told: dict[str, Arrays] = {}
    variants = []
    for precision, content in graphs.items():
        file = f"{model_id}/{precision}.onnx"
        write_bytes(parts / file, content)
        told[precision] = dict(_run(content, golden, names))
        tolerance = {
            name: max(SMALLEST_TOLERANCE, TOLERANCE[precision] * float(np.abs(values).max()))
            for name, values in told[precision].items()
        }
        tolerance["probabilities"] = PROBABILITY_TOLERANCE[precision]
        variants.append(
            Variant(
                precision=precision,
                file=file,
                runs_on="cuda" if precision == "fp16" else "cpu",
                tolerance=tolerance,
                difference=differences.get(precision),
            )
        )
    write_golden(parts / model_id / "golden.npz", {TILES: golden}, told)
    return variants


def _scored(tiles: HeldOutTiles, told: Mapping[str, NDArray[np.float32]]) -> ScoredTiles:
    return ScoredTiles(told["probabilities"], told["novelty"], tiles.labels, tiles.groups, tiles.laboratory)
