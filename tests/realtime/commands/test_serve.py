"""`gazecast serve` as a process: sessions that play and one that cannot be opened, until it is interrupted."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from unittest.mock import Mock

import pytest

from realtime import MaskSubscriber
from realtime.commands.main import main
from realtime.comms.directory_client import DirectoryClient
from realtime.errors import RequestTimeout
from tests.faults.observed_run import find_free_port
from tests.realtime import scene
from tests.realtime.waiting import PATIENCE_S, eventually

pytest.importorskip("prometheus_client")


def test_a_host_serves_its_sessions_until_it_is_interrupted(tmp_path):
    clip, trace = scene.write_clip(tmp_path, 48)
    wearers = {"anna": f"file:{clip}?loop=1", "ben": f"file:{clip}?loop=1", "carl": f"file:{tmp_path}/none.mp4"}
    file, lines, health = tmp_path / "room.toml", [], []
    tables = [
        f'[[session]]\nstream = "{name}"\nsource = {json.dumps(source)}\ngaze = {json.dumps(f"trace:{trace}")}\n'
        for name, source in wearers.items()
    ]
    file.write_text('engine.backend = "fake"\npublish.endpoint = "tcp://127.0.0.1:0"\n' + "".join(tables))
    command = [sys.executable, "-m", "realtime", "serve", str(file), "--requests", "tcp://127.0.0.1:0", "--json",
               "--log", "json", "--metrics", "127.0.0.1:0"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        readers = [
            threading.Thread(target=into.extend, args=(stream,))
            for into, stream in ((lines, process.stderr), (health, process.stdout))
        ]
        for reader in readers:
            reader.start()
        try:
            eventually(lambda: any("publishing masks of" in line for line in lines), "the host")
            texts = [json.loads(line)["text"] for line in lines]
            assert any("carl: not opened" in text and "none.mp4" in text for text in texts)
            endpoint = next(text for text in texts if "publishing masks of" in text).split()[-1]
            for name in ("anna", "ben"):
                with MaskSubscriber(endpoint, stream=name) as subscriber:
                    assert subscriber.newest(timeout_s=PATIENCE_S).stream == name
            address = next(text for text in texts if "metrics at" in text).split()[-1]
            with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
                assert 'gazecast_events_total{session="anna",stream="masks"}' in answer.read().decode()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
        for reader in readers:
            reader.join(PATIENCE_S)
    last = json.loads(health[-1])
    assert last["state"] == "stopping"
    assert last["sessions"].keys() == wearers.keys()
    assert (last["sessions"]["carl"], last["engine"]["backend"]) == ("failed", "fake")


def test_a_killed_host_leaves_its_ports_and_a_second_one_is_told_that_they_are_in_use(tmp_path):
    clip, trace = scene.write_clip(tmp_path, 48)
    publish, requests = (f"tcp://127.0.0.1:{find_free_port()}" for _ in range(2))
    file = tmp_path / "room.toml"
    file.write_text(
        f'engine.backend = "fake"\npublish.endpoint = "{publish}"\nrequests = "{requests}"\n'
        '[[session]]\nstream = "anna"\n'
        f"source = {json.dumps(f'file:{clip}?loop=1')}\ngaze = {json.dumps(f'trace:{trace}')}\n"
    )

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "realtime", "serve", str(file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def is_publishing():
        with MaskSubscriber(publish, stream="anna") as subscriber:
            return subscriber.newest(timeout_s=1) is not None

    with start() as first:
        try:
            eventually(is_publishing, "masks")
            with start() as second:
                _, said = second.communicate(timeout=PATIENCE_S)
            assert second.returncode == 2
            assert said.splitlines()[-1].startswith(f"gazecast: cannot listen on {publish}: the port is in use; stop")
        finally:
            first.kill()
    with start() as third:
        try:
            eventually(is_publishing, "masks of the next host")
            assert third.poll() is None
            third.send_signal(signal.SIGTERM)
            assert third.wait(PATIENCE_S) == 0
        finally:
            third.kill()


def test_a_host_that_cannot_start_says_only_why(tmp_path, capsys):
    file = tmp_path / "room.toml"
    file.write_text('engine.backend = "fake"\nrequests = "here"\npublish.endpoint = "tcp://127.0.0.1:0"\n')
    assert main(["serve", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gazecast: 'here' is no address; expected tcp://HOST:PORT")


def test_a_cluster_needs_an_address(tmp_path, capsys):
    file = tmp_path / "room.toml"
    file.write_text('[[session]]\nstream = "anna"\nsource = "camera:0"\ngaze = "lsl:"\n')
    assert main(["serve", str(file), "--ray", ""]) == 2
    assert "--ray takes local, or HOST:PORT of a cluster's head" in capsys.readouterr().err


def test_hosts_without_a_cluster_say_what_to_check(monkeypatch, capsys):
    monkeypatch.setattr(DirectoryClient, "list_hosts", Mock(side_effect=RequestTimeout("no answer from x within 5 s")))
    assert main(["hosts", "tcp://127.0.0.1:1"]) == 2
    assert "within 5 s; is it the directory (cluster.directory) of a gazecast" in capsys.readouterr().err


def test_a_file_without_sessions_is_refused(tmp_path):
    (tmp_path / "room.toml").write_text("")
    command = [sys.executable, "-m", "realtime", "serve", str(tmp_path / "room.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "has no session; add a table under a line [[session]]" in done.stderr
