"""States reach a service manager through a real datagram socket, and one that is gone disturbs nothing."""

import os
import socket
import sys

import pytest

from realtime.infra.service_manager import ServiceNotifier

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    """A bound socket and its address as systemd passes it."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@gazecast-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        receiver.settimeout(60)
        yield receiver, name


def test_states_arrive_in_one_datagram(manager):
    receiver, name = manager
    notifier = ServiceNotifier({"NOTIFY_SOCKET": name})
    assert notifier.is_wanted
    assert notifier.notify("READY=1", "STATUS=running")
    assert receiver.recv(4096) == b"READY=1\nSTATUS=running"


def test_without_a_manager_nothing_is_sent():
    notifier = ServiceNotifier({})
    assert not notifier.is_wanted
    assert not notifier.notify("READY=1")


def test_a_manager_that_is_gone_or_never_reads_is_no_error(manager):
    receiver, name = manager
    notifier = ServiceNotifier({"NOTIFY_SOCKET": name})
    for _ in range(5000):  # until the socket's queue is full
        if not notifier.notify("WATCHDOG=1"):
            break
    else:
        pytest.fail("a full queue was not noticed")
    receiver.close()
    assert not notifier.notify("WATCHDOG=1")
