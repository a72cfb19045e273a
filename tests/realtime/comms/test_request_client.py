"""Malformed replies are refused with a `WireError`."""

from types import SimpleNamespace

import pytest

from realtime import Requester
from realtime.comms.requests import pack_reply
from realtime.errors import WireError


@pytest.mark.parametrize("reply", [
    {}, {"object": None, "data": b"", "frame": 1, "mask": None, "masks": [5], "things": [{}]},
    {"object": "x", "data": b"png", "frame": {"index": 1}, "mask": [], "masks": 3, "things": []},
])  # fmt: skip
def test_a_reply_of_another_program_is_refused(reply):
    with Requester("tcp://127.0.0.1:1") as robot:
        robot._remote = robot._slow_remote = SimpleNamespace(
            exchange=lambda parts: pack_reply(**reply), close=lambda: None
        )
        for request in (robot.hold, robot.snapshot, lambda: robot.history(1), lambda: robot.segment(points=[(1, 1)])):
            with pytest.raises(WireError):
                request()
