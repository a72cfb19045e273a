"""Sockets: the only package that imports zmq. Thin wrappers that never block for long, never queue without a bound.

Who binds has a context of its own, ended on `close`, because only that makes libzmq give the port back before `close`
returns. Who connects shares the process's one context. A socket belongs to one thread; `Publisher` alone has a lock.
Imports nothing of ours.
"""

from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, check_endpoint
from realtime.comms.sockets.publisher import Publisher
from realtime.comms.sockets.pupil import DeviceFeed, DeviceServer
from realtime.comms.sockets.request_reply import Answers, Remote
from realtime.comms.sockets.subscription import Subscription
from realtime.errors import NoAnswer, TransportError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Answers",
    "DeviceFeed",
    "DeviceServer",
    "NoAnswer",
    "Publisher",
    "Remote",
    "Subscription",
    "TransportError",
    "check_endpoint",
]
