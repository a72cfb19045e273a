"""The library's own output, in a process of its own: it reads its configuration once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import pylsl
from realtime.session.inputs import open_gaze
open_gaze("lsl:")
outlet = pylsl.StreamOutlet(pylsl.StreamInfo("quiet", "Gaze", 2, 0, "float32", "quiet"))
print(pylsl.local_clock() > 0)
"""


@pytest.mark.parametrize("config", ["", "[lab]\nSessionID = quiet\n", "[lab]\nSessionID = loud\n[log]\nlevel = 0\n"])
def test_the_library_prints_only_what_the_user_asks_for(tmp_path: Path, config: str) -> None:
    file = tmp_path / "lsl_api.cfg"
    file.write_text(config)
    environment = {**os.environ, "LSLAPICFG": str(file), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "True\n")
    assert bool(done.stderr) == ("[log]" in config), done.stderr
