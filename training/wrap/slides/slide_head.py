"""A slide head from elsewhere beside the tile model that it reads: ``python -m training wrap --slides``."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.bundle.head_contract import ATTENTION, EMBEDDINGS, POSITIONS, PROBABILITIES
from cervix.bundle.manifest import UNEVALUATED, Model
from cervix.bundle.sessions import Arrays
from cervix.patients.golden import prove_bundle
from training.bundle.beside import assemble_beside
from training.bundle.candidate import new_candidate
from training.shared.manifest_parts import add_probabilities, write_bytes, write_golden, write_predictions
from training.shared.stages import Log
from training.wrap.about import described, said_in
from training.wrap.activation import check_answers
from training.wrap.checked import checked
from training.wrap.fitting import class_index, fit_temperature, youden_threshold
from training.wrap.graph import both_sides
from training.wrap.listed import TEST, VALIDATION
from training.wrap.refusal import WrapRefused
from training.wrap.slides.about import AboutHead
from training.wrap.slides.entry import RULE, SHARE, WrappedHead, head_entry
from training.wrap.slides.graph import LOGITS, raw_head_graph, read_head_network, run_graph, wrapped_head_graph
from training.wrap.slides.labelled import LabelledSlides, read_slides

RECIPE = Path(__file__).parents[2] / "recipes/wrap.toml"
GOLDEN_TILES = 24


def wrap_slide_head(model_path: Path, about_path: Path, slides_path: Path, parent_dir: Path, out_dir: Path, log: Log) -> str:
    """Put somebody's slide head beside the models of a bundle, and prove the bundle; its name, version and short hash.

    Parameters
    ----------
    model_path : ``.onnx``
    about_path : ``about.toml``, see ``AboutHead``
    slides_path : ``slides.csv``, see ``read_slides``
    parent_dir : the bundle that holds the tile model
    out_dir : where the bundle is written; it must not exist

    Raises
    ------
    WrapRefused, LeakError, BundleError
        Nothing is written then.
    """
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    if out_dir.exists():
        raise WrapRefused("The bundle's folder is there already", expected="a new folder", action="Name another with --out.")
    about = described(AboutHead, said_in(about_path))
    parent = prove_bundle(parent_dir, device="cpu")
    network = read_head_network(model_path, about, _embedding_size(parent, about))
    log(f"The head is read: {len(network.graph.graph.node)} operators.")
    slides = read_slides(slides_path, about.class_ids, parent, recipe["slides"]["fewest_groups"], log)
    if not (slides.split == TEST).any():
        log(f"{UNEVALUATED} There are no test slides: the bundle, its card and every answer of the head will say so.")
    validation = slides.of(VALIDATION)
    told = run_graph(checked(raw_head_graph(network, about)), validation.arrays, [LOGITS])
    logits = np.concatenate([answer[LOGITS] for answer in told]).astype(np.float64)
    check_answers(about.output, logits, len(about.classes))
    columns = logits.shape[1]
    weight = fit_temperature(logits @ both_sides(columns), class_index(validation.labels, about.class_ids))
    log(f"Temperature {1 / weight:.3f}.")
    graph = checked(wrapped_head_graph(network, about, columns, weight))
    on_validation = _answers(graph, validation)
    thresholds = {task.id: youden_threshold(on_validation, validation.labels, about.class_ids, task) for task in about.tasks}
    made = WrappedHead(slides, network.size, weight, thresholds)
    with new_candidate(out_dir) as (parts, whole):
        entry = _written(parts, about, graph, made)
        return assemble_beside(
            parent, [entry], {entry.id: about.model_facts}, parts, whole, licences=about.licences, citations=about.citations
        )


def _embedding_size(parent: Bundle, about: AboutHead) -> int:
    tiles = parent.manifest.of_kind("tile")
    model = next((model for model in tiles if model.id == about.reads), None)
    if model is None:
        raise WrapRefused(
            "The head reads a tile model that the bundle does not have",
            expected=f"reads, one of {', '.join(model.id for model in tiles) or 'none: the bundle has no tile model'}",
            found=about.reads,
            action="Wrap the encoder as a tile model first, then name it in about.toml.",
        )
    if model.id != parent.manifest.first_of("tile").id:
        raise WrapRefused(
            "The head reads another tile model than the one that scores slides",
            expected=parent.manifest.first_of("tile").id,
            found=about.reads,
        )
    return int(next(spec for spec in model.outputs if spec.name == "embedding").shape[1])


def _answers(graph: bytes, slides: LabelledSlides) -> NDArray[np.float32]:
    """Probabilities of the slides ``(n, classes)``."""
    return np.concatenate([told[PROBABILITIES] for told in run_graph(graph, slides.arrays, [PROBABILITIES])])


def _written(parts: Path, about: AboutHead, graph: bytes, made: WrappedHead) -> Model:
    """Write the head's files under ``parts``; its entry."""
    folder, test = parts / about.model.id, made.slides.of(TEST)
    write_bytes(folder / "fp32.onnx", graph)
    golden = _golden(made.slides.of(VALIDATION))
    (answer,) = run_graph(graph, [golden], [PROBABILITIES, ATTENTION])
    write_golden(folder / "golden.npz", golden, {"fp32": answer})
    if len(test):
        write_predictions(folder / "predictions.parquet", predictions_of(about, graph, made.slides))
    return head_entry(about, made)


def _golden(slides: LabelledSlides) -> Arrays:
    """The first accepted tiles of the validation slide that has most."""
    most = max(slides.arrays, key=lambda arrays: len(arrays[EMBEDDINGS]))
    return {name: most[name][:GOLDEN_TILES] for name in (EMBEDDINGS, POSITIONS)}


def predictions_of(about: AboutHead, graph: bytes, slides: LabelledSlides) -> pd.DataFrame:
    """The held-out predictions: one row a test slide, with those of two simple ways.

    The share of tiles called cancerous says nothing of which malignant class it is: there it goes by how frequent they are.
    """
    validation, test = slides.of(VALIDATION), slides.of(TEST)
    frequent = np.array([(validation.labels == label).mean() for label in about.class_ids])
    malignant = np.array([item.role == "malignant" for item in about.classes])
    within = frequent / np.where(malignant, frequent[malignant].sum(), frequent[~malignant].sum())
    rule = np.where(malignant, test.share[:, None], 1 - test.share[:, None]) * within
    frame = pd.DataFrame({"case": test.cases, "group": test.groups, "label": test.labels})
    rivals = {"p_": _answers(graph, test), f"{SHARE}__p_": np.tile(frequent, (len(test), 1)), f"{RULE}__p_": rule}
    for prefix, values in rivals.items():
        add_probabilities(frame, prefix, about.class_ids, np.asarray(values, np.float32))
    return frame
