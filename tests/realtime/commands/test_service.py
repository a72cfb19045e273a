"""`gazecast run` as a service: a manager's datagrams, the log as JSON, figures for Prometheus, and its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from tests.realtime import scene
from tests.realtime.waiting import eventually

pytest.importorskip("prometheus_client")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


def test_a_service_reports_itself_until_it_is_stopped(tmp_path):
    clip, trace = scene.write_clip(tmp_path, 48)
    settings, lines, states = tmp_path / "run.toml", [], []
    settings.write_text('[view]\ntoken = "tok1234567890abcdef"\nport = 0\n')
    command = [
        sys.executable, "-m", "realtime", "run", "--source", f"file:{clip}?loop=1", "--gaze", f"trace:{trace}",
        "--engine", "fake", "--publish", "tcp://127.0.0.1:0", "--log", "json", "--metrics", "127.0.0.1:0", "--view",
        "--config", str(settings),
    ]  # fmt: skip
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(120)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()))
            reader.start()
            try:
                while "READY=1" not in states or states.count("WATCHDOG=1") < 4:
                    states.extend(manager.recv(4096).decode().split("\n"))
                eventually(lambda: any("metrics at" in line for line in lines), "the address of the metrics")
                address = re.search(r"metrics at (http\S+/metrics)", "".join(lines))[1]
                page = re.search(r"the page is at (http\S+?)/\?token", "".join(lines))[1]
                for url in (address, f"{page}/metrics?token=tok1234567890abcdef"):
                    with urllib.request.urlopen(url, timeout=60) as answer:
                        text = answer.read().decode()
                    assert 'gazecast_events_total{stream="frames"}' in text
                    assert 'gazecast_state{state="' in text
                process.send_signal(signal.SIGTERM)
                while "STOPPING=1" not in states:
                    states.extend(manager.recv(4096).decode().split("\n"))
                assert process.wait(120) == 0
            finally:
                process.kill()
            reader.join(60)
    records = [json.loads(line) for line in lines]  # nothing else is written there
    assert {"time", "level", "part", "text", "suppressed"} <= set(records[0])
    assert any(record["text"].startswith("publishing masks of") for record in records)
    assert "tok1234567890abcdef" not in "".join(lines)
    assert states.index("READY=1") > next(n for n, state in enumerate(states) if state.startswith("EXTEND_TIMEOUT"))


def test_an_error_is_a_line_of_the_log(tmp_path):
    command = [sys.executable, "-m", "realtime", "run", "--log", "json", "--metrics", "0.0.0.0:0", "--engine", "fake",
               "--source", f"file:{tmp_path}/none.mp4"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    record = json.loads(done.stderr.splitlines()[-1])
    assert record["level"] == "error"
    assert "none.mp4" in record["text"]
