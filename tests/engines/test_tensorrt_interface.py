"""Tests the stand-ins against TensorRT-RTX and cuda-python: names, parameters and enumerations."""

from __future__ import annotations

import enum
import inspect
import re

import pytest

from engines.backends.tensorrt.library import find_library
from tests.engines import fake_tensorrt as fake

trt = pytest.importorskip("tensorrt_rtx_bindings")

CLASSES = [
    value
    for value in vars(fake).values()
    if inspect.isclass(value) and value.__module__ == fake.__name__ and hasattr(trt, value.__name__)
]


def own(kind: type) -> dict[str, object]:
    """Find the public members of the stand-in; its registers and switches are not part of the interface."""
    extra = {"content", "parser_refuses", "failure", "last_config", "builds", "made", "capturable", "fails", "starts",
             "grumbles"}  # fmt: skip
    return {name: value for name, value in vars(kind).items() if not name.startswith("_") and name not in extra}


def test_most_of_the_interface_is_compared():
    assert {kind.__name__ for kind in CLASSES} >= {
        "ILogger", "IProgressMonitor", "Builder", "IBuilderConfig", "OnnxParser", "ParserError", "INetworkDefinition",
        "Runtime", "ICudaEngine", "IExecutionContext", "IRuntimeConfig", "IRuntimeCache", "ITimingCache", "DataType",
        "BuilderFlag", "TensorIOMode", "ExecutionContextAllocationStrategy", "CudaGraphStrategy",
    }  # fmt: skip


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_stand_in_has_the_real_names_and_parameters(kind: type):
    real = getattr(trt, kind.__name__)
    if issubclass(kind, enum.Enum):
        assert set(kind.__members__) <= set(real.__members__)
        return
    for name, value in own(kind).items():
        assert hasattr(real, name), f"{kind.__name__} has no {name}"
        if inspect.isfunction(value):
            wanted = [each for each in inspect.signature(value).parameters if each != "self"]
            assert wanted in signatures(getattr(real, name).__doc__), f"{kind.__name__}.{name}({', '.join(wanted)})"
    if "__init__" in vars(kind) and kind.__name__ in ("Builder", "OnnxParser", "Runtime"):
        wanted = [each for each in inspect.signature(kind.__init__).parameters if each != "self"]
        assert wanted in signatures(real.__init__.__doc__)


def signatures(doc: str) -> list[list[str]]:
    """Find the parameter names of every overload that pybind11 writes into a docstring."""
    found = []
    for line in re.sub(r" = <[^>]*>", "", doc).splitlines():
        match = re.match(r"\s*(?:\d+\. )?\w+\((self: [^)]*)\)(?: ->|$)", line)
        if match:
            found.append([name for name in re.findall(r"(\w+):", match[1].replace("nvinfer1::", "")) if name != "self"])
    return found


def test_the_logger_and_the_monitor_are_called_as_the_real_ones_call():
    for name, methods in (("ILogger", ["log"]), ("IProgressMonitor", ["phase_start", "step_complete", "phase_finish"])):
        for method in methods:
            assert signatures(getattr(getattr(trt, name), method).__doc__)


def test_severities_are_the_real_ones():
    assert set(fake.ILogger.Severity.__members__) == set(trt.ILogger.Severity.__members__)


def test_two_public_wheels_are_enough():
    library = find_library()
    assert library.rtx or library.name == "TensorRT"
    if library.rtx:
        assert library.capability("8.9") == trt.ComputeCapability.SM89


def test_every_format_that_leaves_a_graph_has_a_numpy_type_or_is_bfloat16():
    assert {trt.nptype(kind) for kind in (trt.DataType.FLOAT, trt.DataType.HALF, trt.DataType.UINT8)}
    with pytest.raises(TypeError):
        trt.nptype(trt.DataType.BF16)  # why the runner asks first


def test_cuda_python_records_graphs_by_the_names_that_are_used():
    driver = pytest.importorskip("cuda.bindings.driver")
    for name, wanted in {
        "cuStreamBeginCapture": "(hStream, mode", "cuStreamEndCapture": "(hStream)",
        "cuGraphInstantiate": "(hGraph, unsigned long long flags)", "cuGraphLaunch": "(hGraphExec, hStream)",
        "cuGraphDestroy": "(hGraph)", "cuGraphExecDestroy": "(hGraphExec)",
    }.items():  # fmt: skip
        assert f"{name}{wanted}" in getattr(driver, name).__doc__
    assert driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL is not None
    assert driver.CUresult.CUDA_SUCCESS == 0
