"""What the runner needs of a GPU: memory, streams and recorded graphs, by torch or by pycuda, whichever is there.

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
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.backends.tensorrt.plans import GpuInfo
from engines.base import EngineUnavailable, PromptError

MEMORY = {"torch": "engines.backends.tensorrt.torch_memory", "pycuda": "engines.backends.tensorrt.pycuda_memory"}
MEMORY_VARIABLE = "GAZECAST_CUDA_MEMORY"
"""Environment variable that names one of `MEMORY`; else the first that works is taken."""
CAPTURE_LOCK = threading.Lock()
"""Held while a graph is recorded and while the whole device is waited for, of which neither may happen during the other
on any thread: CUDA then refuses both."""
DRIVER_FILES = (Path("/sys/module/nvidia/version"), Path("/etc/nv_tegra_release"))
"""The driver's kernel module, and Jetson's system, which holds its driver."""


class CudaStream(Protocol):
    """Work in order."""

    @property
    def handle(self) -> int:
        """The CUstream."""
        ...

    def synchronize(self) -> None:
        """Wait until all its work is done."""
        ...


class MemoryBlock(Protocol):
    """Memory on the device, freed with the object."""

    @property
    def address(self) -> int:
        """Where it begins; a multiple of 256."""
        ...

    @property
    def nbytes(self) -> int:
        """Its size."""
        ...


class CudaDevice(Protocol):
    """One GPU. Its methods must be called inside `current()`, on any thread."""

    @property
    def gpu(self) -> GpuInfo:
        """What it is."""
        ...

    @property
    def versions(self) -> dict[str, str]:
        """Of the libraries behind it."""
        ...

    def make_current(self) -> AbstractContextManager[Any]:
        """Make the device's context the calling thread's."""
        ...

    def create_stream(self, *, high_priority: bool) -> CudaStream:
        """A new stream; an high_priority one's kernels go before the others', where the library can say so."""
        ...

    def allocate(self, nbytes: int) -> MemoryBlock:
        """Device memory; raises `EngineUnavailable` where there is too little."""
        ...

    def allocate_pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Host memory that the device reads and writes by itself."""
        ...

    def upload(self, block: MemoryBlock, host: NDArray[Any], stream: CudaStream) -> None:
        """Copy from pinned host memory, in the stream's order."""
        ...

    def download(self, host: NDArray[Any], block: MemoryBlock, stream: CudaStream) -> None:
        """Copy to pinned host memory, in the stream's order."""
        ...

    def copy_from_device(self, block: MemoryBlock, address: int, nbytes: int, stream: CudaStream) -> None:
        """Copy from somewhere else on the device, in the stream's order."""
        ...

    def synchronize(self) -> None:
        """Wait for everything that anybody gave the device to do."""
        ...

    def capture_graph(self, stream: CudaStream, work: Callable[[], None]) -> Callable[[], None] | None:
        """What `work` gives the stream to do, as one graph that can be launched again and again; it does not run now.

        None where graphs cannot be recorded.
        """
        ...


def driver_version(cuda: int) -> str:
    """The driver's version as the system says it, whichever library asks, because plans are kept by it.

    cuda: the newest CUDA of the driver as it counts, 13000 for 13.0; taken where the system says nothing.
    """
    for file in DRIVER_FILES:
        try:
            return file.read_text().splitlines()[0].strip()
        except (OSError, IndexError):
            continue
    return f"CUDA {cuda // 1000}.{cuda % 1000 // 10}" if cuda else ""


def open_device(load: Callable[[str], Any] = import_module) -> CudaDevice:
    """The first CUDA device; raises `EngineUnavailable` with the reasons, one line."""
    chosen = os.environ.get(MEMORY_VARIABLE)
    if chosen is not None and chosen not in MEMORY:
        raise EngineUnavailable(f"{MEMORY_VARIABLE} is {chosen!r}; choose {' or '.join(MEMORY)}")
    troubles = []
    for name in (chosen,) if chosen else tuple(MEMORY):
        try:
            device: CudaDevice = load(MEMORY[name]).open_device()
        except EngineUnavailable as error:
            troubles.append(str(error))
        else:
            return device
    raise EngineUnavailable(f"no CUDA GPU can be used: {'; '.join(troubles)}")


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """Somebody's memory on the device, as its `__cuda_array_interface__` describes it."""

    address: int
    shape: tuple[int, ...]
    typestr: str
    needs_sync: bool

    @property
    def nbytes(self) -> int:
        """Its size."""
        return int(np.prod(self.shape)) * int(self.typestr[2:])

    @classmethod
    def of(cls, owner: Any) -> DeviceArray:
        """Read the interface (version 2 or 3); raises `PromptError` for memory with gaps.

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
