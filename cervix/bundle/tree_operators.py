"""Operators on tables of numbers that a bundle may hold: ONNX's own for scalers, linear models and ensembles of trees.

They are listed apart because ONNX infers few of their sizes, and because a tree is a graph of its own: one that leads back to
itself would be walked for ever, one that asks for a column that is not there would be read beyond its end.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from cervix.errors import BundleError

TREE_DOMAIN: Final = "ai.onnx.ml"
# What skl2onnx and onnxmltools write for scalers, imputers, linear models, forests and boosting. None of them reads text.
TREE_OPERATORS: Final = frozenset({
    "ArrayFeatureExtractor", "Binarizer", "Imputer", "LinearClassifier", "LinearRegressor", "Normalizer", "Scaler",
    "TreeEnsembleClassifier", "TreeEnsembleRegressor",
})  # fmt: skip
ENSEMBLES: Final = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
OF_NODES: Final = (
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_truenodeids", "nodes_falsenodeids"
)  # fmt: skip
LEAF: Final = b"LEAF"


def told_shape(node: onnx.NodeProto, inputs: Sequence[Sequence[int]], kind: int) -> list[onnx.ValueInfoProto]:
    """Kinds and sizes of the outputs of one of ``TREE_OPERATORS`` whose first input has ``(rows, columns)``.

    Parameters
    ----------
    inputs : sizes of the inputs, in order
    kind : ``onnx.TensorProto.DataType`` of the first
    """
    said = _settings(node)
    rows, columns = _two(inputs[0])
    named = dict(enumerate(node.output))
    if node.op_type in ("TreeEnsembleClassifier", "LinearClassifier"):
        words = said.get("classlabels_strings", [])
        whole = said.get("classlabels_int64s", said.get("classlabels_ints", []))
        shapes = [
            (TensorProto.STRING if words else TensorProto.INT64, [rows]),
            (TensorProto.FLOAT, [rows, max(1, len(words) or len(whole))]),
        ]
    elif node.op_type in ("TreeEnsembleRegressor", "LinearRegressor"):
        shapes = [(TensorProto.FLOAT, [rows, int(said.get("n_targets", said.get("targets", 1)))])]
    elif node.op_type == "ArrayFeatureExtractor":
        shapes = [(kind, [*inputs[0][:-1], math.prod(inputs[1])] if len(inputs[0]) > 1 else [1, math.prod(inputs[1])])]
    else:
        shapes = [(TensorProto.FLOAT, [rows, columns])]
    return [helper.make_tensor_value_info(named[at], kind, shape) for at, (kind, shape) in enumerate(shapes) if named.get(at)]


def check_reach(node: onnx.NodeProto, read: Sequence[int], name: str) -> None:
    """Refuse an operator that would walk for ever, or read or write beyond what is there.

    Parameters
    ----------
    read : sizes of the first input
    name : of the file, for the message

    Raises
    ------
    BundleError
    """
    said, columns = _settings(node), _two(read)[1]
    if node.op_type in ENSEMBLES:
        _check_trees(said, columns, name)
    elif node.op_type in ("LinearClassifier", "LinearRegressor"):
        answers = len(said.get("intercepts", [])) if node.op_type == "LinearClassifier" else int(said.get("targets", 1))
        if len(found := said.get("coefficients", [])) != answers * columns:
            raise BundleError(
                f"{name} holds a linear model of other inputs than it is given",
                expected=f"{answers} × {columns} coefficients",
                found=str(len(found)),
            )


def _check_trees(said: Mapping[str, Any], width: int, name: str) -> None:
    """Every node must have at most one parent and a root none, within one tree: then no walk comes back to where it was."""
    lists = [said.get(key, []) for key in OF_NODES]
    if len({len(values) for values in lists}) != 1 or not lists[0]:
        raise _not_trees(name, "lists of unequal length")
    trees, ids, columns = (np.asarray(values, np.int64) for values in lists[:3])
    inner = np.array([mode != LEAF for mode in lists[3]])
    places = {pair: at for at, pair in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    if len(places) != len(ids):
        raise _not_trees(name, "a node that is there twice")
    parents = np.zeros(len(ids), np.int64)
    for children in (np.asarray(values, np.int64) for values in lists[4:]):
        for tree, child in zip(trees[inner].tolist(), children[inner].tolist(), strict=True):
            at = places.get((tree, child))
            if at is None:
                raise _not_trees(name, "a branch that leads nowhere")
            parents[at] += 1
    # A tree begins where it is first named.
    roots = np.unique(trees, return_index=True)[1]
    if (parents > 1).any() or parents[roots].any():
        raise _not_trees(name, "a branch that leads back, or two to one node")
    if inner.any() and not (columns[inner].min() >= 0 and columns[inner].max() < width):
        raise _not_trees(name, f"column {int(columns[inner].max()) + 1} of {width}")
    side = "class" if "class_ids" in said else "target"
    labels = said.get("classlabels_strings", said.get("classlabels_int64s", []))
    answers = len(labels) if side == "class" else int(said.get("n_targets", 1))
    told = said.get(f"{side}_ids", [])
    leaves = list(zip(said.get(f"{side}_treeids", []), said.get(f"{side}_nodeids", []), strict=False))
    if len(told) != len(leaves) or any(leaf not in places for leaf in leaves) or any(not 0 <= at < answers for at in told):
        raise _not_trees(name, "an answer of no leaf, or of no class")


def _settings(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _two(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns; a row of numbers is one row."""
    if len(shape) < 2:
        return 1, int(shape[0]) if shape else 1
    return int(shape[0]), math.prod(int(size) for size in shape[1:])


def _not_trees(name: str, found: str) -> BundleError:
    return BundleError(
        f"{name} holds an ensemble that is not made of trees over its inputs",
        expected="each node once, below one other of its tree, asking for a column that is there",
        found=found,
    )
