"""Makes ROS 2 messages, their CDR, definitions and type hashes. The only module that imports rosbags."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from realtime.errors import Ros2Error
from realtime.robotics.ros2.vision_msgs import DEFINITIONS


@functools.cache
def load_types() -> Any:
    """Load the types of ROS 2, once; raises `Ros2Error` where rosbags is missing."""
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError:
        raise Ros2Error("ROS 2 messages need rosbags, which is not here: pip install -e '.[robotics]'") from None
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


def make_message(type_name: str, **fields: Any) -> Any:
    """Make a message of a type such as sensor_msgs/msg/Image from all its fields; mappings stand for nested ones."""
    store = load_types()
    kinds = dict(store.fielddefs[type_name][1])
    return store.types[type_name](**{name: _convert(value, kinds[name]) for name, value in fields.items()})


def _convert(value: Any, kind: Any) -> Any:
    """Make nested messages of mappings. kind: the field's type as rosbags describes it, (node type, detail)."""
    match kind[1]:
        case str(type_name) if isinstance(value, Mapping):
            return make_message(type_name, **value)
        case (_, str()) as item_kind, _:
            return [_convert(item, item_kind) for item in value]
        case _:
            return value


def cdr(message: Any) -> bytes:
    """Serialize a message as ROS 2 sends and records it: CDR, little-endian, with its 4 bytes of header."""
    return bytes(load_types().serialize_cdr(message, message.__msgtype__, little_endian=True))


def definition(type_name: str) -> str:
    """Return the definition of a type and of all types that it contains, in the format `ros2msg`."""
    return str(load_types().generate_msgdef(type_name, ros_version=2)[0])


def type_hash(type_name: str) -> str:
    """Return the hash by which ROS 2 distinguishes types (REP-2011): RIHS01_ and 64 hexadecimal digits."""
    return str(load_types().hash_rihs01(type_name))
