"""Opens OpenVINO once for the whole process, and compiles models for it."""

from __future__ import annotations

from functools import cache
from typing import Any

from engines.base import EngineUnavailable


@cache
def open_core() -> Any:
    """Return the process's only `openvino.Core`, which lives as long as the process; raises `EngineUnavailable`.

    OpenVINO's CPU plugin replaces the alternate signal stack of the thread that loads it, and unmaps it when the
    last object of its core is gone, on any thread. Python runs signal handlers on that stack: the next Ctrl-C would
    end the process with a segmentation fault.
    """
    try:
        import openvino
    except ImportError as error:
        raise EngineUnavailable("this needs OpenVINO: pip install openvino") from error
    return openvino.Core()


@cache
def has_bfloat16() -> bool:
    """Check whether graphs run in bfloat16 on this CPU, by compiling one; raises `EngineUnavailable`.

    The CPU's flags alone do not tell: `ONEDNN_MAX_CPU_ISA` holds instructions back that they promise.
    """
    core = open_core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    import openvino

    data = openvino.opset13.parameter([1, 64, 64])
    attention = openvino.opset13.softmax(openvino.opset13.matmul(data, data, False, True), 2)
    try:
        core.compile_model(openvino.Model([attention], [data]), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    except RuntimeError:
        return False
    return True


def compile_for_latency(core: Any, model: Any, threads: int, **config: Any) -> Any:
    """Compile a model for single requests on the CPU. config: further properties of OpenVINO.

    Without a precision among them it is OpenVINO's choice, but not a bfloat16 that the CPU's flags promise in vain.
    """
    if not has_bfloat16():
        config.setdefault("INFERENCE_PRECISION_HINT", "f32")
    config |= {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
        # The encoder and the decoder run concurrently; pinned, both would share the first core.
        "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    return core.compile_model(model, "CPU", config)
