"""Ensembles of trees in a bundle: what converters write is allowed; a walk that would not end, or reads beyond, is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cervix.bundle.operators import LAYERS_AT_MOST, check_operators
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.errors import BundleError

COLUMNS = 4


def ensemble(**changes: Any) -> onnx.ModelProto:
    """One tree of two leaves over the third column, behind a scaler, with the operators that follow it in practice."""
    said: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [2, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0, 0],
        "class_nodeids": [1, 2],
        "class_ids": [0, 0],
        "class_weights": [-1.0, 1.0],
        "classlabels_int64s": [0, 1],
        "post_transform": "LOGISTIC",
    }
    nodes = [
        helper.make_node("Scaler", ["x"], ["scaled"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]),
        helper.make_node("TreeEnsembleClassifier", ["scaled"], ["label", "shares"], domain="ai.onnx.ml", **(said | changes)),
        helper.make_node("Identity", ["shares"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", COLUMNS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def test_a_tree_is_allowed_and_answers() -> None:
    check_operators(ensemble(), "f")
    session = open_session(ensemble().SerializeToString(), CPU_PROVIDER)
    (shares,) = session.run(["y"], {"x": np.array([[9, 9, 0, 9], [0, 0, 1, 0]], np.float32)})
    assert (shares[:, 1] > 0.5).tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"nodes_truenodeids": [0, 0, 0]}, "a branch that leads back"),
        ({"nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"], "nodes_truenodeids": [1, 0, 0],
          "nodes_falsenodeids": [2, 2, 0]}, "a branch that leads back, or two to one node"),
        ({"nodes_truenodeids": [2, 0, 0]}, "two to one node"),
        ({"nodes_truenodeids": [7, 0, 0]}, "a branch that leads nowhere"),
        ({"nodes_featureids": [COLUMNS, 0, 0]}, "column 5 of 4"),
        ({"nodes_featureids": [-1, 0, 0]}, "column 0 of 4"),
        ({"nodes_nodeids": [0, 1, 1]}, "a node that is there twice"),
        ({"nodes_featureids": [2, 0]}, "lists of unequal length"),
        ({"class_ids": [0, 2]}, "an answer of no leaf, or of no class"),
        ({"class_nodeids": [1, 5]}, "an answer of no leaf, or of no class"),
    ],
)  # fmt: skip
def test_an_ensemble_that_is_not_made_of_trees_is_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(BundleError, match=f"not made of trees over its inputs.*{found}"):
        check_operators(ensemble(**changes), "f")


def test_a_linear_model_of_more_inputs_than_it_is_given_is_refused() -> None:
    said = {"coefficients": [1.0] * 2 * (COLUMNS + 1), "intercepts": [0.0, 0.0], "classlabels_ints": [0, 1]}
    model = ensemble()
    model.graph.node[1].CopyFrom(
        helper.make_node("LinearClassifier", ["scaled"], ["label", "shares"], domain="ai.onnx.ml", **said)
    )
    with pytest.raises(BundleError, match="a linear model of other inputs.*expected 2 × 4 coefficients; found 10"):
        check_operators(model, "f")


def test_a_chain_that_would_take_long_to_look_through_is_refused() -> None:
    model = ensemble()
    scalers = [
        helper.make_node("Scaler", [f"s{at}" if at else "x"], [f"s{at + 1}"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
        for at in range(LAYERS_AT_MOST + 1)
    ]
    model.graph.node.extend(scalers)
    with pytest.raises(BundleError, match="a size that cannot be told beforehand, of Scaler"):
        check_operators(model, "f")


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda model: setattr(model.graph.node[1], "op_type", "SVMClassifier"),
        lambda model: setattr(model.graph.node[0], "domain", "com.other"),
    ],
    ids=["another operator of that domain", "another domain"],
)
def test_others_are_not_allowed(spoilt: Callable[[onnx.ModelProto], None]) -> None:
    model = ensemble()
    spoilt(model)
    with pytest.raises(BundleError, match="an operator that is not allowed"):
        check_operators(model, "f")
