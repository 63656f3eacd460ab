"""A slide head over the embeddings of the made tile model: it looks at the tiles that are most like carcinoma."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import DerivedTask, Model, TensorSpec
from cervix.bundle.sessions import Arrays
from cervix.patients.joint import EMBEDDING_SIZE
from tests.bundle.made.graph import Node, answers, graph
from tests.bundle.made.tiles import FOUR, centres_rgb, class_of, embedding_of_colour
from tests.bundle.made.whole import baselines, model_of, sigmoid
from training.shared.manifest_parts import add_probabilities, write_golden

HEAD_ID: Final = "looking"
HEAD_CLASSES: Final = (
    class_of("clear", "No carcinoma", "Clear", "#009E73", "benign"),
    class_of("carcinoma", "Carcinoma", "Carcinoma", "#D55E00", "malignant"),
)
TASK: Final = "carcinoma-on-slide"
SLOPE: Final = 0.02
"""Log odds of carcinoma for each unit of colour by which a tile is nearer to carcinoma than to benign tissue."""


def tensor(name: str, *shape: int | str) -> TensorSpec:
    """An input or output of a head, of one slide."""
    return TensorSpec.model_validate({"name": name, "dtype": "float32", "shape": list(shape), "unit": "1", "meaning": name})


def head_inputs(size: int = EMBEDDING_SIZE) -> list[TensorSpec]:
    """What a slide head reads."""
    return [tensor("embeddings", "T", size), tensor("positions", "T", 2)]


def head_outputs() -> list[TensorSpec]:
    """What this head answers; ``focus`` is the place in micrometres at which it looked, on average."""
    return [tensor("probabilities", 1, 2), tensor("attention", "T"), tensor("focus", 1, 2)]


def write_head_model(root: Path, reads: str, *, nodes: list[Node] | None = None, **changed: Any) -> Model:
    """Write a slide head that reads the made tile model of the classes ``FOUR``, and its files under ``root``.

    Parameters
    ----------
    nodes : in place of those of a head that is as it should be
    changed : fields of its entry
    """
    inputs, outputs = head_inputs(), head_outputs()
    network = graph(nodes or NODES, constants(), inputs, outputs)
    golden = golden_slide()
    write_golden(root / HEAD_ID / "golden.npz", golden, {"fp32": answers(network, golden)})
    made = {
        "kind": "slide-head", "reads": reads, "title": "Carcinoma on a slide, by what it looks at", "short": "Looking head",
        "inputs": inputs, "outputs": outputs, "classes": list(HEAD_CLASSES), "thresholds": {TASK: 0.5},
        "derived_tasks": [DerivedTask(id=TASK, title="Carcinoma on the slide", positive=["carcinoma"], negative=["clear"])],
        "evaluation": {"baselines": baselines(rule="Share of tiles called cancerous")},
    }  # fmt: skip
    return model_of(root, HEAD_ID, network, {"fp32": "cpu"}, _slides_drawn(), **made | changed)


def golden_slide(count: int = 12) -> Arrays:
    """Tiles of all made classes along a diagonal: ``embeddings (count, 512)``, ``positions (count, 2)``."""
    colours = centres_rgb(FOUR)[np.arange(count) % len(FOUR)]
    places = 112.0 * np.arange(count)[:, None] * np.ones((1, 2))
    return {"embeddings": np.float32(colours @ embedding_of_colour()), "positions": np.float32(places)}


NODES: Final[list[Node]] = [
    ("MatMul", ["embeddings", "towards"], "column", {}), ("Add", ["column", "offset"], "odds", {}),
    ("Squeeze", ["odds", "one"], "tile_odds", {}), ("Softmax", ["tile_odds"], "attention", {"axis": 0}),
    ("Unsqueeze", ["attention", "zero"], "row", {}), ("MatMul", ["row", "odds"], "slide_odds", {}),
    ("MatMul", ["slide_odds", "sides"], "logits", {}), ("Softmax", ["logits"], "probabilities", {"axis": 1}),
    ("MatMul", ["row", "positions"], "focus", {}),
]  # fmt: skip


def constants() -> Mapping[str, Any]:
    """Weights of the head: the direction in colour from benign tissue to carcinoma."""
    benign, malignant = centres_rgb(FOUR)[0], centres_rgb(FOUR)[2]
    towards = SLOPE * (malignant - benign)
    return {
        "towards": (embedding_of_colour().T @ towards)[:, None], "offset": -float(towards @ (malignant + benign)) / 2,
        "sides": np.array([[-1.0, 1.0]]), "one": np.int64([1]), "zero": np.int64([0]),
    }  # fmt: skip


def _slides_drawn(count: int = 80) -> pd.DataFrame:
    """Held-out slides whose truth is drawn from the head's own answers, each of a group of its own."""
    rng = np.random.default_rng(6)
    odds: NDArray[np.float64] = rng.normal(0, 2.5, count)
    truth = np.where(rng.random(count) < sigmoid(odds), "carcinoma", "clear")
    frame = pd.DataFrame({"case": [f"slide-{at}" for at in range(count)], "group": [f"g{at}" for at in range(count)]})
    frame = frame.assign(label=truth)
    for prefix, values in (("p_", odds), ("rule__p_", odds + rng.normal(0, 2, count))):
        shares = np.stack([1 - sigmoid(values), sigmoid(values)], axis=1)
        add_probabilities(frame, prefix, [item.id for item in HEAD_CLASSES], shares.astype(np.float32))
    return frame
