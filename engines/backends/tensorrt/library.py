"""Imports the installed TensorRT or TensorRT-RTX, whose Python interfaces have the same names."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from engines.base import EngineUnavailable

CHOICES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
"""Import names in the order of preference; the last is what the two public wheels of TensorRT-RTX install."""
MIN_VERSION, VERSION_LIMIT = (10, 8), (12,)
"""Of TensorRT: strongly typed networks with all that our graphs hold, up to the next major version."""
INSTALL = (
    "pip install 'gazecast[tensorrt]', or 'gazecast[tensorrt-rtx]' for a desktop GPU of compute capability 7.5, 8.x or "
    "12.x; docs/guides/gpu.md has more"
)
LINES = 20


@dataclass(frozen=True, slots=True)
class TensorRtLibrary:
    """Holds a TensorRT library. trt: the module. rtx: whether it is TensorRT-RTX, which compiles at first run."""

    trt: Any
    name: str
    version: str
    rtx: bool

    def capability(self, compute: str) -> Any | None:
        """Return the build target for a compute capability such as "8.9"; None means this machine's own.

        Raises `EngineUnavailable` where TensorRT-RTX has no such target.
        """
        if not self.rtx:
            return None
        found = getattr(self.trt.ComputeCapability, f"SM{compute.replace('.', '')}", None)
        if found is None:
            raise EngineUnavailable(
                f"TensorRT-RTX {self.version} does not support GPUs of compute capability {compute}; "
                "install TensorRT itself: pip install 'gazecast[tensorrt]'"
            )
        return found

    def create(self, kind: str, log: Any) -> Any:
        """Create TensorRT's "Builder" or "Runtime"; raises `EngineUnavailable` on failure, as without a driver."""
        try:
            return getattr(self.trt, kind)(log)
        except TypeError as error:  # raised by pybind11 where C++ returns a null pointer
            raise EngineUnavailable(
                f"{self.name} {self.version} cannot start: {last_error(log)}; is the driver new enough for it?"
            ) from error


def find_library(load: Callable[[str], Any] = import_module) -> TensorRtLibrary:
    """Import the first available TensorRT; raises `EngineUnavailable` with a one-line remedy."""
    troubles = []
    for choice in CHOICES:
        try:
            trt = load(choice)
        except ModuleNotFoundError as error:
            if error.name != choice:
                troubles.append(f"{choice}: {error}")
            continue
        except (ImportError, OSError, RuntimeError) as error:  # a shared library is missing, or not for this driver
            troubles.append(f"{choice}: {(str(error).strip().splitlines() or [type(error).__name__])[0]}")
            continue
        version = str(trt.__version__)
        rtx = choice != "tensorrt"
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if not rtx and not MIN_VERSION <= numbers < VERSION_LIMIT:
            troubles.append(f"TensorRT {version} is installed, 10.8 to 11 is needed")
            continue
        return TensorRtLibrary(trt, "TensorRT-RTX" if rtx else "TensorRT", version, rtx)
    if troubles:
        raise EngineUnavailable(f"TensorRT cannot be used: {'; '.join(troubles)}; {INSTALL}")
    raise EngineUnavailable(f"TensorRT is not installed; {INSTALL}")


def make_logger(trt: Any) -> Any:
    """Create a logger that keeps the last errors and warnings as `lines`, newest last, without printing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[tuple[bool, str]] = deque(maxlen=LINES)

        def log(self, severity: Any, msg: str) -> None:
            severities = trt.ILogger.Severity
            if severity in (severities.INTERNAL_ERROR, severities.ERROR, severities.WARNING):
                self.lines.append((severity != severities.WARNING, " ".join(str(msg).split())))

    return Log()


def last_error(log: Any) -> str:
    """Return the first error in a logger of `make_logger`, the cause of later ones.

    The logger's lines are cleared, so that no error is reported twice.
    """
    lines = list(log.lines)
    log.lines.clear()
    errors = [line for is_error, line in lines if is_error]
    warnings = [line for is_error, line in lines if not is_error]
    reason = errors[0] if errors else warnings[-1] if warnings else "TensorRT gave no reason"
    return reason if len(reason) <= 400 else f"{reason[:400]}..."
