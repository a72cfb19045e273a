"""Sockets: the only package that imports zmq. Thin wrappers that never block for long, never queue without a bound.

Who binds has a context of its own, ended on `close`, because only that makes libzmq give the port back before `close`
returns. Who connects shares the context of the process. A socket belongs to one thread; `PublisherSocket` has a lock.
Imports nothing of ours.
"""

from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, check_endpoint
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.pupil import PupilServer, PupilSubscription
from realtime.comms.sockets.request_reply import ReplySocket, RequestSocket
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import RequestTimeout, TransportError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "PublisherSocket",
    "PupilServer",
    "PupilSubscription",
    "ReplySocket",
    "RequestSocket",
    "RequestTimeout",
    "TopicSubscription",
    "TransportError",
    "check_endpoint",
]
