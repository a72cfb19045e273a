"""Tests of the process's OpenVINO core: it survives Ctrl-C, and says whether bfloat16 runs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="OpenVINO is not installed")

CLOSED_ELSEWHERE = """
import gc, os, signal, threading
import numpy as np
import onnx
from onnx import TensorProto, helper
from engines.openvino_core import open_core

values = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [values], [result])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
core = open_core()
opened = [core.compile_model(core.read_model(model.SerializeToString()), "CPU"), core]
del core
closing = threading.Thread(target=lambda: (opened.clear(), gc.collect()))
closing.start()
closing.join()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_after_an_engine_was_closed_on_another_thread() -> None:
    ran = subprocess.run([sys.executable, "-c", CLOSED_ELSEWHERE], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "interrupted\n"), ran.stderr


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the limit is for x86-64")
def test_bfloat16_is_not_used_where_its_instructions_are_held_back() -> None:
    code = "from engines.openvino_core import has_bfloat16; print(has_bfloat16())"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    assert ran.stdout == "False\n"
