"""A bundle as a Triton model repository: read with Triton's own protobuf, and replayed through what it says."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2 as triton

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.bundle.manifest import Model, TensorSpec, Variant
from cervix.cli import main
from cervix.errors import BundleError, NameRefused
from cervix.interop.folders import MARK
from cervix.interop.triton import entry_name, export_triton, quoted, takes_batches, version_number
from tests.bundle.altered import replace_file

NUMPY = {triton.TYPE_UINT8: np.uint8, triton.TYPE_INT32: np.int32, triton.TYPE_FP32: np.float32}
ONNX = {onnx.TensorProto.UINT8: triton.TYPE_UINT8, onnx.TensorProto.INT32: triton.TYPE_INT32,
        onnx.TensorProto.FLOAT: triton.TYPE_FP32}  # fmt: skip


@pytest.fixture(scope="module")
def exported(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "export"
    assert main(["bundle", "export", str(bundle_root), "--triton", str(folder), "--device", "cpu"]) == 0
    return folder


def config_of(exported: Path, model: Model, variant: Variant) -> Any:
    text = (exported / "models" / entry_name(model, variant) / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, triton.ModelConfig())


def graph_of(exported: Path, bundle: Bundle, model: Model, variant: Variant) -> Path:
    return exported / "models" / entry_name(model, variant) / str(version_number(bundle.manifest.version)) / "model.onnx"


def variants(bundle: Bundle) -> list[tuple[Model, Variant]]:
    return [(model, variant) for model in bundle.manifest.models for variant in model.variants]


def test_there_is_one_entry_a_variant_and_no_other_folder_in_the_repository(exported: Path, bundle: Bundle) -> None:
    entries = {path.name for path in (exported / "models").iterdir()}
    assert entries == {entry_name(model, variant) for model, variant in variants(bundle)}
    for model, variant in variants(bundle):
        config = config_of(exported, model, variant)
        assert config.name == entry_name(model, variant)
        assert (config.backend, config.default_model_filename) == ("onnxruntime", "model.onnx")
        assert config.version_policy.latest.num_versions == 1
        assert graph_of(exported, bundle, model, variant).read_bytes() == (bundle.root / variant.file).read_bytes()
        (group,) = config.instance_group
        wanted = triton.ModelInstanceGroup.KIND_GPU if variant.runs_on == "cuda" else triton.ModelInstanceGroup.KIND_CPU
        assert (group.kind, group.count) == (wanted, 1)
        assert config.HasField("dynamic_batching") == takes_batches(model)
        assert config.parameters["cervix_notice"].string_value == RESEARCH_NOTICE
        assert config.parameters["cervix_bundle_sha256"].string_value == bundle.sha256


def test_inputs_and_outputs_are_those_of_the_graph_by_triton_s_rule_of_batches(exported: Path, bundle: Bundle) -> None:
    for model, variant in variants(bundle):
        config = config_of(exported, model, variant)
        assert config.max_batch_size > 0, "every model of ours takes batches"
        graph = onnx.load(graph_of(exported, bundle, model, variant), load_external_data=False).graph
        for told, real in ((config.input, graph.input), (config.output, graph.output)):
            types = {value.name: value.type.tensor_type for value in real}
            assert {tensor.name for tensor in told} == set(types)
            for tensor in told:
                assert tensor.data_type == ONNX[types[tensor.name].elem_type]
                first, *rest = types[tensor.name].shape.dim
                assert first.dim_param, "the batch"
                inner = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
                assert list(inner) == [-1 if size.dim_param else size.dim_value for size in rest]


def test_labels_are_the_classes_in_the_order_of_the_probabilities(exported: Path, bundle: Bundle) -> None:
    for model, variant in variants(bundle):
        config = config_of(exported, model, variant)
        labelled = [output for output in config.output if output.label_filename]
        assert [output.name for output in labelled] == [spec.name for spec in model.outputs if spec.name == "probabilities"]
        for output in labelled:
            file = exported / "models" / config.name / output.label_filename
            assert file.read_text(encoding="utf-8").split() == model.class_ids
            assert list(output.dims) == [len(model.class_ids)]


def golden(bundle: Bundle, model: Model) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO((bundle.root / model.golden).read_bytes()), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def sent(tensor: Any, values: NDArray[Any], batch: int) -> NDArray[Any]:
    """What the graph gets of a request: checked as Triton checks it, and reshaped as the configuration says."""
    asked = values.reshape(batch, *(values.shape[1:] or (1,)))
    assert asked.dtype == NUMPY[tensor.data_type]
    assert len(asked.shape) == len(tensor.dims) + 1
    assert all(wanted in (-1, found) for wanted, found in zip(tensor.dims, asked.shape[1:], strict=True))
    return asked.reshape(batch, *tensor.reshape.shape) if tensor.HasField("reshape") else asked


def test_golden_vectors_come_back_through_what_the_configuration_says(exported: Path, bundle: Bundle) -> None:
    for model, variant in variants(bundle):
        config, cases = config_of(exported, model, variant), golden(bundle, model)
        session = ort.InferenceSession(graph_of(exported, bundle, model, variant), providers=["CPUExecutionProvider"])
        count = len(cases[f"input:{config.input[0].name}"])
        for start in range(0, count, config.max_batch_size):
            batch = slice(start, min(start + config.max_batch_size, count))
            size = batch.stop - start
            feeds = {tensor.name: sent(tensor, cases[f"input:{tensor.name}"][batch], size) for tensor in config.input}
            answers = session.run([output.name for output in config.output], feeds)
            for output, values in zip(config.output, answers, strict=True):
                expected = cases[f"{variant.precision}:{output.name}"][batch]
                assert np.allclose(values, expected, rtol=0, atol=variant.tolerance[output.name], equal_nan=True)
                told = values.reshape(size, *(values.shape[1:] or (1,)))
                assert all(wanted in (-1, found) for wanted, found in zip(output.dims, told.shape[1:], strict=True))


def test_the_warm_up_files_hold_the_first_golden_case(exported: Path, bundle: Bundle) -> None:
    for model, variant in variants(bundle):
        config, cases = config_of(exported, model, variant), golden(bundle, model)
        (warm,) = config.model_warmup
        assert warm.batch_size == 1
        assert set(warm.inputs) == {tensor.name for tensor in config.input}
        for name, told in warm.inputs.items():
            content = (exported / "models" / config.name / "warmup" / told.input_data_file).read_bytes()
            values = np.frombuffer(content, NUMPY[told.data_type]).reshape(tuple(told.dims))
            first = cases[f"input:{name}"][0]
            assert np.array_equal(values.reshape(first.shape), first, equal_nan=first.dtype.kind == "f")


def test_what_lies_beside_it_says_what_it_is_and_what_was_not_run(exported: Path, bundle: Bundle) -> None:
    text = (exported / "README.md").read_text(encoding="utf-8")
    assert RESEARCH_NOTICE in text
    assert bundle.sha256 in text
    assert "No Triton server, no KServe" in text
    assert all(entry_name(model, variant) in text for model, variant in variants(bundle))
    service = yaml.safe_load((exported / "inference-service.yaml").read_text(encoding="utf-8"))
    assert (service["kind"], service["apiVersion"]) == ("InferenceService", "serving.kserve.io/v1beta1")
    assert service["spec"]["predictor"]["model"]["modelFormat"] == {"name": "triton"}
    assert json.loads((exported / MARK).read_bytes())["bundle_sha256"] == bundle.sha256


def test_an_export_replaces_its_own_and_nothing_else(bundle_root: Path, tmp_path: Path) -> None:
    target = tmp_path / "export"
    target.mkdir()
    export_triton(bundle_root, target)
    export_triton(bundle_root, target)
    for strange in ("notes.txt", "models/notes.txt"):
        (target / strange).write_text("mine")
        with pytest.raises(NameRefused, match="overwrite"):
            export_triton(bundle_root, target)
        assert (target / strange).read_text() == "mine"
        (target / strange).unlink()
    (target / "README.md").write_text("changed by hand")
    with pytest.raises(NameRefused):
        export_triton(bundle_root, target)
    assert (target / "README.md").read_text() == "changed by hand"
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(NameRefused):
        export_triton(bundle_root, tmp_path / "link")


def test_a_bundle_that_does_not_answer_as_recorded_is_not_exported(bundle: Bundle, tmp_path: Path) -> None:
    root = Path(shutil.copytree(bundle.root, tmp_path / "bundle"))
    model = bundle.manifest.models[0]
    cases = golden(bundle, model)
    name = f"{model.variants[0].precision}:{model.outputs[0].name}"
    cases[name] = cases[name] + np.float32(0.5)
    buffer = io.BytesIO()
    np.savez(buffer, **cases)
    replace_file(root, model.golden, buffer.getvalue())
    with pytest.raises(BundleError, match="does not answer as recorded"):
        export_triton(root, tmp_path / "export")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_a_later_version_has_a_larger_number() -> None:
    versions = ["0.0.1", "0.6.0", "0.7.1", "0.10.0", "1.0.0", "1.0.1", "2.999.999"]
    numbers = [version_number(version) for version in versions]
    assert numbers == sorted(set(numbers))
    assert min(numbers) >= 1
    for version in ("0.0.0", "0.1000.0"):
        with pytest.raises(BundleError):
            version_number(version)


def test_any_text_can_stand_in_a_configuration() -> None:
    text = 'a "quoted" \\ text\nof two lines, µm, {braces} # and more'
    config = text_format.Parse(f"name: {quoted(text)}", triton.ModelConfig())
    assert config.name == text


def test_a_graph_without_a_batch_dimension_is_served_without_batches(bundle: Bundle) -> None:
    model = bundle.manifest.models[0]
    fixed = [spec.model_copy(update={"shape": [8, *spec.shape[1:]]}) for spec in model.inputs]
    assert takes_batches(model)
    assert not takes_batches(model.model_copy(update={"inputs": fixed}))
    odd = [*model.outputs, TensorSpec(name="x", dtype="float32", shape=["M"], unit="", meaning="")]
    assert not takes_batches(model.model_copy(update={"outputs": odd}))
