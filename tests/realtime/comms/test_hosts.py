"""Hosts that cannot be resolved are named, before the start and while it runs."""

import pytest

from realtime.comms.hosts import check_host
from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.comms.request_client import Requester
from realtime.errors import TransportError
from realtime.session.inputs import open_frames
from tests.realtime.waiting import eventually

REASON = "cannot resolve {}: check the name or give its IP address"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0"])
def test_addresses_and_names_that_resolve_are_accepted(host):
    check_host(host)


@pytest.mark.parametrize("host", ["no-such-host", "256.1.1.1", "x" * 70, "a..b"])
def test_others_are_refused(host):
    with pytest.raises(TransportError) as refused:
        check_host(host)
    assert str(refused.value) == REASON.format(host)


def test_a_subscriber_and_a_requester_name_it():
    with pytest.raises(TransportError, match=REASON.format("no-such-host")):
        MaskSubscriber("tcp://no-such-host:5571")
    with (
        Requester("tcp://no-such-host:5572", timeout_s=0.1) as requester,
        pytest.raises(TransportError, match=REASON.format("no-such-host")),
    ):
        requester.release()


def test_a_device_whose_name_comes_with_it_is_waited_for_and_named():
    frames = open_frames("pupil://no-such-host.local")
    frames.start(lambda frame: None)
    try:
        eventually(lambda: frames.status().reason == REASON.format("no-such-host.local"), "the reason")
        assert frames.status().state == "connecting"
    finally:
        frames.stop()
