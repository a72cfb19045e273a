"""Wraps the sockets of zmq, which only this package imports, with bounded waits and queues.

A socket that binds has its own context, terminated by `close`, because only that makes libzmq free the port before
`close` returns. A socket that connects shares the context of the process. A socket belongs to one thread;
`PublisherSocket` has a lock.
"""

from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, check_endpoint
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.pupil import PupilRemote, PupilServer, PupilSubscription
from realtime.comms.sockets.request_reply import ReplySocket, RequestSocket
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import RequestTimeout, TransportError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "PublisherSocket",
    "PupilRemote",
    "PupilServer",
    "PupilSubscription",
    "ReplySocket",
    "RequestSocket",
    "RequestTimeout",
    "TopicSubscription",
    "TransportError",
    "check_endpoint",
]
