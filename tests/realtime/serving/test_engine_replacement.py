"""An engine that hangs is replaced for all wearers who share it: real processes, and clips whose objects differ."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines import EngineError, EngineUnavailable
from engines.fake import open_fake
from realtime import MaskSubscriber
from realtime.comms.messages import HealthMessage, read_message
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.pipeline import watched_calls
from realtime.pipeline.engine_watch import FallbackEngine
from realtime.serving.shared_engine import SharedEngine
from tests.faults.engine_faults import FILE
from tests.realtime.serving.test_session_host import SHIFTS, check_masks, receive, write_clip
from tests.realtime.serving.test_shared_engine import BatchingFake, ask, expect, hold, picture_of, start
from tests.realtime.waiting import PATIENCE_S, eventually


def test_a_call_that_hangs_is_left_behind_and_all_clients_get_another_engine(monkeypatch):
    for name, value in {"FIRST_HANG_S": 600.0, "DEADLINE_S": 600.0}.items():
        monkeypatch.setattr(watched_calls, name, value)
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder)
    shared = SharedEngine(fake, decoder, fallbacks=[FallbackEngine("itself", lambda size: open_fake())])
    first, second = shared.open_client("first"), shared.open_client("second")
    old = first[0].encode(picture_of(5)[0])
    held = hold(fake, first)
    waiting = start(second[0].encode, picture_of(6)[0])
    shared.check_engine()
    assert not held.done()
    monkeypatch.setattr(
        watched_calls.WatchedCalls, "is_overdue", lambda calls, at_ns: calls.heartbeat.busy_ns(at_ns) > 0
    )
    shared.check_engine()
    monkeypatch.undo()
    with pytest.raises(EngineUnavailable):
        held.result(60)
    with contextlib.suppress(EngineUnavailable):  # unless the other engine was opened first
        waiting.result(60)
    eventually(lambda: shared.describe()["replaced"] == 1, "another engine")
    assert shared.find_overload() == ""
    assert "encode hangs; replaced by itself" in shared.describe()["reason"]
    with pytest.raises(EngineError):
        first[1].decode(old, [picture_of(5)[1]])
    for client in (first, second):
        assert (ask(client, 7).logits == expect(7).logits).all()
    fake.gate.set()  # its result is nobody's any more
    eventually(lambda: fake.is_closed, "the end of the old engine")
    assert (ask(first, 8).logits == expect(8).logits).all()
    shared.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A host process of two wearers: the file that says what befalls its engine, and where it publishes."""
    fault, settings = tmp_path / "fault", tmp_path / "host.toml"
    fault.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    lines = ['engine.backend = "fake"', f'publish.endpoint = "{endpoint}"']
    for stream, shift in SHIFTS.items():
        (tmp_path / stream).mkdir()
        table = {"stream": stream, **write_clip(tmp_path / stream, shift)}
        lines += ["[[session]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    settings.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.engine_faults", "serve", str(settings)],
        env={**os.environ, FILE: str(fault)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield fault, endpoint
    finally:
        process.kill()
        process.wait()


def wait_for_health(health: TopicSubscription, condition: Callable[[HealthMessage], bool], what: str) -> None:
    """Read every message until one meets the condition: a state may last for half a second only."""

    def has_come() -> bool:
        payload = health.receive(1)
        message = None if payload is None else read_message("health", payload)
        return isinstance(message, HealthMessage) and condition(message)

    eventually(has_come, what, 2 * PATIENCE_S)


def test_wearers_of_an_engine_that_hangs_say_so_and_get_another_one_with_masks_of_their_own(served):
    fault, endpoint = served
    anna, host = (
        TopicSubscription(endpoint, "health", stream=stream, newest_only=False, queue=10_000)
        for stream in ("anna", "host")
    )
    with MaskSubscriber(endpoint) as everything, contextlib.closing(anna), contextlib.closing(host):
        receive(everything, 10)
        for replaced, kind in enumerate(("encode", "decode"), 1):
            wait_for_health(anna, lambda health: health.state == "running", "a session that runs")
            fault.write_text(f"{kind}-stuck")
            wait_for_health(anna, lambda health: health.state == "degraded", "a session without an engine")
            wait_for_health(anna, lambda health: health.state == "running", "a session with another engine")
            wait_for_health(
                host, lambda health, count=replaced: health.engine["replaced"] >= count
                and "hangs; replaced by fake" in health.engine["reason"], "another engine",
            )  # fmt: skip
            masks = receive(everything, 40)
            assert {mask.stream for mask in masks} == set(SHIFTS)
            for stream in SHIFTS:
                check_masks([mask for mask in masks if mask.stream == stream], stream)
