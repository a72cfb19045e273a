"""The types of ROS 2: makes messages, CDR, definitions and hashes. The only module that knows rosbags."""

from __future__ import annotations

import functools
from typing import Any

from realtime.errors import Ros2Error
from realtime.robotics.ros2.vision_msgs import DEFINITIONS


@functools.cache
def _store() -> Any:
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError:
        raise Ros2Error("ROS 2 messages need rosbags, which is not here: pip install -e '.[robotics]'") from None
    store, types = get_typestore(Stores.ROS2_JAZZY), {}
    for name, text in DEFINITIONS.items():
        types.update(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    store.register(types)
    return store


def check_rosbags() -> None:
    """Raise `Ros2Error` where the library is missing."""
    _store()


def make_message(type_name: str, **fields: Any) -> Any:
    """A message of a type such as sensor_msgs/msg/Image; all its fields, by name."""
    return _store().types[type_name](**fields)


def cdr(message: Any) -> bytes:
    """A message as ROS 2 sends and records it: CDR, little-endian, with its 4 bytes of head."""
    return bytes(_store().serialize_cdr(message, message.__msgtype__, little_endian=True))


def definition(type_name: str) -> str:
    """The text of a type and of all that it is made of, as `ros2msg` has it."""
    return str(_store().generate_msgdef(type_name, ros_version=2)[0])


def type_hash(type_name: str) -> str:
    """The hash by which ROS 2 tells types apart (REP-2011): RIHS01_ and 64 hexadecimal digits."""
    return str(_store().hash_rihs01(type_name))
