"""Manages device memory and streams with pycuda, and captures CUDA graphs through cuda-python's bindings.

pycuda cannot capture graphs. Without cuda-python every operation is launched each time, which is only slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.tensorrt.device import CudaDevice, driver_version
from engines.backends.tensorrt.plans import GpuInfo
from engines.base import EngineUnavailable, ModelError

try:
    import pycuda.driver as cuda
except ImportError as error:
    missing = isinstance(error, ModuleNotFoundError)
    raise EngineUnavailable(
        "pycuda is not installed (pip install 'gazecast[pycuda]')"
        if missing
        else f"pycuda cannot load the driver: {error}"
    ) from error


def open_device() -> CudaDevice:
    """Open the first CUDA device of the driver."""
    try:
        cuda.init()
        if not cuda.Device.count():
            raise EngineUnavailable("the driver finds no GPU")
        return _PycudaDevice()
    except cuda.Error as error:
        raise EngineUnavailable(f"the CUDA driver refuses: {error}") from error


class _PycudaBlock:
    """See `device.MemoryBlock`."""

    def __init__(self, nbytes: int) -> None:
        try:
            self._allocation = cuda.mem_alloc(nbytes)
        except cuda.MemoryError as error:
            raise EngineUnavailable(f"the GPU has no {nbytes >> 20} MiB left; close what else uses it") from error
        self.nbytes = nbytes
        self.address = int(self._allocation)
        self.__cuda_array_interface__ = {
            "shape": (nbytes,), "typestr": "|u1", "data": (self.address, False), "version": 3, "strides": None,
        }  # fmt: skip


class _PycudaDevice:
    """See `device.CudaDevice`. Uses the device's primary context, shared with other libraries."""

    def __init__(self) -> None:
        device = cuda.Device(0)
        self._context = device.retain_primary_context()
        major, minor = device.compute_capability()
        self.gpu = GpuInfo(device.name(), f"{major}.{minor}", driver_version(cuda.get_driver_version()))
        self.versions = {"pycuda": ".".join(str(part) for part in cuda.get_version())}
        self._graphs = _bindings()

    @contextmanager
    def make_current(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            cuda.Context.pop()

    def create_stream(self, *, high_priority: bool) -> Any:
        # pycuda has no priorities. 1: not ordered with the default stream.
        return cuda.Stream(1)

    def allocate(self, nbytes: int) -> _PycudaBlock:
        return _PycudaBlock(nbytes)

    def allocate_pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return np.asarray(cuda.pagelocked_empty(shape, dtype))

    def upload(self, block: Any, host: NDArray[Any], stream: Any) -> None:
        cuda.memcpy_htod_async(block.address, host, stream)

    def download(self, host: NDArray[Any], block: Any, stream: Any) -> None:
        cuda.memcpy_dtoh_async(host, block.address, stream)

    def copy_from_device(self, block: Any, address: int, nbytes: int, stream: Any) -> None:
        cuda.memcpy_dtod_async(block.address, address, nbytes, stream)

    def synchronize(self) -> None:
        cuda.Context.synchronize()

    def capture_graph(self, stream: Any, work: Callable[[], None]) -> Callable[[], None] | None:
        return None if self._graphs is None else record(self._graphs, stream.handle, work)


def _bindings() -> Any | None:
    try:
        from cuda.bindings import driver
    except ImportError:
        return None
    return driver


def record(driver: Any, handle: int, work: Callable[[], None]) -> Callable[[], None]:
    """Capture the stream operations of `work` with cuda-python's driver interface; returns the launch."""
    # thread_local: the other thread may allocate or launch while this one captures.
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    _checked(driver, driver.cuStreamBeginCapture(handle, mode))
    try:
        work()
    except BaseException:
        driver.cuStreamEndCapture(handle)  # the stream is unusable until its capture has ended
        raise
    (graph,) = _checked(driver, driver.cuStreamEndCapture(handle))
    (executable,) = _checked(driver, driver.cuGraphInstantiate(graph, 0))
    _checked(driver, driver.cuGraphDestroy(graph))
    return _Launch(driver, executable, handle)


class _Launch:
    """A captured CUDA graph that is destroyed with the object."""

    def __init__(self, driver: Any, executable: Any, handle: int) -> None:
        self._driver, self._executable, self._handle = driver, executable, handle

    def __call__(self) -> None:
        _checked(self._driver, self._driver.cuGraphLaunch(self._executable, self._handle))

    def __del__(self) -> None:
        self._driver.cuGraphExecDestroy(self._executable)


def _checked(driver: Any, answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values after the result code; raises `ModelError` unless that is success."""
    code, *values = answer
    if code != driver.CUresult.CUDA_SUCCESS:
        raise ModelError(f"a CUDA graph cannot be recorded or launched: {getattr(code, 'name', code)}")
    return tuple(values)
