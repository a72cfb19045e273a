import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.comms.directory import (
    DrainRequest,
    StreamLocation,
    StreamQuestion,
    format_stream_address,
    parse_stream_address,
    read_location,
    read_question,
    required_permission,
)
from realtime.comms.requests import pack_request
from realtime.errors import TransportError, WireError

LOCATION = {"stream": "anna", "endpoint": "tcp://10.0.0.5:6100", "epoch": 7, "server_key": ""}


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64))
def test_every_name_of_a_stream_has_an_address(stream):
    assert parse_stream_address(format_stream_address("tcp://[::1]:5570", stream)) == ("tcp://[::1]:5570", stream)


@pytest.mark.parametrize(
    "address",
    ["gazecast://", "gazecast://10.0.0.5/anna", "gazecast://10.0.0.5:5570", "gazecast://10.0.0.5:5570/",
     "gazecast://10.0.0.5:5570/a/b", "gazecast://me:secret@10.0.0.5:5570/a", "gazecast://10.0.0.5:5570/%ff",
     "gazecast://10.0.0.5:5570/" + "a" * 65, "gazecast://10.0.0.5:5570/a%0Ab", "tcp://10.0.0.5:5570/a"],
)  # fmt: skip
def test_what_is_no_address_of_a_stream_is_refused(address):
    with pytest.raises(TransportError):
        parse_stream_address(address)


def test_questions_are_read():
    assert read_question(pack_request("stream", stream="anna", after=3, wait_s=2)) == StreamQuestion("anna", 3, 2.0)
    assert required_permission(read_question(pack_request("host.drain", host="a"))) == "control"
    assert required_permission(StreamQuestion("anna")) is None
    assert read_question(pack_request("host.drain", host="a")) == DrainRequest("a")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xc1", "not msgpack"),
        (msgpack.packb(["stream"]), "expected a msgpack map"),
        (msgpack.packb({"v": 2, "ask": "stream"}), "expected a msgpack map with v: 1"),
        (pack_request("locate"), "known are stream, streams, hosts"),
        (pack_request("stream"), "stream must be"),
        (pack_request("stream", stream="a" * 65), "printable ASCII"),
        (pack_request("stream", stream="a\n"), "printable ASCII"),
        (pack_request("stream", stream="a", after=-1), "after must be"),
        (pack_request("stream", stream="a", wait_s=1e9), "wait_s must be a number of seconds"),
        (pack_request("stream", stream="a", follow=True), "knows no 'follow'"),
    ],
)
def test_questions_that_do_not_fit_are_refused(payload, reason):
    with pytest.raises(WireError, match=reason):
        read_question(payload)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_refused(payload):
    with pytest.raises(WireError):
        read_question(payload)


def test_a_location_is_read():
    assert read_location({"location": LOCATION}, "anna") == StreamLocation("anna", "tcp://10.0.0.5:6100", 7)
    assert read_location({"location": None}, "anna") is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"stream": "berta"}, "the location is of 'berta'"),
        ({"endpoint": "ipc:///tmp/x"}, "an address, tcp://HOST:PORT"),
        ({"epoch": 1 << 60}, "epoch must be"),
        ({"epoch": "7"}, "epoch must be"),
        ({"server_key": "abc"}, "a key of 64 hex digits"),
    ],
)
def test_locations_that_do_not_fit_are_refused(changed, reason):
    with pytest.raises(WireError, match=reason):
        read_location({"location": {**LOCATION, **changed}}, "anna")
    with pytest.raises(WireError):
        read_location({}, "anna")
