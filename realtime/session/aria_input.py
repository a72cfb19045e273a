"""Opens frames and gaze of Project Aria glasses from a name such as `aria:` or `aria:FILE.vrs`."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from realtime.errors import SourceError
from realtime.session.source_options import parse_number, parse_path, split_path
from realtime.sources.aria import bridge
from realtime.sources.aria.device_sources import AriaFrames, AriaGaze
from realtime.sources.aria.process import BridgeProcess
from realtime.sources.names import SourceName
from realtime.types import FrameSource, GazeSource

PYTHON_VARIABLE = "GAZECAST_ARIA_PYTHON"
_INSTALL = "python3 -m venv aria-env, aria-env/bin/pip install projectaria-client-sdk"


def open_aria_frames(name: SourceName) -> FrameSource:
    """Open the scene camera: live, or of a recording."""
    return AriaFrames(_open_process(name))


def open_aria_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    """Open the gaze, from the process of the frames where these are of Aria glasses too."""
    return AriaGaze(frames.process if isinstance(frames, AriaFrames) else _open_process(name))


def _open_process(name: SourceName) -> BridgeProcess:
    """Prepare the client's process; raises `SourceError`."""
    spec = name.shown
    path, options = split_path(spec, name.rest.removeprefix("//"), "speed", "profile")
    arguments = ["--profile", options.get("profile", "profile9")]
    if path:
        file = parse_path(spec, path)
        if not file.is_file():
            raise SourceError(f"there is no file {file}; expected aria:FILE.vrs, or aria: for live glasses")
        speed = parse_number(spec, "speed", options.get("speed", "1"), 0.01, 100)
        arguments = ["--replay", str(file.resolve()), "--speed", f"{speed:g}"]
    # Isolated: neither the folder of the bridge nor packages of this environment hide the client's.
    command = [_find_python(spec), "-I", str(Path(bridge.__file__)), *arguments]
    return BridgeProcess(command, is_replay=bool(path))


def _find_python(spec: str) -> str:
    """Return the interpreter that has the client; raises `SourceError`."""
    chosen = os.environ.get(PYTHON_VARIABLE, "")
    if chosen:
        found = shutil.which(os.path.expanduser(chosen))
        if found is None:
            raise SourceError(f"{spec}: {PYTHON_VARIABLE} is {chosen!r}, which is no program")
        return found
    if find_spec("aria") is not None and find_spec("projectaria_tools") is not None:
        return sys.executable
    raise SourceError(
        f"{spec} needs Project Aria's client, in an environment of its own: {_INSTALL}; then "
        f"export {PYTHON_VARIABLE}=aria-env/bin/python"
    )
