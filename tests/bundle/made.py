"""A bundle made on the spot: one small tile model with the classes that a test wants, and a slide that shows each of them."""

import hashlib
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from cervix.bundle.card_facts import NOT_REPORTED, CardFacts, Citation, Licence, ModelFacts
from cervix.bundle.classes import ClassInfo, Role
from cervix.bundle.manifest import (
    SCHEMA_VERSION,
    Abstention,
    Baseline,
    BundleFile,
    Calibration,
    DerivedTask,
    Evaluation,
    Manifest,
    Model,
    SlideRule,
    TensorSpec,
    Threshold,
    TileInput,
    TrainingData,
    Variant,
    json_schema,
    manifest_text,
    schema_path,
)
from cervix.slides.phantom import phantom_region, write_pyramid

MODEL_ID = "colours"
TILE_PX, SPACING_UM_PX, EMBEDDING, CAM = 224, 0.5, 8, 14
NOVELTY_LIMIT = 0.07
SHARPNESS = 1500.0
# The mean of a phantom's tissue, and how far from it the tissue of each class lies: red, green, blue, 0 to 1.
TISSUE_RGB = np.array([0.77, 0.55, 0.72], np.float32)
SHIFTS_RGB = np.float32([[0, 0, 0], [0.08, -0.04, 0], [0, -0.09, 0], [0, 0, -0.09], [-0.06, -0.09, 0.04], [0.08, -0.11, -0.09]])
BAND_TILES = 2, 5
"""Columns and rows of tiles of each class in ``write_slide``."""


def class_of(
    label: str, title: str = "", short: str = "", colour: str = "#0072B2", role: Role = "benign"
) -> ClassInfo:  # fmt: skip
    """A class of that id; what is not said follows from it."""
    return ClassInfo(id=label, title=title or label.capitalize(), short=short or label[:12], colour=colour, role=role)


FOUR = (
    class_of("normal", "Normal epithelium", "Norm", "#009E73", "benign"),
    class_of("dysplasia", "Dysplasia", "Dysp", "#E69F00", "other"),
    class_of("invasive-squamous", "Invasive squamous carcinoma", "InvS", "#0072B2", "malignant"),
    class_of("invasive-glandular", "AIS or invasive gland carcinoma", "InvG", "#CC79A7", "malignant"),
)
"""No id, title or colour that the shipped slide model has, and one class that is neither benign nor malignant."""


