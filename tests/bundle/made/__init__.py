"""Bundles made on the spot in a second or two: small graphs that answer sensibly, by rules that can be read here.

``write_bundle`` writes one of every kind of model that the app reads, under the ids and classes that its texts speak of;
``write_tile_bundle`` one of a tile model alone, with whatever classes a test wants.
"""

from collections.abc import Sequence
from pathlib import Path

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import Model
from tests.bundle.made.heads import HEAD_ID, write_head_model
from tests.bundle.made.patients import write_table_model
from tests.bundle.made.tiles import FOUR, MODEL_ID, SHIPPED_CLASSES, class_of, write_slide, write_tile_model
from tests.bundle.made.whole import write_manifest
from tests.bundle.made.women import write_history_model, write_joint_model

__all__ = [
    "FOUR",
    "HEAD_ID",
    "MODEL_ID",
    "SHIPPED_CLASSES",
    "class_of",
    "write_bundle",
    "write_head_bundle",
    "write_risk_bundle",
    "write_slide",
    "write_tile_bundle",
    "write_two_histories",
]


def write_bundle(root: Path) -> Path:
    """A bundle with a model of tiles, one of visits, one of both and two of risk factors, under ``root``."""
    return write_manifest(
        root,
        [
            write_tile_model(root, "slide", SHIPPED_CLASSES, precisions={"fp16": "cuda", "int8": "cpu"}),
            write_history_model(root, "history"),
            write_joint_model(root, "hybrid"),
            *_risk_models(root),
        ],
    )


def write_risk_bundle(root: Path) -> Path:
    """A bundle with the two models of risk factors alone, under ``root``."""
    return write_manifest(root, _risk_models(root))


def _risk_models(root: Path) -> list[Model]:
    return [
        write_table_model(root, "risk-factors", with_tests=False),
        write_table_model(root, "risk-factors-with-tests", with_tests=True),
    ]


def write_two_histories(root: Path) -> Path:
    """A bundle with two models of visits, and those of risk factors, under ``root``.

    The second, ``history-boosting``, answers the same questions with odds that are e times as high, and is no ensemble.
    """
    boosting = write_history_model(
        root, "history-boosting", "Boosting on summaries of visits", "Boosting", odds_higher=1.0, is_ensemble=False
    )
    return write_manifest(root, [write_history_model(root, "history"), boosting, *_risk_models(root)])


def write_tile_bundle(root: Path, classes: Sequence[ClassInfo] = FOUR, model_id: str = MODEL_ID) -> Path:
    """A bundle with one tile model of these classes (at most six, one of them malignant) under ``root``."""
    return write_manifest(root, [write_tile_model(root, model_id, classes)])


def write_head_bundle(root: Path) -> Path:
    """A bundle with a tile model of the classes ``FOUR`` and a slide head that reads it, under ``root``."""
    return write_manifest(root, [write_tile_model(root, MODEL_ID, FOUR), write_head_model(root, MODEL_ID)])
