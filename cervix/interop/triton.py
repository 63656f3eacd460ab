"""A bundle as a model repository of NVIDIA Triton Inference Server, which KServe takes too.

A model of the bundle has one entry for each variant, ``slide-int8`` and ``slide-fp16``, because they are for other devices and
answer a little differently: whoever calls says which. Format: https://github.com/triton-inference-server/server, "Model
repository" and "Model configuration"; ``config.pbtxt`` is the text form of ``inference.ModelConfig``.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle.manifest import Model, TensorSpec, Variant
from cervix.bundle.sessions import CPU_BATCH_SIZE, CUDA_BATCH_SIZE, Device
from cervix.errors import BundleError
from cervix.interop.folders import folder_written_whole, require_free
from cervix.interop.proved_files import ProvedFiles, proved_files
from cervix.interop.triton_readme import inference_service, readme

KIND: Final = "Triton model repository"
REPOSITORY: Final = "models"
"""Where the repository lies in what is exported: a server takes every folder in it for a model."""
GRAPH, LABELS, WARM_UP = "model.onnx", "labels.txt", "warmup"
TYPES: Final = {"uint8": "TYPE_UINT8", "int32": "TYPE_INT32", "float32": "TYPE_FP32"}
WOMEN_A_BATCH: Final = 256
"""Histories of equal length are small: 256 of 12 visits take 2 MB."""
QUEUE_DELAY_US: Final = 2000
"""A request waits at most so long for others: a tenth of the time that a batch of tiles takes on a GPU."""
LARGEST_PART: Final = 1000


def export_triton(root: Path, target: Path, *, device: Device = "cpu") -> list[str]:
    """Write a bundle as a model repository, its README and a KServe service beside it; returns the names of its models.

    Raises
    ------
    BundleError
        Where the bundle does not prove itself, or its version cannot be one of Triton's.
    NameRefused
        Where ``target`` holds anything but an earlier export.
    """
    require_free(target, KIND)
    files = proved_files(root, device=device)
    version = version_number(files.manifest.version)
    with folder_written_whole(target, KIND, files.origin) as folder:
        for model in files.manifest.models:
            for variant in model.variants:
                _write_model(folder / REPOSITORY / entry_name(model, variant), model, variant, files, version)
        names = [entry_name(model, variant) for model in files.manifest.models for variant in model.variants]
        (folder / "README.md").write_text(readme(files, names, version), encoding="utf-8")
        (folder / "inference-service.yaml").write_text(inference_service(files), encoding="utf-8")
    return names


def entry_name(model: Model, variant: Variant) -> str:
    """What a variant of a model is called in the repository."""
    return f"{model.id}-{variant.precision}"


def version_number(version: str) -> int:
    """The version of a bundle as the whole number that names a folder in Triton: 0.7.1 is 7001.

    A later version has a larger number, so that a server takes the latest.
    """
    parts = [int(part) for part in version.split(".")]
    if max(parts) >= LARGEST_PART or not any(parts):
        raise BundleError(
            "The version of the bundle cannot be one of Triton's", expected="three parts below 1000, not all 0", found=version
        )
    return (parts[0] * LARGEST_PART + parts[1]) * LARGEST_PART + parts[2]


def _write_model(folder: Path, model: Model, variant: Variant, files: ProvedFiles, version: int) -> None:
    graph = folder / str(version) / GRAPH
    graph.parent.mkdir(parents=True)
    graph.write_bytes(files.contents[variant.file])
    (folder / LABELS).write_text("".join(f"{label}\n" for label in model.class_ids), encoding="utf-8")
    first = first_case(model, files.contents[model.golden])
    (folder / WARM_UP).mkdir()
    for name, values in first.items():
        # As Triton reads it: the bytes of one case, row after row, the lowest byte of a number first.
        (folder / WARM_UP / name).write_bytes(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
    (folder / "config.pbtxt").write_text(config_text(model, variant, first, files), encoding="utf-8")


def first_case(model: Model, golden: bytes) -> dict[str, NDArray[np.generic]]:
    """The first golden case of a model by input, without its batch dimension where the graph has one."""
    with np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        whole = {spec.name: np.asarray(arrays[f"input:{spec.name}"]) for spec in model.inputs}
    return {name: values[0] for name, values in whole.items()} if takes_batches(model) else whole


def takes_batches(model: Model) -> bool:
    """Whether one and the same free dimension comes first in every input and output: then the server may join requests."""
    first = {spec.shape[0] if spec.shape else None for spec in (*model.inputs, *model.outputs)}
    return len(first) == 1 and isinstance(first.pop(), str)


def config_text(model: Model, variant: Variant, first: dict[str, NDArray[np.generic]], files: ProvedFiles) -> str:
    """``config.pbtxt`` of one entry."""
    return "\n".join(_config(model, variant, first, files)) + "\n"


def _config(model: Model, variant: Variant, first: dict[str, NDArray[np.generic]], files: ProvedFiles) -> Iterator[str]:
    batches = takes_batches(model)
    yield f"# {RESEARCH_NOTICE}"
    yield f"name: {quoted(entry_name(model, variant))}"
    yield 'backend: "onnxruntime"'
    yield f"default_model_filename: {quoted(GRAPH)}"
    yield f"max_batch_size: {largest_batch(model, variant) if batches else 0}"
    yield "version_policy { latest { num_versions: 1 } }"
    for spec in model.inputs:
        yield f"input {{ {_tensor(spec, batches)} }}"
    for spec in model.outputs:
        label = f" label_filename: {quoted(LABELS)}" if spec.name == "probabilities" else ""
        yield f"output {{ {_tensor(spec, batches)}{label} }}"
    yield f"instance_group {{ count: 1 kind: {'KIND_GPU' if variant.runs_on == 'cuda' else 'KIND_CPU'} }}"
    if batches:
        yield f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_DELAY_US} }}"
    yield "model_warmup {"
    yield f"  name: {quoted('the first golden case')}"
    yield "  batch_size: 1"
    for spec in model.inputs:
        dims = ", ".join(str(size) for size in first[spec.name].shape or (1,))
        value = f"data_type: {TYPES[spec.dtype]} dims: [ {dims} ] input_data_file: {quoted(spec.name)}"
        yield f"  inputs {{ key: {quoted(spec.name)} value {{ {value} }} }}"
    yield "}"
    for key, text in _origin(model, variant, files).items():
        yield f"parameters {{ key: {quoted(key)} value {{ string_value: {quoted(text)} }} }}"


def largest_batch(model: Model, variant: Variant) -> int:
    """The largest batch, by what the app found best for memory and speed."""
    if model.tiles is None:
        return WOMEN_A_BATCH
    return CUDA_BATCH_SIZE if variant.runs_on == "cuda" else CPU_BATCH_SIZE


def _tensor(spec: TensorSpec, batches: bool) -> str:
    """Name, type and dimensions; a number a case is told as one element that the graph gets without it."""
    dims = [size if isinstance(size, int) else -1 for size in (spec.shape[1:] if batches else spec.shape)]
    shape = f"dims: [ {', '.join(map(str, dims))} ]" if dims else "dims: [ 1 ] reshape { shape: [ ] }"
    return f"name: {quoted(spec.name)} data_type: {TYPES[spec.dtype]} {shape}"


def _origin(model: Model, variant: Variant, files: ProvedFiles) -> dict[str, str]:
    return {
        "cervix_notice": model.notice,
        "cervix_bundle": f"{files.manifest.name} {files.manifest.version}",
        "cervix_bundle_sha256": files.sha256,
        "cervix_graph_sha256": next(file.sha256 for file in files.manifest.files if file.path == variant.file),
        "cervix_model": model.title,
        "cervix_first_limit": model.limits[0],
        "cervix_exported_by": f"Cervix Workbench {__version__}",
    }


def quoted(text: str) -> str:
    """A text as protobuf's text form has it."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{plain}"'
