"""The settings file of a host: defaults, sessions, and what is refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realtime.config.loader import parse_toml
from realtime.errors import SettingsError
from realtime.serving.host_config import HostConfig, load_host_config, read_host_config

ANNA = '[[session]]\nstream = "anna"\nsource = "pupil://10.0.0.5"\n'
BEN = '[[session]]\nstream = "ben"\nsource = "camera:0"\ngaze = "pupil://10.0.0.5"\n'


def read(text: str, flags: dict[str, Any] | None = None) -> HostConfig:
    return read_host_config(parse_toml(text), flags or {}, "room.toml")


def test_a_session_has_the_defaults_and_its_own_settings() -> None:
    config = read(
        'word = "cup"\n[tracker.dwell]\nlock_s = 0.9\n[host]\nmax_fps = 15\n[sharing]\nmax_batch = 2\n'
        f'{ANNA}word = "pen"\npublish.encoding = "png"\n{BEN}tracker.dwell.lock_s = 0.3\n',
        {"engine": {"backend": "fake"}, "host": {"name": "room"}, "sharing": {"max_batch": 4}},
    )
    anna, ben = config.sessions
    assert (anna.publish.stream, anna.word, anna.tracker.dwell.lock_s) == ("anna", "pen", 0.9)
    assert (ben.publish.stream, ben.word, ben.tracker.dwell.lock_s) == ("ben", "cup", 0.3)
    assert (anna.publish.encoding, ben.publish.encoding) == ("png", "packbits+zstd")
    assert {each.engine.backend for each in (anna, ben, config.defaults)} == {"fake"}
    assert (config.host.name, config.host.max_fps, config.sharing.max_batch) == ("room", 15, 4)
    assert (anna.tracker.motion.side_px, anna.tracker.motion.ring) == (320, 32)


def test_the_example_of_the_documentation_is_read() -> None:
    file = Path(__file__).parents[3] / "docs" / "many.toml"
    assert [each.publish.stream for each in load_host_config(file, {}).sessions] == ["anna", "ben"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"room.toml has no session; add a table under a line \[\[session\]\]"),
        ("session = 3", r"sessions stand in tables, each under a line \[\[session\]\]"),
        (ANNA + ANNA, "two sessions are called anna"),
        ('[[session]]\nsource = "camera:0"', "session 1: stream is missing; it names the wearer"),
        ('[[session]]\nstream = ""', "stream must be 1 to 64 printable ASCII characters"),
        ('[[session]]\nstream = "anna"', "session anna has no source"),
        (f'{ANNA}engine.backend = "torch"', "session anna: a session cannot have an engine of its own"),
        (f'{ANNA}requests = "tcp://127.0.0.1:1"', "session anna: requests is set once for all sessions"),
        (f'{ANNA}publish.endpoint = "tcp://127.0.0.1:1"', "publish.endpoint is not a session's"),
        (f"{ANNA}sorce = 3", "session anna: unknown setting sorce; did you mean source"),
        (f'{ANNA}tracker.dwell.lock_s = "long"', "session anna: tracker.dwell.lock_s must be a number"),
        (BEN + BEN.replace("ben", "carl").replace("camera:0", "/dev/video0"), "/dev/video0 is the source of ben"),
        (BEN + BEN.replace("ben", "carl").replace("camera:0", "camera:00"), "camera:00 is the source of ben"),
        (f'{BEN}[[session]]\nstream = "host"\nsource = "pupil:"', "session host: this is the name of the host itself"),
        ('[[session]]\nstream = "a"\nsource = "whip:"', "session a: whip: needs the live page"),
        ('[[session]]\nstream = "a"\nsource = "file:a.mp4?realtime=0"', "a host runs in real time"),
        (f'{ANNA}record.file = "a.mcap"\n{BEN}record.file = "a.mcap"', "session ben: anna records into a.mcap, too"),
        (f"[view]\nenabled = true\n{ANNA}", "a host serves no live page"),
        (f'[publish]\nfoxglove = "127.0.0.1:1"\n{ANNA}', "publish.foxglove shows one wearer"),
        (f"[host]\nmax_fps = -1\n{ANNA}", "max_fps must be 0 to 1000"),
        (f"[hots]\n{ANNA}", r"unknown setting hots; did you mean host\?"),
        (ANNA.replace("session", "sessions"), r"unknown setting sessions; did you mean session\?"),
        (f"{ANNA}bogus = 1", "session anna: unknown setting bogus .allowed: stream, source, gaze,((?!metrics).)*$"),
        (f'publish.stream = "a"\n{ANNA}', "publish.stream is one wearer's; host.name names the host"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_reason(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as raised:
        read(text)
    assert str(raised.value).startswith("room.toml")


def test_a_host_without_sessions_takes_requests() -> None:
    assert read("", {"requests": "tcp://127.0.0.1:0"}).sessions == ()
