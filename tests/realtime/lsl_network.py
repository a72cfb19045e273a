"""A network of the Lab Streaming Layer that only this test run sees, and its streams; import it before pylsl.

The streams are in processes of their own, as trackers are: the library may crash the process that ends a stream whose
receiver is in it too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_folder = tempfile.TemporaryDirectory(prefix="lsl-")
_config = Path(_folder.name) / "lsl_api.cfg"
# Where there is no multicast, the streams of this machine are found by its address, in this range of ports.
_config.write_text(
    f"[ports]\nBasePort = {17000 + os.getpid() % 200 * 64}\nPortRange = 64\n[multicast]\nResolveScope = machine\n"
    f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {uuid.uuid4().hex}\n[log]\nlevel = -3\n"
)
os.environ["LSLAPICFG"] = str(_config)

XY = (("x", "ScreenX", "pixels"), ("y", "ScreenY", "pixels"))
_SENDER = """
import json, sys
import pylsl
fields = json.loads(sys.argv[1])
info = pylsl.StreamInfo(*(fields[key] for key in ("name", "type", "count", "rate", "form", "source_id")))
if fields["channels"]:
    channels = info.desc().append_child("channels")
for channel in fields["channels"]:
    node = channels.append_child("channel")
    for key, value in zip(("label", fields["key"], "unit", "eye"), channel):
        node.append_child_value(key, value)
if fields["size"]:
    screen = info.desc().append_child("setup").append_child("display").append_child("resolution_primary")
    screen.append_child_value("X", fields["size"][0])
    screen.append_child_value("Y", fields["size"][1])
outlet = pylsl.StreamOutlet(info)
print("ready", flush=True)
for line in sys.stdin:
    sample = json.loads(line)
    at_s = sample["at_s"]
    outlet.push_sample(sample["values"], pylsl.local_clock() - sample["age_s"] if at_s is None else at_s)
"""


def unique(name: str) -> str:
    """A name that no other test has."""
    return f"{name} {uuid.uuid4().hex[:8]}"


class Outlet:
    """A stream whose description and samples a test decides."""

    def __init__(
        self,
        name: str,
        channels: Sequence[tuple[str, ...]] = XY,
        *,
        count: int | None = None,
        kind: str = "Gaze",
        key: str = "type",
        source_id: str = "",
        form: str = "float32",
        size: tuple[str, str] | None = None,
    ) -> None:
        """channels: (label, type, unit, eye). key: of a channel's type."""
        fields = {
            "name": name, "type": kind, "count": len(channels) if count is None else count, "rate": 0, "form": form,
            "source_id": source_id or uuid.uuid4().hex, "channels": channels, "key": key, "size": size,
        }  # fmt: skip
        command = [sys.executable, "-c", _SENDER, json.dumps(fields)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def send(self, *values: float, age_s: float = 0.0, at_s: float | None = None) -> None:
        """Send a sample of an age, or with another time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"values": values, "age_s": age_s, "at_s": at_s}) + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End the sender without a word to its receivers."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def outlet(name: str, *args: object, **kwargs: object) -> Iterator[Outlet]:
    """A stream that ends with the block."""
    opened = Outlet(name, *args, **kwargs)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        opened.kill()
