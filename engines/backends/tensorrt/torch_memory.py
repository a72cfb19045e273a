"""Manages device memory, streams and CUDA graphs with torch, which also serves as the engine's reference."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.tensorrt.device import CudaDevice, driver_version
from engines.backends.tensorrt.plans import GpuInfo
from engines.base import EngineUnavailable

try:
    import torch
except ImportError as error:
    raise EngineUnavailable("torch is not installed") from error


def open_device() -> CudaDevice:
    """Open torch's current CUDA device."""
    if not torch.cuda.is_available():
        built = torch.version.cuda
        raise EngineUnavailable("torch sees no GPU" if built else "this torch was built without CUDA")
    return _TorchDevice()


class _TorchStream:
    """See `device.CudaStream`."""

    def __init__(self, high_priority: bool) -> None:
        self.torch = torch.cuda.Stream(priority=-1 if high_priority else 0)
        self.handle = int(self.torch.cuda_stream)

    def synchronize(self) -> None:
        self.torch.synchronize()


class _TorchBlock:
    """See `device.MemoryBlock`; a tensor of bytes, so that it provides `__cuda_array_interface__`."""

    def __init__(self, nbytes: int) -> None:
        try:
            self.tensor = torch.empty(nbytes, dtype=torch.uint8, device="cuda")
        except torch.OutOfMemoryError as error:
            raise EngineUnavailable(f"the GPU has no {nbytes >> 20} MiB left; close what else uses it") from error
        self.address, self.nbytes = int(self.tensor.data_ptr()), nbytes


class _TorchDevice:
    """See `device.CudaDevice`."""

    def __init__(self) -> None:
        self._index = torch.cuda.current_device()
        major, minor = torch.cuda.get_device_capability(self._index)
        self.gpu = GpuInfo(torch.cuda.get_device_name(self._index), f"{major}.{minor}", _driver())
        self.versions = {"torch": str(torch.__version__), "cuda": str(torch.version.cuda)}

    def make_current(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = torch.cuda.device(self._index)
        return context

    def create_stream(self, *, high_priority: bool) -> _TorchStream:
        return _TorchStream(high_priority)

    def allocate(self, nbytes: int) -> _TorchBlock:
        return _TorchBlock(nbytes)

    def allocate_pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        kind = np.dtype(dtype)
        tensor = torch.empty(int(np.prod(shape)) * kind.itemsize, dtype=torch.uint8, pin_memory=True)
        flat: NDArray[Any] = tensor.numpy()
        return np.asarray(flat.view(kind).reshape(shape))

    def upload(self, block: Any, host: NDArray[Any], stream: Any) -> None:
        with torch.cuda.stream(stream.torch):
            block.tensor[: host.nbytes].copy_(_bytes(host), non_blocking=True)

    def download(self, host: NDArray[Any], block: Any, stream: Any) -> None:
        with torch.cuda.stream(stream.torch):
            _bytes(host).copy_(block.tensor[: host.nbytes], non_blocking=True)

    def copy_from_device(self, block: Any, address: int, nbytes: int, stream: Any) -> None:
        with torch.cuda.stream(stream.torch):
            block.tensor[:nbytes].copy_(
                torch.as_tensor(_ForeignMemory(address, nbytes), device="cuda"), non_blocking=True
            )

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def capture_graph(self, stream: Any, work: Callable[[], None]) -> Callable[[], None] | None:
        graph = torch.cuda.CUDAGraph()
        # thread_local: the other thread may allocate or launch while this one captures.
        with torch.cuda.graph(graph, stream=stream.torch, capture_error_mode="thread_local"):
            work()

        def launch() -> None:
            with torch.cuda.stream(stream.torch):
                graph.replay()

        return launch


class _ForeignMemory:
    """A view of bytes at an address that torch reads without a copy."""

    def __init__(self, address: int, nbytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (nbytes,), "typestr": "|u1", "data": (address, False), "version": 3, "strides": None,
        }  # fmt: skip


def _bytes(host: NDArray[Any]) -> Any:
    """Return a torch view of a pinned array; torch queries pinning from the driver, so a view suffices."""
    return torch.from_numpy(host.reshape(-1).view(np.uint8))


def _driver() -> str:
    ask = getattr(torch._C, "_cuda_getDriverVersion", None)  # private, but torch has no public name for it
    return driver_version(int(ask()) if ask is not None else 0)
