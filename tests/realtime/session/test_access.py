"""A whole run with keys: who reads its masks, who steers it, what `health` says, and its encrypted recording."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from realtime import MaskSubscriber, Requester
from realtime.commands.main import build_parser
from realtime.comms.hosts import is_loopback
from realtime.comms.keys import AllowedClient, KeyFolder
from realtime.comms.sockets.curve import make_key_pair
from realtime.config.access import AccessSettings
from realtime.config.loader import flatten_settings
from realtime.config.schema import RunConfig, load_config
from realtime.errors import AccessError, TransportError, WireError
from realtime.recording.encryption import is_encrypted, make_identity
from realtime.recording.reader import RecordingReader
from realtime.session.access import choose_access
from realtime.session.run import run
from realtime.simulation.device import SimulatedTracker
from tests.realtime import scene
from tests.realtime.kept_view import KeptView
from tests.realtime.waiting import PATIENCE_S, eventually


def make_keys(folder: Path) -> KeyFolder:
    keys = KeyFolder(folder)
    keys.write_own(make_key_pair())
    return keys


def test_allowed_client_reads_and_steers_as_far_as_its_key_goes(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("GAZECAST_SERVER_KEY", raising=False)
    server, client, stranger = (make_keys(tmp_path / name) for name in ("server", "client", "stranger"))
    public = client.read_own().public
    server.allow_client(AllowedClient(public, "arm"))
    for keys in (client, stranger):
        keys.trust_server("127.0.0.1", server.read_own().public)
    identity, recipient = make_identity(tmp_path / "identity.txt")
    clip = scene.write_clip(tmp_path, 96)
    device = SimulatedTracker(clip[0], clip[1], port=0, blink_every_s=0)
    device.start()
    config = load_config(None, {
        "source": f"pupil://127.0.0.1:{device.port}", "engine": {"backend": "fake"}, "requests": "tcp://127.0.0.1:0",
        "publish": {"endpoint": "tcp://127.0.0.1:0"}, "access": {"keys": server.path, "loopback_keys": True},
        "record": {"file": tmp_path / "a.mcap", "recipients": [recipient], "frames": "none"},
    })  # fmt: skip
    stop, view = threading.Event(), KeptView()
    thread = threading.Thread(target=run, args=(config, view), kwargs={"stop": stop})
    thread.start()
    try:
        eventually(lambda: view.endpoint, "the run")
        requests = next(line for line in view.lines if "answering" in line).split()[-1]
        assert f"publish at {view.endpoint} with keys: 1 may connect" in view.lines
        refused = MaskSubscriber(view.endpoint, ("health",), keys=stranger.path)
        with refused, pytest.raises(AccessError, match="does not allow this key"):
            refused.newest("health", timeout_s=PATIENCE_S)
        with MaskSubscriber(view.endpoint, ("mask", "health"), keys=client.path) as subscriber:
            assert subscriber.newest("mask", timeout_s=PATIENCE_S) is not None
            health: list[dict[str, int]] = []

            def has_counted() -> bool:
                message = subscriber.newest("health", timeout_s=PATIENCE_S)
                assert message is not None
                assert message.access == {"publish": "keys", "requests": "keys"}
                health.append(message.dropped)
                return message.dropped.get("publish.refused_peers", 0) >= 1

            eventually(has_counted, "the refused subscriber in health")
        with Requester(requests, timeout_s=PATIENCE_S, keys=client.path) as requester:
            assert requester.status()["stream"] == "gazecast"
            with pytest.raises(WireError, match=f"may not do that.*gazecast keys allow {public} --may control"):
                requester.release()
            server.allow_client(AllowedClient(public, "arm", ("control",)))
            refusal = ""
            try:
                requester.release()
            except WireError as error:  # on a busy machine no frame may come in time
                refusal = str(error)
            assert "may not" not in refusal
            with pytest.raises(WireError, match="--may pictures"):
                requester.snapshot()
            server.remove_client("arm")
            with pytest.raises(WireError, match="may not do that"):
                requester.status()
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        device.stop()
    assert is_encrypted(tmp_path / "a.mcap")
    recording = RecordingReader(tmp_path / "a.mcap", identity)
    assert recording.complete
    assert not recording.about.pictures
    assert {"mask", "health", "source/gaze", "source/frame"} <= recording.topics
    assert public not in recording.about.config


@pytest.mark.parametrize(
    ("endpoint", "settings", "kind"),
    [("tcp://127.0.0.1:1", {}, "loopback"), ("tcp://127.0.0.1:1", {"insecure": ("publish",)}, "loopback"),
     ("tcp://127.0.0.1:1", {"loopback_keys": True}, "keys"), ("tcp://0.0.0.0:1", {}, "keys"),
     ("tcp://0.0.0.0:1", {"insecure": ("publish",)}, "open"), ("tcp://0.0.0.0:1", {"insecure": ("requests",)}, "keys")],
)  # fmt: skip
def test_access_follows_address_and_settings(tmp_path, endpoint, settings, kind) -> None:
    keys = make_keys(tmp_path)
    assert choose_access(AccessSettings(keys=keys.path, **settings), "publish", endpoint).kind == kind


def test_invalid_address_is_refused(tmp_path) -> None:
    with pytest.raises(TransportError, match="is no address"):
        choose_access(AccessSettings(keys=tmp_path), "publish", "0.0.0.0:5571")


def test_every_default_address_is_on_loopback() -> None:
    values = flatten_settings(RunConfig())
    for line in ("run --foxglove --requests --metrics", "simulate --video clip.mp4"):
        values |= vars(build_parser().parse_args(line.split()))
    names = ("host", "address", "endpoint", "foxglove", "requests", "lerobot", "metrics")
    hosts = {
        name: value.removeprefix("tcp://").rpartition(":")[0] or value
        for name, value in values.items()
        if value and isinstance(value, str) and name.rpartition(".")[2] in names
    }
    assert {"publish.endpoint", "view.host", "foxglove", "requests", "host"} <= hosts.keys()
    assert {name: host for name, host in hosts.items() if not is_loopback(host)} == {}
