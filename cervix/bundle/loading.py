"""Load a bundle only after it has proved itself."""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
from pydantic import ValidationError

from cervix.bundle.head_contract import require_sound_answers
from cervix.bundle.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    Manifest,
    Model,
    ModelKind,
    TensorSpec,
    Variant,
)
from cervix.bundle.operators import check_operators
from cervix.bundle.sessions import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    Arrays,
    Device,
    ModelSession,
    nvidia_device_present,
    open_session,
    running_provider,
)
from cervix.bundle.signature import require_signature
from cervix.errors import BundleError, DeviceLost, NameRefused
from cervix.outside_names import inside

SHORT_HASH = 10
# Those of the slide model, the largest, have 0.7 MB.
GOLDEN_BYTES_AT_MOST = 64 << 20
REINSTALL = "Export the bundle again with `python -m training build`, or restore the folder from its release."


@dataclass(frozen=True)
class GoldenCheck:
    """The replay of one variant's golden vectors on the provider that really ran."""

    model_id: str
    cases: str
    """The file of the bundle whose cases were replayed."""
    variant: Variant
    provider: str
    largest_difference: float
    """The largest absolute difference over all outputs, as a share of that output's tolerance."""
    worst_output: str
    absolute_difference: float
    passed: bool


TableReplay = Callable[[ModelSession, Mapping[str, bytes]], GoldenCheck | None]
"""Reads, encodes and scores the golden table of a model among the files of its bundle, as the app does with a table that people
bring. The readers lie above this room: ``cervix.patients.golden`` passes its own in."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that proved itself: schema, hashes, graph signatures and golden vectors."""

    root: Path
    manifest: Manifest
    sha256: str
    """SHA-256 of ``manifest.json``, which holds the hash of every other file."""
    sessions: dict[str, ModelSession]
    checks: list[GoldenCheck]

    @property
    def short_hash(self) -> str:
        return self.sha256[:SHORT_HASH]

    @property
    def label(self) -> str:
        """Name, version and short hash, as every screen and export carries them."""
        return bundle_label(self.manifest.name, self.manifest.version, self.sha256)

    def session(self, model_id: str) -> ModelSession:
        """The session of a model; a ``BundleError`` where the bundle has none."""
        if model_id not in self.sessions:
            raise BundleError(
                "The bundle has no such model",
                expected=f"one of {sorted(self.sessions)}",
                found=repr(model_id),
            )
        return self.sessions[model_id]

    def session_of(self, kind: ModelKind, named: str = "") -> ModelSession:
        """The session of the model of a kind that is named, or of the first; a ``BundleError`` where there is none."""
        return self.session(self.manifest.first_of(kind, named).id)

    def on_cpu(self) -> "Bundle":
        """The same bundle, proved again on the CPU; ``BundleError`` where its folder has changed since."""
        # Tables are read alike on every device: what was proved of that holds.
        again = load_bundle(self.root, device="cpu")
        if again.sha256 != self.sha256:
            raise BundleError(
                "The bundle was replaced while it was in use",
                expected=self.short_hash,
                found=again.short_hash,
                action="Start again with the new one.",
            )
        return again


def bundle_label(name: str, version: str, sha256: str) -> str:
    """Name, version and short hash."""
    return f"{name} {version} ({sha256[:SHORT_HASH]})"


def load_bundle(
    root: Path,
    *,
    device: Device = "auto",
    tables: TableReplay | None = None,
    kind: ModelKind | None = None,
    threads: int | None = None,
) -> Bundle:
    """Verify a bundle and open one session per model on the best device that really runs.

    The app, its command line and the trainer come here through ``cervix.patients.golden.prove_bundle``.

    Parameters
    ----------
    root : Path
        Folder with ``manifest.json``.
    device : {"auto", "cpu", "cuda"}
        ``auto`` and ``cuda`` try CUDA where an NVIDIA device is present and fall back to the CPU; what runs is
        in ``ModelSession.provider``.
    tables : callable, optional
        What replays golden tables; without, they are not looked at.
    kind : str, optional
        Open the models of this kind alone; every file is checked all the same.
    threads : int, optional
        Threads that one run of a session may take; all cores without.

    Raises
    ------
    BundleError
        On any mismatch between the manifest and what is there. Nothing is scored.
    """
    manifest, digest, contents = read_verified(root)
    sessions: dict[str, ModelSession] = {}
    checks: list[GoldenCheck] = []
    for model in manifest.models:
        if kind not in (None, model.kind):
            continue
        session, check = _open_best(model, contents, device, threads)
        require_passed(check)
        if tables is not None and (read := tables(session, contents)):
            require_passed(read)
        sessions[model.id] = session
        checks.append(check)
    return Bundle(root, manifest, digest, sessions, checks)


