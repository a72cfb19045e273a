"""A small stand-in for TensorRT and for a GPU: plans are ONNX files that ONNX Runtime runs in host memory.

It is as strict as the real ones where that is easy to forget: work on a stream is done only when it is waited for,
a context needs its scratch memory and all its addresses, and nothing can be recorded that has not run before.
`test_tensorrt_interface.py` holds its names, parameters and enumerations against TensorRT-RTX's own.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engines import EngineError
from engines.backends.tensorrt.library import TensorRtLibrary
from engines.backends.tensorrt.plans import GpuInfo


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: Any, msg: str) -> None: ...


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...

    def step_complete(self, phase_name: str, step: int) -> bool: ...

    def phase_finish(self, phase_name: str) -> None: ...


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    TF32 = 5
    REQUIRE_USER_ALLOCATION = 20


class ComputeCapability(enum.Enum):
    SM86 = 86
    SM89 = 89
    SM120 = 120


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1
    UINT8 = 5
    BF16 = 7


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class CudaGraphStrategy(enum.Enum):
    DISABLED = 0


class LayerType(enum.IntEnum):
    CAST = 0


class INetworkDefinition:
    num_layers = 0

    def __init__(self) -> None:
        self.content = b""

    def get_layer(self, index: int) -> Any:
        raise IndexError(index)


class ParserError:
    def node_operator(self) -> str:
        return "Slice"

    def node_name(self) -> str:
        return "/Slice_8"

    def desc(self) -> str:
        return "a shape tensor must have\n type Int64"


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, model: str) -> bool:
        if Builder.parser_refuses:
            self.num_errors = 1
            return False
        self._network.content = Path(model).read_bytes()
        return True

    def get_error(self, index: int) -> ParserError:
        return ParserError()


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content + b"t"


class IBuilderConfig:
    progress_monitor: Any = None
    num_compute_capabilities = 0

    def __init__(self) -> None:
        self.flags_set: set[BuilderFlag] = set()
        self.flags_cleared: set[BuilderFlag] = set()
        self.targets: dict[int, ComputeCapability] = {}
        self.timing: ITimingCache | None = None

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags_set.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags_cleared.add(flag)

    def set_compute_capability(self, compute_capability: ComputeCapability, index: int) -> bool:
        assert index < self.num_compute_capabilities
        self.targets[index] = compute_capability
        return True

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        if serialized_timing_cache == b"damaged":
            return None
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache.content.startswith(b"foreign"):
            return False
        self.timing = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self.timing


class Builder:
    """failure: the log's line when the next builds return nothing. parser_refuses: what its parsers do.

    starts: whether the driver is new enough.
    """

    starts = True
    failure: str | None = None
    parser_refuses = False
    last_config: IBuilderConfig | None = None
    builds = 0

    def __init__(self, logger: ILogger) -> None:
        if not Builder.starts:
            logger.log(ILogger.Severity.WARNING, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        assert flags == 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        Builder.last_config = IBuilderConfig()
        return Builder.last_config

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 4)
        for step in range(4):
            monitor.phase_start("Timing", "Building engine", 2)
            for inner in range(2):
                if not monitor.step_complete("Timing", inner):
                    self._logger.log(ILogger.Severity.ERROR, "the build was cancelled")
                    return None
            monitor.phase_finish("Timing")
            if not monitor.step_complete("Building engine", step):
                return None
        monitor.phase_finish("Building engine")
        if Builder.failure is not None:
            self._logger.log(ILogger.Severity.ERROR, Builder.failure)
            self._logger.log(ILogger.Severity.ERROR, "no engine, because of the above")
            return None
        Builder.builds += 1
        return network.content


KINDS = {"tensor(float)": DataType.FLOAT, "tensor(float16)": DataType.HALF, "tensor(uint8)": DataType.UINT8}
NUMPY = {DataType.FLOAT: np.float32, DataType.HALF: np.float16, DataType.UINT8: np.uint8}


def nptype(trt_type: DataType) -> Any:
    return NUMPY[trt_type]


class IRuntimeCache:
    def __init__(self) -> None:
        self.given = b""

    def serialize(self) -> bytes:
        return b"kernels"

    def deserialize(self, blob: bytes) -> bool:
        self.given = bytes(blob)
        return True


class IRuntimeConfig:
    cuda_graph_strategy: Any = None

    def __init__(self) -> None:
        self.strategy = ExecutionContextAllocationStrategy.STATIC
        self.cache: IRuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache()

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self.cache = cache
        return True


@functools.lru_cache(maxsize=16)
def _session(content: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class ICudaEngine:
    device_memory_size_v2 = 4096

    def __init__(self, content: bytes, logger: ILogger) -> None:
        self.session = _session(content)
        self.logger = logger
        self.inputs = {each.name: each for each in self.session.get_inputs()}
        self._all = {**self.inputs, **{each.name: each for each in self.session.get_outputs()}}
        self.num_io_tensors = len(self._all)

    def get_tensor_name(self, index: int) -> str:
        return list(self._all)[index]

    def get_tensor_shape(self, name: str) -> Any:
        return self._all[name].shape

    def get_tensor_dtype(self, name: str) -> DataType:
        return KINDS[self._all[name].type]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(self, strategy: Any) -> IExecutionContext:
        chosen = strategy.strategy if isinstance(strategy, IRuntimeConfig) else strategy
        assert chosen is ExecutionContextAllocationStrategy.USER_MANAGED
        context = IExecutionContext(self)
        if isinstance(strategy, IRuntimeConfig):
            context.kernels = strategy.cache
        return context


class IExecutionContext:
    """capturable: the result of `is_stream_capturable`. fails: the log's line when the next run fails.

    grumbles: the warning when one is made.
    """

    made: list[IExecutionContext] = []  # noqa: RUF012 - a register on purpose
    capturable = True
    fails: str | None = None
    grumbles: str | None = None

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        if IExecutionContext.grumbles is not None:
            engine.logger.log(ILogger.Severity.ERROR, IExecutionContext.grumbles)
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self.kernels: IRuntimeCache | None = None
        self.streams: set[int] = set()
        self.ran = False
        IExecutionContext.made.append(self)

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self._engine.device_memory_size_v2
        self._scratch = memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine._all:
            return False
        self._addresses[name] = memory
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return IExecutionContext.capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        log = self._engine.logger
        if IExecutionContext.fails is not None:
            log.log(ILogger.Severity.ERROR, IExecutionContext.fails)
            return False
        if not self._scratch or set(self._addresses) != set(self._engine._all):
            log.log(ILogger.Severity.ERROR, "scratch memory or an address was not set")
            return False
        stream = HostStream.by_handle[stream_handle]
        assert self.ran or not stream.recording, "a first run cannot be recorded"
        self.ran = True
        self.streams.add(stream_handle)
        places = dict(self._addresses)  # as at the call, not as when the stream gets there
        stream.submit(lambda: self._execute(places))
        return True

    def _execute(self, places: dict[str, int]) -> None:
        engine = self._engine
        views = {name: self._view(name, address) for name, address in places.items()}
        names = [name for name in views if name not in engine.inputs]
        found = engine.session.run(names, {name: views[name] for name in engine.inputs})
        for name, value in zip(names, found, strict=True):
            views[name][...] = value

    def _view(self, name: str, address: int) -> Any:
        shape, kind = self._engine.get_tensor_shape(name), np.dtype(nptype(self._engine.get_tensor_dtype(name)))
        size = int(np.prod(shape)) * kind.itemsize
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)).view(kind).reshape(shape)


class Runtime:
    """starts: whether the driver is new enough."""

    starts = True

    def __init__(self, logger: ILogger) -> None:
        if not Runtime.starts:
            logger.log(ILogger.Severity.WARNING, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        try:
            onnx.load_from_string(serialized_engine)
        except Exception:
            self._logger.log(ILogger.Severity.ERROR, "the plan's magic tag does not match")
            return None
        return ICudaEngine(serialized_engine, self._logger)


class Trt:
    """A stand-in for the module."""

    __version__ = "11.4.0"
    ILogger, IProgressMonitor, Builder, OnnxParser, Runtime = ILogger, IProgressMonitor, Builder, OnnxParser, Runtime
    NetworkDefinitionCreationFlag, BuilderFlag = NetworkDefinitionCreationFlag, BuilderFlag
    ComputeCapability, DataType, TensorIOMode, LayerType = ComputeCapability, DataType, TensorIOMode, LayerType
    ExecutionContextAllocationStrategy, CudaGraphStrategy = ExecutionContextAllocationStrategy, CudaGraphStrategy
    nptype = staticmethod(nptype)


def fake_library(*, rtx: bool = False) -> TensorRtLibrary:
    return TensorRtLibrary(Trt, "TensorRT-RTX" if rtx else "TensorRT", "1.7.1" if rtx else "11.4.0", rtx)


# -- the GPU ----------------------------------------------------------------------------------------------------------


class HostStream:
    by_handle: dict[int, HostStream] = {}  # noqa: RUF012
    _handles = itertools.count(1000)

    def __init__(self, high_priority: bool) -> None:
        self.high_priority = high_priority
        self.handle = next(HostStream._handles)
        self.recording: list[Callable[[], None]] | None = None
        self._waiting: list[Callable[[], None]] = []
        HostStream.by_handle[self.handle] = self

    def submit(self, work: Callable[[], None]) -> None:
        (self._waiting if self.recording is None else self.recording).append(work)

    def synchronize(self) -> None:
        assert self.recording is None, "a stream that records cannot be waited for"
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            work()


class HostBlock:
    def __init__(self, nbytes: int) -> None:
        self.memory = np.full(nbytes, 0xAA, np.uint8)
        self.nbytes = nbytes
        self.address = self.memory.ctypes.data


class HostDevice:
    """counts: how often each method was called. graphs: whether they can be recorded."""

    def __init__(self, *, graphs: bool = True) -> None:
        self.gpu = GpuInfo("Fake 9000", "8.9", "580.65")
        self.versions = {"host": "1"}
        self.counts: Counter[str] = Counter()
        self.streams: list[HostStream] = []
        self.depth = 0
        self._graphs = graphs

    @contextmanager
    def make_current(self) -> Iterator[None]:
        yield

    def create_stream(self, *, high_priority: bool) -> HostStream:
        self.streams.append(HostStream(high_priority))
        return self.streams[-1]

    def allocate(self, nbytes: int) -> HostBlock:
        self.counts["allocate"] += 1
        return HostBlock(nbytes)

    def allocate_pinned(self, shape: tuple[int, ...], dtype: Any) -> Any:
        self.counts["pinned"] += 1
        return np.zeros(shape, dtype)

    def upload(self, block: HostBlock, host: Any, stream: HostStream) -> None:
        def work() -> None:
            self.counts["upload bytes"] += host.nbytes
            block.memory[: host.nbytes] = host.reshape(-1).view(np.uint8)

        stream.submit(work)

    def download(self, host: Any, block: HostBlock, stream: HostStream) -> None:
        def work() -> None:
            self.counts["download bytes"] += host.nbytes
            host.reshape(-1).view(np.uint8)[:] = block.memory[: host.nbytes]

        stream.submit(work)

    def copy_from_device(self, block: HostBlock, address: int, nbytes: int, stream: HostStream) -> None:
        source = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
        stream.submit(lambda: block.memory.__setitem__(slice(nbytes), source))

    def synchronize(self) -> None:
        self.counts["finish"] += 1
        for stream in self.streams:
            stream.synchronize()

    def capture_graph(self, stream: HostStream, work: Callable[[], None]) -> Callable[[], None] | None:
        if not self._graphs:
            return None
        self.counts["record"] += 1
        stream.recording = []
        try:
            work()
        except Exception as error:
            raise EngineError(str(error)) from error
        finally:
            steps, stream.recording = stream.recording, None

        def launch() -> None:
            self.counts["launch"] += 1
            for step in steps:
                stream.submit(step)

        return launch


class OnDevice:
    """Memory with a `__cuda_array_interface__`; not an array, as those of torch and cupy are not."""

    def __init__(self, array: Any, **more: Any) -> None:
        self._array = np.ascontiguousarray(array)
        self.shape = array.shape
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "data": (self._array.ctypes.data, False), "version": 3,
            **more,
        }  # fmt: skip
