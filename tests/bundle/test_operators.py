"""A graph that could run for ever or take any amount of memory is refused before a session is made of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cervix.bundle import load_bundle
from cervix.bundle.operators import check_operators
from cervix.errors import BundleError
from tests.bundle.altered import bundle_of_risk_models, replace_file

RISK = "risk-factors/fp32.onnx"
INPUT = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])


def graph(nodes: list[onnx.NodeProto], initializers: tuple[onnx.TensorProto, ...] = (), **more: object) -> onnx.ModelProto:
    """A model of some nodes from ``x`` to ``y``."""
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])
    made = helper.make_graph(nodes, "g", [INPUT], [answer], initializer=list(initializers))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.other", 1)], **more)


def constant(name: str, values: object, dtype: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def node(operator: str, inputs: list[str], outputs: list[str], **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, **attributes)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("endless_loop.onnx", "uses an operator that is not allowed.*found Loop"),
        ("expands_to_terabytes.onnx", "a tensor that is too large.*48 GB, of Expand"),
    ],
)
def test_graphs_that_once_hung_or_failed_are_refused_by_name(
    cases_dir: Path, tmp_path: Path, name: str, sentence: str
) -> None:  # fmt: skip
    root = bundle_of_risk_models(tmp_path / "bundle")
    replace_file(root, RISK, (cases_dir / "hostile" / name).read_bytes())
    with pytest.raises(BundleError, match=sentence):
        load_bundle(root, device="cpu")


def sized(operator: str, inputs: list[str], *constants: onnx.TensorProto, **attributes: object) -> onnx.ModelProto:
    """``operator`` alone, its answer reduced to one number and added to the input's mean."""
    nodes = [
        node(operator, inputs, ["large"], **attributes), node("Cast", ["large"], ["floats"], to=TensorProto.FLOAT),
        node("ReduceSum", ["floats"], ["sum"], keepdims=0), node("ReduceMean", ["x", "one"], ["mean"], keepdims=0),
        node("Add", ["sum", "mean"], ["y"]),
    ]  # fmt: skip
    return graph(nodes, (constant("one", [1]), *constants))


BIG = [200_000, 60_000]


@pytest.mark.parametrize(
    "model",
    [
        sized("ConstantOfShape", ["shape"], constant("shape", BIG)),
        sized("Expand", ["unit", "shape"], constant("unit", [[1.0]], np.float32), constant("shape", BIG)),
        sized("Tile", ["unit", "times"], constant("unit", [[1.0]], np.float32), constant("times", BIG)),
        sized("Pad", ["x", "pads"], constant("pads", [0, 0, 1 << 30, 1 << 30])),
        sized("OneHot", ["index", "depth", "values"], constant("index", [0] * 64), constant("depth", 1 << 40),
              constant("values", [0, 1])),
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Pad", "OneHot"],
)  # fmt: skip
def test_terabytes_from_constants_are_refused_whatever_makes_them(model: onnx.ModelProto) -> None:
    with pytest.raises(BundleError, match="a tensor that is too large"):
        check_operators(model, "f")


def test_terabytes_from_the_inputs_own_size_are_refused() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]), node("Mul", ["s", "s"], ["s2"]), node("Mul", ["s2", "s2"], ["s4"]),
        node("Mul", ["s4", "s2"], ["s6"]), node("ConstantOfShape", ["s6"], ["large"]), node("ReduceSum", ["large"], ["y"]),
    ]  # fmt: skip
    with pytest.raises(BundleError, match="too large"):
        check_operators(graph(nodes), "f")


def test_a_size_that_depends_on_values_of_the_input_is_refused() -> None:
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0), node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
        node("Unsqueeze", ["whole", "zero"], ["shape"]), node("ConstantOfShape", ["shape"], ["large"]),
        node("ReduceSum", ["large"], ["y"]),
    ]  # fmt: skip
    with pytest.raises(BundleError, match="a size that cannot be told beforehand"):
        check_operators(graph(nodes, (constant("zero", [0]),)), "f")


def test_an_answer_that_says_to_be_small_is_not_believed() -> None:
    with pytest.raises(BundleError, match="too large"):
        check_operators(graph([node("ConstantOfShape", ["shape"], ["y"])], (constant("shape", [1 << 40]),)), "f")


def branch() -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [])


def sparse() -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(constant("v", [1.0], np.float32), constant("i", [3]), [1 << 40])


def external() -> onnx.TensorProto:
    tensor = constant("outside", [1.0], np.float32)
    onnx.external_data_helper.set_external_data(tensor, "/etc/hostname")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


FUNCTION = helper.make_function(
    "com.other", "Loop2", ["a"], ["b"], [node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 18)]
)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (graph([node("If", ["x"], ["y"], then_branch=branch(), else_branch=branch())]), "found If"),
        (graph([node("Scan", ["x"], ["y"], body=branch(), num_scan_inputs=1)]), "found Scan"),
        (graph([node("Identity", ["x"], ["y"], body=branch())]), "one in Identity"),
        (graph([node("Identity", ["x"], ["y"], domain="com.other")]), r"found com\.other\.Identity"),
        (graph([node("Loop2", ["x"], ["y"], domain="com.other")], functions=[FUNCTION]), "a function"),
        (graph([node("Constant", [], ["y"], sparse_value=sparse())]), "one in Constant"),
        (graph([node("Constant", [], ["y"], value=external())]), "keeps its weights in another file"),
        (graph([node("Identity", ["w"], ["y"])], (external(),)), "keeps its weights in another file"),
        (graph([node("Identity", ["w"], ["y"])], (TensorProto(name="w", data_type=1, dims=[1 << 50]),)), "a constant of"),
        (graph([node("Range", ["start", "end", "step"], ["y"])], (constant("end", 1 << 40),)), "found Range"),
        (graph([node("RandomNormal", [], ["y"], shape=[1])]), "found RandomNormal"),
        (graph([node("MatMul", ["x", "w"], ["y"])], (constant("w", np.ones((5, 1)), np.float32),)), "do not fit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_hides_other_graphs_or_data_is_refused(model: onnx.ModelProto, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence) as refusal:
        check_operators(model, "f")
    assert "\n" not in str(refusal.value)