def verify_bundle(root: Path, *, device: Device = "auto", tables: TableReplay | None = None) -> list[GoldenCheck]:
    """Replay the golden vectors of every variant, not only of those that would run here.

    Returns one check a variant, and one a golden table where ``tables`` replays them, failed ones included; raises
    ``BundleError`` where the files themselves are not what the manifest declares.
    """
    manifest, _, contents = read_verified(root)
    cuda = device != "cpu" and nvidia_device_present()
    checks = []
    for model in manifest.models:
        for variant in model.variants:
            provider = CUDA_PROVIDER if cuda and variant.runs_on == "cuda" else CPU_PROVIDER
            session, check = _open_variant(model, variant, contents, provider)
            checks.append(check)
            if tables is not None and (read := tables(session, contents)):
                checks.append(read)
    return checks


def read_verified(root: Path) -> tuple[Manifest, str, dict[str, bytes]]:
    """Read every file of the bundle once and check it against the manifest's sizes and hashes."""
    manifest, digest = read_manifest(root)
    return manifest, digest, {file.path: _read_file(root, file.path, file.bytes, file.sha256) for file in manifest.files}


def read_listed(root: Path, name: str) -> bytes:
    """One file, as the manifest lists it: for what is read when somebody looks at it. Raises as ``read_verified``."""
    manifest, _ = read_manifest(root)
    listed = next((file for file in manifest.files if file.path == name), None)
    if listed is None:
        raise BundleError(f"{_short(name)} is not listed in the manifest", action=REINSTALL)
    return _read_file(root, name, listed.bytes, listed.sha256)


# By content: a manifest is read several times in a run of a page and parsed once.
@lru_cache(maxsize=8)
def _parsed(text: bytes) -> Manifest:
    return Manifest.model_validate_json(text)


def read_manifest(root: Path) -> tuple[Manifest, str]:
    """The manifest and its SHA-256: the one way in, for whoever reads a bundle.

    Raises
    ------
    BundleError
        There is none, or it does not follow the schema.
    SignatureRefused
        A key is configured, and the bundle carries no valid signature by it.
    """
    path = root / MANIFEST_NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BundleError(
            "The bundle has no readable manifest",
            expected=str(path),
            found=error.strerror or "no file",
            action="Name the folder of a bundle (--bundle, or CERVIX_BUNDLE_DIR), or restore it from its release.",
        ) from error
    try:
        manifest = _parsed(text)
    except ValidationError as error:
        if (stated := _stated_version(text)) not in (None, SCHEMA_VERSION):
            raise BundleError(
                f"The bundle was made to another contract: version {_short(stated)} of the manifest",
                expected=f"version {SCHEMA_VERSION}, which this version of the app reads",
                found=f"version {_short(stated)}",
                action="Make it again with the training code of this version.",
            ) from error
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise BundleError(
            f"{MANIFEST_NAME} does not follow the schema at {where}",
            expected=first["msg"],
            found=_short(first.get("input")),
            action=REINSTALL,
        ) from error
    digest = hashlib.sha256(text).hexdigest()
    require_signature(root, manifest, digest)
    return manifest, digest


def _stated_version(text: bytes) -> object:
    """What a manifest that does not follow the schema says of its own version; None where it says nothing."""
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return manifest.get("schema_version") if isinstance(manifest, dict) else None