def write_bundle(root: Path, classes: Sequence[ClassInfo] = FOUR, model_id: str = MODEL_ID) -> Path:
    """Write a bundle with one tile model of these classes (at most six, one of them malignant) under ``root``.

    A tile's class is that whose colour its mean lies nearest to; its novelty is the distance from there.
    """
    folder = root / model_id
    folder.mkdir(parents=True)
    network = _network(len(classes)).SerializeToString()
    (folder / "fp32.onnx").write_bytes(network)
    (folder / "golden.npz").write_bytes(_golden(network, len(classes)))
    _predictions([item.id for item in classes]).to_parquet(folder / "predictions.parquet", index=False)
    model = _model(list(classes), model_id)
    files = []
    for name in sorted(model.files):
        content = (root / name).read_bytes()
        files.append(BundleFile(path=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION, name="made-for-tests", version="0.1.0", changelog=["0.1.0: made for a test"],
        created=datetime(2026, 1, 1, tzinfo=UTC), stage="demonstration", git_commit="0" * 40, packages={}, files=files,
        models=[model], card=_card(model_id),
    )  # fmt: skip
    schema_path(root).write_text(json_schema(), encoding="utf-8")
    (root / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    return root


def write_slide(path: Path, classes: int = len(FOUR), *, seed: int = 5) -> None:
    """A slide at 0.5 µm per pixel, all tissue: a band of ``BAND_TILES`` for each class, from left to right."""
    across, down = BAND_TILES
    pixels = phantom_region(classes * across * TILE_PX, down * TILE_PX, seed=seed, tissue_share=1.0)
    band = np.arange(pixels.shape[1]) // (across * TILE_PX)
    shifted = pixels.astype(np.float32) + 255 * (TISSUE_RGB + SHIFTS_RGB[band] - pixels.mean(axis=(0, 1)) / 255)[None]
    write_pyramid(path, np.clip(shifted, 0, 255).astype(np.uint8), SPACING_UM_PX)


def _network(classes: int) -> onnx.ModelProto:
    centres = TISSUE_RGB + SHIFTS_RGB[:classes]
    rng = np.random.default_rng(1)
    constants = {
        "white": np.float32(255), "axes": np.int64([1, 2]), "colour_axis": np.int64([2]), "place_axis": np.int64([1]),
        "slope": 2 * SHARPNESS * centres.T, "offset": -SHARPNESS * (centres**2).sum(axis=1),
        "centres": centres[None], "mix": rng.normal(size=(3, EMBEDDING)).astype(np.float32),
        "cells": (centres - TISSUE_RGB - 0.02)[:, :, None, None],
    }  # fmt: skip
    nodes = [
        ("Cast", ["tiles"], "pixels", {"to": TensorProto.FLOAT}), ("Div", ["pixels", "white"], "rgb", {}),
        ("ReduceMean", ["rgb", "axes"], "mean", {"keepdims": 0}),
        ("MatMul", ["mean", "slope"], "scaled", {}), ("Add", ["scaled", "offset"], "logits", {}),
        ("Softmax", ["logits"], "probabilities", {"axis": 1}), ("MatMul", ["mean", "mix"], "embedding", {}),
        ("Unsqueeze", ["mean", "place_axis"], "placed", {}), ("Sub", ["placed", "centres"], "away", {}),
        ("ReduceL2", ["away", "colour_axis"], "distances", {"keepdims": 0}),
        ("ReduceMin", ["distances", "place_axis"], "novelty", {"keepdims": 0}),
        ("Transpose", ["rgb"], "planes", {"perm": [0, 3, 1, 2]}),
        ("AveragePool", ["planes"], "coarse", {"kernel_shape": [TILE_PX // CAM] * 2, "strides": [TILE_PX // CAM] * 2}),
        ("Conv", ["coarse", "cells"], "signed", {}), ("Relu", ["signed"], "cam", {}),
    ]  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in nodes],
        MODEL_ID,
        [_value(spec) for spec in _inputs()],
        [_value(spec) for spec in _outputs(classes)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)


def _inputs() -> list[TensorSpec]:
    return [TensorSpec(name="tiles", dtype="uint8", shape=["N", TILE_PX, TILE_PX, 3], unit="0..255", meaning="RGB")]


def _outputs(classes: int) -> list[TensorSpec]:
    shapes = {"probabilities": [classes], "embedding": [EMBEDDING], "novelty": [], "cam": [classes, CAM, CAM]}
    return [
        TensorSpec(name=name, dtype="float32", shape=["N", *shape], unit="1", meaning=name) for name, shape in shapes.items()
    ]


def _golden(network: bytes, classes: int) -> bytes:
    tiles = np.uint8(255 * (TISSUE_RGB + SHIFTS_RGB[:classes]))[:, None, None] * np.ones((1, TILE_PX, TILE_PX, 1), np.uint8)
    names = [spec.name for spec in _outputs(classes)]
    told = ort.InferenceSession(network, providers=["CPUExecutionProvider"]).run(names, {"tiles": tiles})
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, **{"input:tiles": tiles}, **{f"fp32:{name}": out for name, out in zip(names, told, strict=True)}
    )
    return buffer.getvalue()


def _predictions(labels: list[str], groups: int = 12, each: int = 4) -> pd.DataFrame:
    """Held-out cases: ``groups`` of each class, nine of ten of them called rightly."""
    rng = np.random.default_rng(2)
    count = len(labels) * groups * each
    truth = np.arange(count) % len(labels)
    called = np.where(rng.random(count) < 0.9, truth, rng.integers(0, len(labels), count))
    shares = rng.dirichlet(np.ones(len(labels)), count) * 0.4 + 0.6 * np.eye(len(labels))[called]
    frame = pd.DataFrame({"case": [f"{at}.png" for at in range(count)], "group": np.arange(count) // (each * len(labels))})
    frame = frame.assign(group=frame["group"].astype(str), label=np.array(labels)[truth], novelty=rng.random(count))
    even = np.full(count, 1 / len(labels))
    columns = {f"p_{label}": shares[:, at].astype(np.float32) for at, label in enumerate(labels)}
    return frame.assign(**columns, **{f"even__p_{label}": even for label in labels})


def _tasks(classes: list[ClassInfo]) -> list[DerivedTask]:
    malignant = [item.id for item in classes if item.role == "malignant"]
    others = [item.id for item in classes if item.role != "malignant"]
    tasks = [DerivedTask(id="invasive", title="Invasive or not", positive=malignant, negative=others)]
    abnormal = [item.id for item in classes if item.role != "benign"]
    benign = [item.id for item in classes if item.role == "benign"]
    return [*tasks, *([DerivedTask(id="abnormal", title="Abnormal", positive=abnormal, negative=benign)] if benign else [])]


def _model(classes: list[ClassInfo], model_id: str) -> Model:
    tasks = _tasks(classes)
    return Model(
        id=model_id, kind="tile", title="Colours of tiles", short="Colours", task="Name the colour of a tile",
        outcome="Its colour", architecture="Mean colour → dense", recipe="made", seed=0,
        variants=[
            Variant(
                precision="fp32", file=f"{model_id}/fp32.onnx", runs_on="cpu",
                tolerance={spec.name: 1e-4 for spec in _outputs(len(classes))},
            )
        ],
        inputs=_inputs(), outputs=_outputs(len(classes)), classes=classes, derived_tasks=tasks,
        tiles=TileInput(size_px=TILE_PX, spacing_um_px=SPACING_UM_PX, spacing_source="made so", steps_in_graph=["mean"]),
        calibration=Calibration(method="none", parameters={}, fitted_on="nothing"),
        thresholds=[Threshold(task=task.id, value=0.5, chosen_by="made so") for task in tasks],
        abstention=[Abstention(output="novelty", limit=NOVELTY_LIMIT, chosen_by="made so")],
        slide_rule=SlideRule(minimum_tiles=4, false_positive_share=0.05, novel_share_limit=0.5, chosen_by="made so"),
        training_data=[
            TrainingData(
                name="Drawn", licence="none needed", citation="none", nature="simulated", note="", grouped_by="picture",
                counts={"test": {item.id: 48 for item in classes}}, groups={"test": 12},
            )
        ],
        evaluation=Evaluation(
            predictions=f"{model_id}/predictions.parquet", precision="fp32", split="drawn",
            baselines=[Baseline(id="even", title="Every class alike")], published=[], notes=[],
        ),
        golden=f"{model_id}/golden.npz", intended_use=["Testing the app."], limits=["Knows colours alone."],
        known_failures=[],
    )  # fmt: skip


def _card(model_id: str) -> CardFacts:
    """Every field there must be, and nothing in it."""
    texts = [name for name, field in CardFacts.model_fields.items() if field.annotation is str and name != "licence_id"]
    of_model = [name for name, field in ModelFacts.model_fields.items() if field.annotation is str]
    return CardFacts(
        **dict.fromkeys(texts, NOT_REPORTED), licence_id="mit", licences=[Licence(part="All", licence="MIT")],
        citations=[
            Citation(
                key="made-2026", kind="misc", author="Nobody", title="Colours", year=2026, published_in="Nowhere",
                used_for="Nothing",
            )
        ],
        models={model_id: ModelFacts(keywords=["test"], **dict.fromkeys(of_model, NOT_REPORTED))},
    )  # fmt: skip
