"""A slide head from elsewhere, slides for it, and what its owner says."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from cervix.slides.pyramid import write_pyramid
from tests.bundle.made import FOUR, MODEL_ID
from tests.bundle.made.graph import Node, graph
from tests.bundle.made.heads import HEAD_CLASSES, constants, tensor
from tests.bundle.made.tiles import SPACING_UM_PX, TILE_PX, centres_rgb, tissue_of

SIZE = 512
SIZE_PX = (4 * TILE_PX, 4 * TILE_PX)
NODES: list[Node] = [
    ("Squeeze", ["bag", "zero"], "tiles", {}), ("MatMul", ["tiles", "towards"], "column", {}),
    ("Add", ["column", "offset"], "odds", {}), ("Squeeze", ["odds", "one"], "looked", {}),
    ("Softmax", ["looked"], "shares", {"axis": 0}), ("Unsqueeze", ["shares", "zero"], "row", {}),
    ("MatMul", ["row", "odds"], "slide_odds", {}), ("MatMul", ["slide_odds", "sides"], "logits", {}),
    ("Softmax", ["logits"], "answer", {"axis": 1}),
]  # fmt: skip
"""Of a head as PyTorch exports it: a batch of one slide, scores of attention before the softmax."""


def write_head(path: Path, *, nodes: list[Node] | None = None, inputs: list[Any] | None = None, answer: str = "answer") -> Path:
    """The head as an ONNX file."""
    reads = inputs or [tensor("bag", 1, "n", SIZE)]
    answers = [tensor(answer, 1, 2), tensor("looked", "n")]
    path.write_bytes(graph(nodes or NODES, constants(), reads, answers))
    onnx.checker.check_model(onnx.load(path))
    return path


def said(**changed: Any) -> dict[str, Any]:
    """What the owner says; ``changed`` are tables by name, merged into those that are right."""
    words = "Drawn by a test"
    source = {
        "name": words, "licence": "CC0", "citation": words, "nature": "simulated", "note": "Drawn.", "grouped_by": "seed",
    }  # fmt: skip
    about: dict[str, Any] = {
        "kind": "slide-head",
        "reads": MODEL_ID,
        "model": {
            "id": "their-head", "title": "A head of others", "short": "Their head", "task": "Calls carcinoma on a slide",
            "outcome": "Carcinoma was drawn", "architecture": "Attention", "intended_use": [words], "limits": [words],
            "known_failures": [words],
        },
        "classes": [item.model_dump(include={"id", "title", "short", "colour", "role"}) for item in HEAD_CLASSES],
        "input": {"embeddings": "bag"},
        "output": {"name": "answer", "activation": "softmax", "attention": {"name": "looked", "gives": "scores"}},
        "trained_on": [source],
        "held_out": source,
        "card": {
            "keywords": ["test"], "intended_users": words, "how_to_use": words, "population": words, "out_of_scope": words,
            "biases_and_ethics": words, "clinical_risk_level": words,
        },
        "licences": [{"part": "Their head", "licence": "CC0"}],
        "citations": [
            {
                "key": "others", "kind": "misc", "author": "Others", "title": "A head", "year": 2026, "published_in": "A test",
                "used_for": "The head",
            }
        ],
    }  # fmt: skip
    return {name: {**about[name], **changed[name]} if name in changed else about[name] for name in about}


def write_slides(folder: Path, groups: int) -> pd.DataFrame:
    """A slide of each class in each split and group, with their ``slides.csv``, which is returned."""
    folder.mkdir(parents=True)
    rows = []
    for split in ("validation", "test"):
        for label, colours in (("clear", [0, 0]), ("carcinoma", [0, 2])):
            for group in range(groups):
                name = f"{split}-{label}-{group}.tiff"
                bands = [tissue_of(centres_rgb(FOUR)[of], *SIZE_PX, seed=len(rows) + 1) for of in colours]
                write_pyramid(folder / name, np.concatenate(bands, axis=1), SPACING_UM_PX)
                rows.append((name, label, f"patient {split}-{label}-{group}", split))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "split"])
    table.to_csv(folder / "slides.csv", index=False)
    return table


def drawn_slide(count: int = 6) -> dict[str, np.ndarray]:
    """Embeddings and positions of so many tiles."""
    rng = np.random.default_rng(2)
    return {
        "embeddings": rng.normal(size=(count, SIZE)).astype(np.float32),
        "positions": rng.uniform(0, 5000, (count, 2)).astype(np.float32),
    }
