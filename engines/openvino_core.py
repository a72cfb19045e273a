"""Opens OpenVINO once for the whole process."""

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
