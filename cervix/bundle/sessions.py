"""ONNX Runtime sessions, and the truth about which provider runs them."""

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail, Fail, RuntimeException

from cervix.bundle.manifest import Model, Variant
from cervix.errors import DeviceLost

Device = Literal["auto", "cpu", "cuda"]
Arrays = dict[str, NDArray[np.generic]]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h of glibc
RETURNED_AT_ONCE_BYTES = 4 << 20
# What ONNX Runtime raises when a kernel or its device fails, as opposed to a wrong input.
RUNTIME_FAILURES = (EPFail, Fail, RuntimeException)
# Peak memory of the int8 VGG16 grows with the batch (254 MB at 8, 622 MB at 32) and its speed does not.
CPU_BATCH_SIZE = 8
CUDA_BATCH_SIZE = 64


@dataclass(frozen=True)
class ModelSession:
    """A verified model, ready to run. Safe to use from several threads.

    Attributes
    ----------
    provider : str
        The execution provider that really runs, as the session itself reports it.
    batch_size : int
        The one batch size to run tiles with: CUDA searches its algorithms again for each new shape.
    """

    model: Model
    variant: Variant
    session: ort.InferenceSession
    provider: str

    @property
    def batch_size(self) -> int:
        return CUDA_BATCH_SIZE if self.provider == CUDA_PROVIDER else CPU_BATCH_SIZE

    @property
    def device_label(self) -> str:
        """Provider and precision for people, e.g. ``CPU, int8``."""
        return f"{self.provider.removesuffix('ExecutionProvider')}, {self.variant.precision}"

    def run(self, inputs: Arrays, outputs: list[str] | None = None) -> Arrays:
        """Run the graph once and return its outputs by name (all of them by default).

        Raises ``DeviceLost`` where a GPU that had been running the model fails: out of memory, reset, unplugged.
        """
        names = outputs or [spec.name for spec in self.model.outputs]
        try:
            values = self.session.run(names, inputs)
        except RUNTIME_FAILURES as error:
            if self.provider == CPU_PROVIDER:
                raise
            raise DeviceLost(f"The {self.device_label} session failed", found=str(error).splitlines()[0][:200]) from error
        return dict(zip(names, values, strict=True))


@lru_cache(maxsize=1)
def share_memory_between_threads() -> None:
    """Let glibc give large blocks back at once and keep two heaps, not eight a core.

    A server scores in one thread and draws in others, and each heap keeps what its thread once needed: with one slide being
    scored 1,030 MB against 630 MB. Does nothing without glibc.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_ARENA_MAX, 2)
        libc.mallopt(M_MMAP_THRESHOLD, RETURNED_AT_ONCE_BYTES)


def nvidia_device_present() -> bool:
    """Whether trying CUDA is worth it.

    ``onnxruntime.get_available_providers()`` lists CUDA on every machine, so it says what was compiled in,
    not what can run.
    """
    if any(device.ep_name == CUDA_PROVIDER for device in ort.get_ep_devices()):
        return True
    return CUDA_PROVIDER in ort.get_available_providers() and Path("/dev/nvidiactl").exists()


def cuda_devices() -> list[str]:
    """The GPUs that a process may use, as ``CUDA_VISIBLE_DEVICES`` names them; empty where there is none."""
    if not nvidia_device_present():
        return []
    found = sum(device.ep_name == CUDA_PROVIDER for device in ort.get_ep_devices())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return visible.split(",") if visible else [str(number) for number in range(max(1, found))]


def open_session(onnx_bytes: bytes, provider: str, threads: int | None = None) -> ort.InferenceSession:
    """Open a graph from memory, asking for ``provider``; ask the session what it got.

    ``threads`` is how many one run may take, all cores where it is not said: two sessions on all cores take turns at them.
    Opening from verified bytes rather than a path means that what was hashed is what runs, and that external
    data has no folder to come from.
    """
    share_memory_between_threads()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.intra_op_num_threads = threads or cores
    if provider == CUDA_PROVIDER:
        ort.preload_dlls()
        providers: list[object] = [(CUDA_PROVIDER, {"cudnn_conv_algo_search": "HEURISTIC"}), CPU_PROVIDER]
    else:
        providers = [CPU_PROVIDER]
        # The arena keeps what the largest layer once needed: 175 MB more at the peak, for a few per cent of speed.
        options.enable_cpu_mem_arena = False
    return ort.InferenceSession(onnx_bytes, sess_options=options, providers=providers)


def running_provider(session: ort.InferenceSession) -> str:
    """The provider that really runs this session."""
    return str(session.get_providers()[0])