def _short(value: object) -> str:
    text = json.dumps(value, default=str) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _read_file(root: Path, name: str, size: int, sha256: str) -> bytes:
    try:
        path = inside(root, name)
    except NameRefused as error:
        raise BundleError(
            f"{_short(name)} lies outside the bundle", expected=f"a file under {root}", found=error.found
        ) from error
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{name} is missing from the bundle",
            expected=f"a file of {size:,} bytes",
            found=error.strerror or "no file",
            action=REINSTALL,
        ) from error
    if len(content) != size:
        raise BundleError(
            f"{name} has the wrong size",
            expected=f"{size:,} bytes",
            found=f"{len(content):,} bytes",
            action=REINSTALL,
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise BundleError(
            f"{name} has changed since it was exported",
            expected=f"SHA-256 {sha256[:12]}…",
            found=f"{digest[:12]}…",
            action=REINSTALL,
        )
    return content


def _open_best(
    model: Model, contents: dict[str, bytes], device: Device, threads: int | None
) -> tuple[ModelSession, GoldenCheck]:
    on_cuda = [variant for variant in model.variants if variant.runs_on == "cuda"]
    on_cpu = [variant for variant in model.variants if variant.runs_on == "cpu"]
    if on_cuda and device != "cpu" and nvidia_device_present():
        session, check = _open_variant(model, on_cuda[0], contents, CUDA_PROVIDER, threads)
        if session.provider == CUDA_PROVIDER:
            return session, check
    return _open_variant(model, (on_cpu or on_cuda)[0], contents, CPU_PROVIDER, threads)


def _open_variant(
    model: Model, variant: Variant, contents: dict[str, bytes], provider: str, threads: int | None = None
) -> tuple[ModelSession, GoldenCheck]:
    onnx_bytes = contents[variant.file]
    _check_graph(model, variant, onnx_bytes)
    try:
        session = open_session(onnx_bytes, provider, threads)
    except Exception as error:
        raise BundleError(f"{variant.file} does not load in ONNX Runtime", found=_short(str(error))) from error
    ready = ModelSession(model, variant, session, running_provider(session))
    check = replay_golden(ready, contents[model.golden])
    if model.kind == "slide-head":
        _require_sound_head(ready, golden_arrays(contents[model.golden]))
    return ready, check


def _require_sound_head(head: ModelSession, golden: Arrays) -> None:
    inputs, file = {spec.name: golden[f"input:{spec.name}"] for spec in head.model.inputs}, head.variant.file
    try:
        require_sound_answers(head.run, inputs, file)
    except (BundleError, DeviceLost):
        raise
    except Exception as error:  # ONNX Runtime promises no set of exceptions for inputs that do not fit a graph
        raise BundleError(f"{file} does not run on part of its golden tiles", found=_short(str(error))) from error


def _check_graph(model: Model, variant: Variant, onnx_bytes: bytes) -> None:
    """Refuse operators that a bundle may not use, and compare the graph's own signature with the declared one."""
    try:
        network = onnx.load_model_from_string(onnx_bytes)
    except Exception as error:
        raise BundleError(f"{variant.file} is not an ONNX model", found=_short(str(error)), action=REINSTALL) from error
    check_operators(network, variant.file)
    graph = network.graph
    for kind, declared, actual in (
        ("input", model.inputs, graph.input),
        ("output", model.outputs, graph.output),
    ):
        found = {value.name: _signature(value) for value in actual}
        for spec in declared:
            expected = _declared_signature(spec)
            if found.get(spec.name) != expected:
                raise BundleError(
                    f"{variant.file} has another {kind} than the manifest declares",
                    expected=f"{spec.name} {expected}",
                    found=f"{spec.name} {found[spec.name]}" if spec.name in found else f"only {sorted(found)}",
                )
        if extra := set(found) - {spec.name for spec in declared}:
            raise BundleError(f"{variant.file} has {kind}s that the manifest does not declare", found=str(sorted(extra)))


def _declared_signature(spec: TensorSpec) -> str:
    return f"{spec.dtype} {tuple(spec.shape)}"


def _signature(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(dim.dim_param if dim.dim_param else int(dim.dim_value) for dim in tensor.shape.dim)
    return f"{dtype} {shape}"


def replay_golden(session: ModelSession, golden_bytes: bytes, cases: str = "") -> GoldenCheck:
    """Run the golden inputs in the file ``cases``, by default the model's vectors; compare every output with what was kept."""
    precision, cases = session.variant.precision, cases or session.model.golden
    no_vectors = f"{cases} does not hold golden vectors for {precision}"
    try:
        golden = golden_arrays(golden_bytes)
        inputs = {spec.name: golden[f"input:{spec.name}"] for spec in session.model.inputs}
        expected = {spec.name: golden[f"{precision}:{spec.name}"].astype(np.float64) for spec in session.model.outputs}
    except Exception as error:  # numpy promises no set of exceptions for damaged archives and headers
        raise BundleError(no_vectors, found=_short(str(error))) from error
    if not all(values.size for values in expected.values()):
        raise BundleError(no_vectors, found="none in an output")
    try:
        found = session.run(inputs)
    except DeviceLost:
        raise
    except Exception as error:  # nor does ONNX Runtime for inputs that do not fit a graph
        raise BundleError(f"{session.variant.file} does not run on its golden vectors", found=_short(str(error))) from error
    worst, share, difference = "", -1.0, 0.0
    for name, values in expected.items():
        if values.shape != found[name].shape:
            raise BundleError(
                f"{session.variant.file} answers the golden vectors in another shape",
                expected=f"{name} {values.shape}",
                found=str(found[name].shape),
            )
        gap = float(np.max(np.abs(values - found[name].astype(np.float64))))
        gap = gap if np.isfinite(gap) else float("inf")
        if gap / session.variant.tolerance[name] > share:
            worst, share, difference = name, gap / session.variant.tolerance[name], gap
    return GoldenCheck(session.model.id, cases, session.variant, session.provider, share, worst, difference, share <= 1.0)


def golden_arrays(content: bytes) -> Arrays:
    """The arrays of an ``.npz``, each no larger than what it is unpacked from says; ``ValueError`` where they are too large."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        held = sum(member.file_size for member in archive.infolist())
        if held > GOLDEN_BYTES_AT_MOST:
            raise ValueError(f"{held:,} bytes unpacked, more than {GOLDEN_BYTES_AT_MOST:,}")
        arrays: Arrays = {}
        for member in archive.infolist():
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read_header(stream)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"an array of shape {shape} in {member.file_size:,} bytes")
            with archive.open(member) as stream:
                arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays


def require_passed(check: GoldenCheck) -> None:
    """Raise ``BundleError`` where golden vectors were not reproduced."""
    if not check.passed:
        raise BundleError(
            f"{check.variant.file} does not reproduce its golden vectors on {check.provider} ({check.cases})",
            expected=f"{check.worst_output} within {check.variant.tolerance[check.worst_output]:g}",
            found=f"a difference of {check.absolute_difference:.3g}",
            action="Nothing is scored with this bundle on this machine.",
        )
