"""TorchScript to ONNX, in a confined process of its own: whoever loads such a file runs what is written in it."""

import io
import re
import warnings
import zipfile
from pathlib import Path
from typing import Final

from training.shared.onnx_graphs import OPSET
from training.wrap.confined import confine
from training.wrap.keras_file import last_line
from training.wrap.refusal import WrapRefused

TOUCHES_MORE: Final = re.compile(rb"\b(?:torch|ops\.aten)\.(save|from_file|load)\b")
"""Functions of TorchScript that read or write files of their choice, as the code in such a file names them."""
UNPACKED_BYTES_AT_MOST: Final = (1 << 31) - 1
"""What one ONNX file holds: weights above that could not be kept."""
CODE_BYTES_AT_MOST: Final = 64 << 20
EXAMPLES: Final = 2
"""Tiles that the network is traced with; their number becomes free."""


def write_onnx(path: str, written: str, size_px: int, cpu_seconds: int) -> list[str]:
    """Convert ``path``, which was looked through, to an ONNX file ``written``.

    Parameters
    ----------
    size_px : side of the picture that the network reads, channels first
    cpu_seconds : of computing, after which the process ends

    Returns
    -------
    What this system could not confine, as ``confine`` says it.

    Raises
    ------
    WrapRefused
        PyTorch is missing; the file cannot be loaded or converted.
    """
    content = Path(path).read_bytes()
    told = confine(Path(written).parent, cpu_seconds)
    try:
        import torch
    except ImportError as error:
        raise WrapRefused(
            "TorchScript is opened with PyTorch, which is not installed",
            expected="the package torch",
            found="none",
            action="Run pip install -r requirements-torch.txt, or export the model as ONNX where you trained it.",
        ) from error
    torch.set_num_threads(1)
    try:
        model = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise WrapRefused(
            "The TorchScript file cannot be loaded", expected="an archive of torch.jit.save", found=last_line(error)
        ) from error
    try:
        with warnings.catch_warnings():
            # The new exporter takes Python modules and no TorchScript; PyTorch says of the old one that it is old.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (torch.rand(EXAMPLES, 3, size_px, size_px),),
                written,
                dynamo=False,
                opset_version=OPSET,
                input_names=["pixels"],
                output_names=["answer"],
                dynamic_axes={"pixels": {0: "N"}, "answer": {0: "N"}},
            )
    except Exception as error:
        raise WrapRefused(
            "The TorchScript model cannot be converted to ONNX",
            expected=f"one that reads N × 3 × {size_px} × {size_px} and answers with one tensor",
            found=last_line(error),
            action="Correct size_px in about.toml or patch_size_pixels in config.json, or export the model as ONNX yourself.",
        ) from error
    return told


def look_through(path: Path) -> None:
    """Refuse what is no TorchScript, is too large, or names functions that touch files, before PyTorch sees it."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = archive.infolist()
            code = [file for file in files if "/code/" in file.filename and file.filename.endswith(".py")]
            if sum(file.file_size for file in files) > UNPACKED_BYTES_AT_MOST:
                raise WrapRefused("The TorchScript file is too large", expected="less than 2 GiB unpacked", found="more")
            if not code:
                raise _no_torchscript("an archive without code: weights alone, or a pickle, which is never loaded")
            if sum(file.file_size for file in code) > CODE_BYTES_AT_MOST:
                raise WrapRefused("The TorchScript file cannot be read", expected="at most 64 MiB of code", found="more")
            for file in code:
                if named := TOUCHES_MORE.search(archive.read(file)):
                    raise WrapRefused(
                        "The TorchScript file reads or writes files, which is not run",
                        expected="a model that computes and nothing else",
                        found=named.group().decode(),
                        action="Export the model as ONNX where you trust it.",
                    )
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise _no_torchscript("other content") from error


def _no_torchscript(found: str) -> WrapRefused:
    return WrapRefused(
        "The file is no TorchScript",
        expected="an archive that torch.jit.save wrote",
        found=found,
        action="Trace the model (torch.jit.trace), save that with torch.jit.save, or export it as ONNX.",
    )
