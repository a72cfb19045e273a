"""Defines GPU memory, streams and CUDA graphs for the runner, through torch or pycuda.

Memory is allocated when an engine opens and never while it runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from engines.backends.tensorrt.plans import GpuInfo
from engines.base import EngineUnavailable, PromptError

MEMORY = {"torch": "engines.backends.tensorrt.torch_memory", "pycuda": "engines.backends.tensorrt.pycuda_memory"}
MEMORY_VARIABLE = "GAZECAST_CUDA_MEMORY"
"""Environment variable that names one of `MEMORY`; the default is the first that works."""
CAPTURE_LOCK = threading.Lock()
"""Held during graph capture and during device synchronisation, which must not overlap on any thread: CUDA then
refuses both."""
DRIVER_FILES = (Path("/sys/module/nvidia/version"), Path("/etc/nv_tegra_release"))
"""The driver's kernel module, and Jetson's system, which holds its driver."""


class CudaStream(Protocol):
    """A CUDA stream that runs its operations in order. handle: the CUstream."""

    handle: int

    def synchronize(self) -> None:
        """Wait until all its operations are complete."""


class MemoryBlock(Protocol):
    """A block of device memory that is freed with the object. address: of its start, a multiple of 256."""

    address: int
    nbytes: int


class CudaDevice(Protocol):
    """A GPU that allocates memory and creates streams.

    Call its methods inside `make_current()`, on any thread. versions: of the libraries used, by name.
    """

    gpu: GpuInfo
    versions: dict[str, str]

    def make_current(self) -> AbstractContextManager[Any]:
        """Make the device's context current on the calling thread."""

    def create_stream(self, *, high_priority: bool) -> CudaStream:
        """Create a stream; a high_priority one's kernels run first, where the library supports priorities."""

    def allocate(self, nbytes: int) -> MemoryBlock:
        """Allocate device memory; raises `EngineUnavailable` where there is too little."""

    def allocate_pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Allocate page-locked host memory that the device accesses directly."""

    def upload(self, block: MemoryBlock, host: NDArray[Any], stream: CudaStream) -> None:
        """Copy from pinned host memory, in stream order."""

    def download(self, host: NDArray[Any], block: MemoryBlock, stream: CudaStream) -> None:
        """Copy to pinned host memory, in stream order."""

    def copy_from_device(self, block: MemoryBlock, address: int, nbytes: int, stream: CudaStream) -> None:
        """Copy from another address on the device, in stream order."""

    def synchronize(self) -> None:
        """Wait for all work on the device, of every stream."""

    def capture_graph(self, stream: CudaStream, work: Callable[[], None]) -> Callable[[], None] | None:
        """Capture the operations of `work` as one relaunchable CUDA graph, without running them.

        None where graphs cannot be captured.
        """


def driver_version(cuda: int) -> str:
    """Return the driver's version as the system reports it, because it is part of a plan's key.

    cuda: the newest CUDA version that the driver supports, 13000 for 13.0; used where the system reports nothing.
    """
    for file in DRIVER_FILES:
        try:
            return file.read_text().splitlines()[0].strip()
        except (OSError, IndexError):
            continue
    return f"CUDA {cuda // 1000}.{cuda % 1000 // 10}" if cuda else ""


def open_device(load: Callable[[str], Any] = import_module) -> CudaDevice:
    """Open the first CUDA device; raises `EngineUnavailable` with the reasons, one line."""
    chosen = os.environ.get(MEMORY_VARIABLE)
    if chosen is not None and chosen not in MEMORY:
        raise EngineUnavailable(f"{MEMORY_VARIABLE} is {chosen!r}; choose {' or '.join(MEMORY)}")
    troubles = []
    for name in (chosen,) if chosen else tuple(MEMORY):
        try:
            return cast(CudaDevice, load(MEMORY[name]).open_device())
        except EngineUnavailable as error:
            troubles.append(str(error))
    raise EngineUnavailable(f"no CUDA GPU can be used: {'; '.join(troubles)}")


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """A caller's array on the device that its `__cuda_array_interface__` describes."""

    address: int
    shape: tuple[int, ...]
    typestr: str
    needs_sync: bool

    @property
    def nbytes(self) -> int:
        """Return the size in bytes."""
        return int(np.prod(self.shape)) * int(self.typestr[2:])

    @classmethod
    def of(cls, owner: Any) -> DeviceArray:
        """Read the interface (version 2 or 3); raises `PromptError` for non-contiguous memory.

        needs_sync: the owner's stream may still be writing.
        """
        described = owner.__cuda_array_interface__
        shape, typestr = tuple(int(side) for side in described["shape"]), str(described["typestr"])
        strides = described.get("strides")
        if strides is not None:
            packed = np.cumprod([int(typestr[2:]), *shape[:0:-1]])[::-1]
            if tuple(strides) != tuple(int(step) for step in packed):
                raise PromptError(f"device memory must be packed row by row, got strides {tuple(strides)} for {shape}")
        return cls(int(described["data"][0]), shape, typestr, described.get("stream") is not None)
