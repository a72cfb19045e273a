"""A network of the Lab Streaming Layer that only this test run and its child processes see; import it before pylsl."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_folder = tempfile.TemporaryDirectory(prefix="lsl-")
_config = Path(_folder.name) / "lsl_api.cfg"
# Where there is no multicast, the streams of this machine are found by its address.
_config.write_text(
    f"[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {uuid.uuid4().hex}\n"
    "[log]\nlevel = -3\n"
)
os.environ["LSLAPICFG"] = str(_config)

import pylsl  # noqa: E402 - it reads the file when it is loaded

PIXELS = (("x", "ScreenX", "pixels"), ("y", "ScreenY", "pixels"), ("confidence", "Confidence", "normalized"))


def unique(name: str) -> str:
    """A name that no other test has."""
    return f"{name} {uuid.uuid4().hex[:8]}"


class Outlet:
    """A stream whose description and samples a test decides."""

    def __init__(
        self,
        name: str,
        channels: Sequence[tuple[str, ...]] = PIXELS,
        *,
        count: int | None = None,
        type: str = "Gaze",
        key: str = "type",
        source_id: str = "",
        form: str = "float32",
        size: tuple[str, str] | None = None,
    ) -> None:
        """channels: (label, type, unit, eye). key: of a channel's type."""
        self.count = len(channels) if count is None else count
        info = pylsl.StreamInfo(name, type, self.count, pylsl.IRREGULAR_RATE, form, source_id or uuid.uuid4().hex)
        if channels:
            described = info.desc().append_child("channels")
        for channel in channels:
            node = described.append_child("channel")
            for field, value in zip(("label", key, "unit", "eye"), channel, strict=False):
                node.append_child_value(field, value)
        if size is not None:
            screen = info.desc().append_child("setup").append_child("display").append_child("resolution_primary")
            screen.append_child_value("X", size[0])
            screen.append_child_value("Y", size[1])
        self.outlet = pylsl.StreamOutlet(info)

    def send(self, *values: float, age_s: float = 0.0, at_s: float | None = None) -> float:
        """Send a sample; returns its time."""
        at_s = pylsl.local_clock() - age_s if at_s is None else at_s
        self.outlet.push_sample(list(values), at_s)
        return at_s


@contextmanager
def outlet(name: str, *args: object, **kwargs: object) -> Iterator[Outlet]:
    """A stream that ends with the block."""
    opened = Outlet(name, *args, **kwargs)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        del opened.outlet
