"""`gazecast keys`, and a run that is bound beyond loopback."""

from __future__ import annotations

import re

import pytest

from realtime.commands.main import main
from realtime.comms.keys import KeyFolder


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("GAZECAST_KEYS", str(tmp_path / "keys"))
    return KeyFolder()


def test_keys_are_made_shown_allowed_and_removed(keys, capsys) -> None:
    assert main(["keys", "show"]) == 2
    assert "make one with: gazecast keys new" in capsys.readouterr().err
    assert main(["keys", "new"]) == 0
    out = capsys.readouterr().out
    public, secret = keys.read_own().public, keys.read_own().secret
    assert public in out
    assert main(["keys", "new"]) == 2
    client = "ab" * 32
    assert main(["keys", "allow", client, "--name", "arm", "--may", "control, pictures"]) == 0
    assert main(["keys", "trust", "10.0.0.5", client]) == 0
    assert main(["keys", "show"]) == 0
    assert main(["keys", "show", "--z85"]) == 0
    shown = capsys.readouterr().out
    assert f"client {client} arm: may read, control, pictures" in shown
    assert f"server {client} 10.0.0.5" in shown
    assert re.search(r"^this machine: \S{40}$", shown, re.MULTILINE)
    assert secret not in out + shown
    assert main(["keys", "allow", client, "--may", "everything"]) == 2
    assert "--may knows control and pictures, got everything" in capsys.readouterr().err
    assert main(["keys", "remove", "arm"]) == 0
    assert keys.read_clients() == ()
    assert main(["keys", "new", "--force"]) == 0
    assert keys.read_own().public != public


@pytest.mark.parametrize(
    ("flags", "output"),
    [(("--publish", "tcp://0.0.0.0:0"), "publish"), (("--publish", "tcp://*:0"), "publish"),
     (("--publish", "tcp://127.0.0.1:0", "--requests", "tcp://[::]:0"), "requests"),
     (("--publish", "tcp://127.0.0.1:0", "--foxglove", "0.0.0.0:0"), "foxglove"),
     (("--publish", "tcp://127.0.0.1:0", "--lerobot", "tcp://0.0.0.0:0"), "lerobot")],
)  # fmt: skip
def test_run_beyond_loopback_without_keys_is_refused_with_a_way_out(keys, capsys, flags, output) -> None:
    assert main(["run", "--source", "pupil://127.0.0.1:9", "--engine", "fake", *flags]) == 2
    error = capsys.readouterr().err
    assert f"--insecure {output}" in error
    assert ("gazecast keys new" in error) == (output in ("publish", "requests"))
