"""Converts the messages of wire contract v1 between bytes and values. Pure.

Every message is one part: ASCII topic, NUL, payload (a msgpack map). `pack` and `unpack` move the map, the dataclasses
its fields. Every fault in a message of a peer is a `WireError`; unknown fields are ignored, so that newer publishers
can add some.
"""

from realtime.comms.envelope import MAX_MESSAGE_BYTES, VERSION, pack, split_topic, unpack, unpack_msgpack
from realtime.comms.mask_encoding import ENCODINGS, MAX_PIXELS, Encoding, decode_mask, encode_mask
from realtime.comms.messages import (
    MESSAGES,
    STATES,
    HealthMessage,
    KeyframeMessage,
    MaskMessage,
    Message,
    OverlayMessage,
    read_message,
)
from realtime.comms.object3d import DepthRef, Method3d, Object3dMessage, ObjectPose
from realtime.errors import WireError
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs

__all__ = [
    "ENCODINGS",
    "MAX_MESSAGE_BYTES",
    "MAX_PIXELS",
    "MESSAGES",
    "STATES",
    "VERSION",
    "DepthRef",
    "Encoding",
    "FrameRef",
    "GazeRef",
    "HealthMessage",
    "KeyframeMessage",
    "KeyframeRef",
    "MaskMessage",
    "Message",
    "Method3d",
    "Object3dMessage",
    "ObjectPose",
    "OverlayMessage",
    "TimingNs",
    "WireError",
    "decode_mask",
    "encode_mask",
    "pack",
    "read_message",
    "split_topic",
    "unpack",
    "unpack_msgpack",
]
