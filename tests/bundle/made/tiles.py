"""A tile model that goes by colour, and a slide that shows each of its classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from cervix.bundle.classes import ClassInfo, Role
from cervix.bundle.manifest import (
    Abstention,
    DerivedTask,
    EvaluationTable,
    Model,
    PublishedFigure,
    SlideRule,
    TensorSpec,
    TileInput,
)
from cervix.evaluation.left_out import ANSWERED, AUROC, NONE, SOURCE, TABLE, WRONG
from cervix.patients.joint import EMBEDDING_SIZE
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from tests.bundle.made.graph import Node, answers, graph, spec
from tests.bundle.made.whole import baselines, model_of, table_of
from training.shared.manifest_parts import add_probabilities, write_arrays, write_golden

MODEL_ID = "colours"
TILE_PX, SPACING_UM_PX, CAM = 224, 0.5, 14
NOVELTY_LIMIT = 18.0
"""Distance in colour, 0 to 255 a channel."""
SHARPNESS = 0.006
"""Log odds of two classes for each squared unit of colour by which one of them is nearer."""
# The mean of a phantom's tissue, and how far from it the tissue of each class lies: red, green, blue, 0 to 255.
TISSUE_RGB = np.array([196, 140, 184], np.float32)
SHIFTS_RGB = np.float32([[0, 0, 0], [20, -10, 0], [0, -23, 0], [0, 0, -23], [-15, -23, 10], [20, -28, -23]])
# Those of the shipped classes lie so far from a phantom that it is not recognised.
SHIPPED_SHIFTS_RGB = np.float32([[-30, 10, 20], [20, -42, -8], [-18, -40, 4], [20, 35, -50]])
BAND_TILES = 2, 5
"""Columns and rows of tiles of each class in ``write_slide``."""


def class_of(
    label: str, title: str = "", short: str = "", colour: str = "#0072B2", role: Role = "benign"
) -> ClassInfo:  # fmt: skip
    """A class of that id; what is not said follows from it."""
    return ClassInfo(id=label, title=title or label.capitalize(), short=short or label[:12], colour=colour, role=role)


SHIPPED_CLASSES = (
    class_of("benign", "Benign", "Benign", "#0072B2", "benign"),
    class_of("scc", "Squamous-cell carcinoma", "SCC", "#D55E00", "malignant"),
    class_of("ac", "Adenocarcinoma", "AC", "#CC79A7", "malignant"),
    class_of("other", "Other tissue", "Other", "#009E73", "other"),
)
"""Those of the recipe ``shipped``."""
FOUR = (
    class_of("normal", "Normal epithelium", "Norm", "#009E73", "benign"),
    class_of("dysplasia", "Dysplasia", "Dysp", "#E69F00", "other"),
    class_of("invasive-squamous", "Invasive squamous carcinoma", "InvS", "#0072B2", "malignant"),
    class_of("invasive-glandular", "AIS or invasive gland carcinoma", "InvG", "#CC79A7", "malignant"),
)
"""No id and no title of those, in another order of roles."""


def write_tile_model(
    root: Path, model_id: str, classes: Sequence[ClassInfo], precisions: Mapping[str, str] | None = None
) -> Model:
    """Write a tile model of these classes (at most six, one of them malignant) and its files under ``root``.

    A tile's class is that whose colour its mean lies nearest to; its novelty is the distance from there.
    """
    precisions = precisions or {"fp32": "cpu"}
    network, outputs = _network(centres_rgb(classes)), _outputs(len(classes))
    pictures = np.uint8(centres_rgb(classes))[:, None, None] * np.ones((1, TILE_PX, TILE_PX, 1), np.uint8)
    told = answers(network, {"tiles": pictures})
    write_golden(root / model_id / "golden.npz", {"tiles": pictures}, dict.fromkeys(precisions, told))
    tasks = _tasks(classes)
    rivals = baselines(even="Every class alike", colour="Mean of RGB, logistic regression")
    tables = [table_of(root, model_id, "reach", "What was aimed for", [{"figure": "Accuracy", "found": "0.9"}])]
    if tuple(classes) == SHIPPED_CLASSES:
        tables = [*left_out_tables(root, model_id), *tables]
    write_arrays(root / model_id / "rehearsal.npz", {"label": np.array([item.id for item in classes])})
    published = PublishedFigure(metric="accuracy", value=0.9, task=tasks[-1].id, source="Nobody's paper")
    made = model_of(
        root, model_id, network, precisions, _predictions(classes),
        kind="tile", title="Colours of tiles", short="Colours", inputs=[spec("tiles", TILE_PX, TILE_PX, 3, dtype="uint8")],
        outputs=outputs, classes=list(classes), derived_tasks=tasks, thresholds={task.id: 0.5 for task in tasks},
        tiles=TileInput(size_px=TILE_PX, spacing_um_px=SPACING_UM_PX, spacing_source="made so", steps_in_graph=["mean"]),
        abstention=[Abstention(output="novelty", limit=NOVELTY_LIMIT, chosen_by="made so")],
        slide_rule=SlideRule(minimum_tiles=8, false_positive_share=0.1, novel_share_limit=0.5, chosen_by="made so"),
        rehearsal=f"{model_id}/rehearsal.npz",
        evaluation={"baselines": rivals, "tables": tables, "published": [published]},
    )  # fmt: skip
    return with_sources(made) if tuple(classes) == SHIPPED_CLASSES else made


def with_sources(model: Model) -> Model:
    """The same, said to have learned from two laboratories, neither of them of the cervix."""
    (drawn,) = model.training_data
    told = (
        ("Drawn for slide: lung", ["lung"], "North", ["lung", "squamous carcinoma"]),
        ("Drawn for slide: bowel", ["colon", "rectum"], "South", ["glands"]),
    )
    keys = ("name", "organs", "laboratory", "tissue_types")
    sources = [drawn.model_copy(update=dict(zip(keys, source, strict=True))) for source in told]
    return model.model_copy(update={"training_data": sources})


def left_out_tables(root: Path, model_id: str) -> list[EvaluationTable]:
    """What is said of laboratories that were left out, and of what is of no class, as the recipe writes it."""
    laboratories = [
        {
            SOURCE: source, AUROC: auroc, f"{AUROC}: colour statistics": "0.500 (0.400–0.600)",
            f"{AUROC}: frozen features": "0.550 (0.450–0.650)", ANSWERED: "61.0 % (40.0–80.0)", WRONG: wrong, "n": size,
        }
        for source, auroc, wrong, size in (
            ("Bowel", "0.581 (0.500–0.660)", "31.0 % (20.1–45.0)", "120 tiles, 40 groups"),
            ("Lung", "0.940 (0.900–0.970)", "2.5 % (0.5–9.0)", "200 tiles, 90 groups"),
            ("Bone", NONE, "0.0 % (0.0–9.0)", "56 tiles, 38 groups"),
        )
    ]  # fmt: skip
    apart = [{"lesion": "dysplasia", "answered": "30.0 % (20.0–42.0)", "n": "75 tiles, 60 groups"}]
    tries = [{"remedy": "mean and spread of RGB", "worst AUROC": "0.500", "n": "376 tiles, 168 groups"}]
    return [
        table_of(root, model_id, TABLE, "Laboratories left out", laboratories),
        table_of(root, model_id, "apart", "Lesions on the way to carcinoma", apart),
        table_of(root, model_id, "tries", "What was tried against learning the laboratory", tries),
    ]


def centres_rgb(classes: Sequence[ClassInfo]) -> NDArray[np.float32]:
    """The colour of each class ``(classes, 3)``, 0 to 255."""
    shifts = SHIPPED_SHIFTS_RGB if tuple(classes) == SHIPPED_CLASSES else SHIFTS_RGB[: len(classes)]
    return np.asarray(TISSUE_RGB + shifts, np.float32)


def tissue_of(colour_rgb: NDArray[np.float32], width_px: int, height_px: int, *, seed: int = 5) -> NDArray[np.uint8]:
    """Phantom tissue ``(height, width, 3)`` of that mean colour."""
    pixels = phantom_region(width_px, height_px, seed=seed, tissue_share=1.0).astype(np.float32)
    return np.clip(pixels + colour_rgb - pixels.mean(axis=(0, 1)), 0, 255).astype(np.uint8)


def write_slide(path: Path, classes: Sequence[ClassInfo] = FOUR, *, seed: int = 5) -> None:
    """A slide at 0.5 µm per pixel, all tissue: a band of ``BAND_TILES`` for each class, from left to right."""
    across, down = BAND_TILES
    bands = [tissue_of(colour, across * TILE_PX, down * TILE_PX, seed=seed) for colour in centres_rgb(classes)]
    write_pyramid(path, np.concatenate(bands, axis=1), SPACING_UM_PX)


def embedding_of_colour() -> NDArray[np.float32]:
    """Orthonormal rows ``(3, 512)`` that turn a mean colour into an embedding."""
    drawn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(EMBEDDING_SIZE, 3)))
    return np.asarray(drawn.T, np.float32)


def _network(centres: NDArray[np.float32]) -> bytes:
    constants = {
        "axes": np.int64([1, 2]), "colour_axis": np.int64([2]), "place_axis": np.int64([1]),
        "slope": 2 * SHARPNESS * centres.T, "offset": -SHARPNESS * (centres**2).sum(axis=1),
        "centres": centres[None], "mix": embedding_of_colour(), "cells": (centres - TISSUE_RGB - 5)[:, :, None, None] / 255,
    }  # fmt: skip
    pool = {"kernel_shape": [TILE_PX // CAM] * 2, "strides": [TILE_PX // CAM] * 2}
    nodes: list[Node] = [
        ("Cast", ["tiles"], "rgb", {"to": TensorProto.FLOAT}), ("ReduceMean", ["rgb", "axes"], "mean", {"keepdims": 0}),
        ("MatMul", ["mean", "slope"], "scaled", {}), ("Add", ["scaled", "offset"], "logits", {}),
        ("Softmax", ["logits"], "probabilities", {"axis": 1}), ("MatMul", ["mean", "mix"], "embedding", {}),
        ("Unsqueeze", ["mean", "place_axis"], "placed", {}), ("Sub", ["placed", "centres"], "away", {}),
        ("ReduceL2", ["away", "colour_axis"], "distances", {"keepdims": 0}),
        ("ReduceMin", ["distances", "place_axis"], "novelty", {"keepdims": 0}),
        ("Transpose", ["rgb"], "planes", {"perm": [0, 3, 1, 2]}), ("AveragePool", ["planes"], "coarse", pool),
        ("Conv", ["coarse", "cells"], "signed", {}), ("Abs", ["signed"], "cam", {}),
    ]  # fmt: skip
    return graph(nodes, constants, [spec("tiles", TILE_PX, TILE_PX, 3, dtype="uint8")], _outputs(len(centres)))


def _outputs(classes: int) -> list[TensorSpec]:
    return [
        spec("probabilities", classes), spec("embedding", EMBEDDING_SIZE), spec("novelty"), spec("cam", classes, CAM, CAM),
    ]  # fmt: skip


def _predictions(classes: Sequence[ClassInfo], groups: int = 12, each: int = 4) -> pd.DataFrame:
    """Held-out cases: ``groups`` of each class, nine of ten of them called rightly."""
    rng = np.random.default_rng(2)
    labels = [item.id for item in classes]
    count = len(labels) * groups * each
    truth = np.arange(count) % len(labels)
    called = np.where(rng.random(count) < 0.9, truth, rng.integers(0, len(labels), count))
    shares = rng.dirichlet(np.ones(len(labels)), count) * 0.4 + 0.6 * np.eye(len(labels))[called]
    frame = pd.DataFrame({"case": [f"{at}.png" for at in range(count)], "group": np.arange(count) // (each * len(labels))})
    novelty = rng.uniform(0, NOVELTY_LIMIT, count).astype(np.float32)
    frame = frame.assign(group=frame["group"].astype(str), label=np.array(labels)[truth], novelty=novelty)
    add_probabilities(frame, "p_", labels, shares.astype(np.float32))
    add_probabilities(frame, "even__p_", labels, np.full((count, len(labels)), 1 / len(labels)))
    add_probabilities(frame, "colour__p_", labels, 0.5 * shares + 0.5 / len(labels))
    return frame.assign(by_novelty=np.where(novelty < NOVELTY_LIMIT / 2, "nearer half", "farther half"))


def _tasks(classes: Sequence[ClassInfo]) -> list[DerivedTask]:
    if tuple(classes) == SHIPPED_CLASSES:
        return [
            DerivedTask(id="cancerous", title="Cancerous or not", positive=["scc", "ac"], negative=["benign", "other"]),
            DerivedTask(id="scc-versus-ac", title="Squamous-cell or adenocarcinoma", positive=["scc"], negative=["ac"]),
        ]
    malignant = [item.id for item in classes if item.role == "malignant"]
    others = [item.id for item in classes if item.role != "malignant"]
    tasks = [DerivedTask(id="invasive", title="Invasive or not", positive=malignant, negative=others)]
    abnormal = [item.id for item in classes if item.role != "benign"]
    benign = [item.id for item in classes if item.role == "benign"]
    return [*tasks, *([DerivedTask(id="abnormal", title="Abnormal", positive=abnormal, negative=benign)] if benign else [])]
