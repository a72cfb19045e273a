"""Executes plans: tensors, execution contexts with scratch memory, and CUDA graphs captured once and relaunched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines import cache
from engines.backends.tensorrt.device import CAPTURE_LOCK, CudaDevice, CudaStream
from engines.backends.tensorrt.library import TensorRtLibrary, last_error
from engines.backends.tensorrt.plans import kernels_path
from engines.base import EngineError, ModelError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output that a plan declares."""

    name: str
    shape: tuple[int, ...]
    nbytes: int
    dtype: Any
    is_input: bool


class EnginePlan:
    """A plan that can run: its tensors, and an execution context with its own scratch memory."""

    def __init__(self, library: TensorRtLibrary, runtime: Any, log: Any, file: Path, device: CudaDevice) -> None:
        self._library, self._log, self._file = library, log, file
        trt = library.trt
        self._engine = runtime.deserialize_cuda_engine(file.read_bytes())
        if self._engine is None:
            raise ModelError(
                f"{library.name} cannot use {file.name}: {last_error(log)}; "
                "run `gazecast engine build --engine tensorrt --force`"
            )
        self.tensors = {tensor.name: tensor for tensor in _tensors(trt, self._engine)}
        self._kernels: Any = None
        self._context = self._make_context(trt)
        if self._context is None:
            raise ModelError(f"{library.name} cannot make a context for {file.name}: {last_error(log)}")
        self._scratch = device.allocate(max(256, int(self._engine.device_memory_size_v2)))
        self._context.set_device_memory(self._scratch.address, self._scratch.nbytes)
        log.lines.clear()  # of kernels that were refused and recompiled; not the reason of any later failure

    def _make_context(self, trt: Any) -> Any:
        managed = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not self._library.rtx:
            return self._engine.create_execution_context(managed)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(managed)
        config.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED  # the whole run is captured here, not each plan
        self._kernels = config.create_runtime_cache()
        with suppress(OSError):  # TensorRT refuses mismatched kernels and recompiles them
            self._kernels.deserialize(kernels_path(self._file).read_bytes())
        config.set_runtime_cache(self._kernels)
        return self._engine.create_execution_context(config)

    def save_kernels(self) -> None:
        """Save the kernels that TensorRT-RTX has compiled; without them only the next start is slower."""
        if self._kernels is not None:
            with suppress(ModelError), cache.atomic_write(kernels_path(self._file)) as partial:
                partial.write_bytes(bytes(self._kernels.serialize()))

    def supports_capture(self, stream: CudaStream) -> bool:
        """Return whether a run can be captured; TensorRT always can, for fixed shapes."""
        asks = getattr(self._context, "is_stream_capturable", None)
        return asks is None or bool(asks(stream.handle))

    def run(self, addresses: Mapping[str, int], stream: CudaStream) -> None:
        """Enqueue one run on memory at these addresses, by tensor name."""
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise ModelError(f"{self._file.name} has no tensor {name}: {last_error(self._log)}")
        if not self._context.execute_async_v3(stream.handle):
            raise EngineError(f"{self._library.name} failed to run {self._file.name}: {last_error(self._log)}")


def _tensors(trt: Any, engine: Any) -> list[TensorSpec]:
    found = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        shape, kind = tuple(int(side) for side in engine.get_tensor_shape(name)), engine.get_tensor_dtype(name)
        # numpy has no bfloat16; use its bits
        dtype = np.dtype(np.uint16 if kind == trt.DataType.BF16 else trt.nptype(kind))
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        found.append(TensorSpec(name, shape, int(np.prod(shape)) * dtype.itemsize, dtype, is_input))
    return found


class CudaGraphRun:
    """A fixed sequence of stream operations that runs once directly, then is captured and relaunched."""

    def __init__(
        self, device: CudaDevice, stream: CudaStream, work: Callable[[], None], plans: Sequence[EnginePlan]
    ) -> None:
        self._device, self._stream, self._work, self._plans = device, stream, work, plans
        self._launch: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Run the operations, and wait until they are complete."""
        if self._launch is None:
            # Once directly, since libraries select and load kernels first, which cannot be captured.
            self._work()
            self._stream.synchronize()
            for plan in self._plans:
                plan.save_kernels()
            self._launch = self._recorded() or self._work
            return
        self._launch()
        self._stream.synchronize()

    def _recorded(self) -> Callable[[], None] | None:
        if not all(plan.supports_capture(self._stream) for plan in self._plans):
            return None
        try:
            with CAPTURE_LOCK:
                return self._device.capture_graph(self._stream, self._work)
        except (EngineError, RuntimeError) as error:  # a slower engine is better than none
            log.warning("running without CUDA graphs: %s", error)
            return None
