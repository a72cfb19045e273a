"""Converts the messages of wire contract v1 between bytes and values. Pure.

Every message is one part: ASCII topic, NUL, payload (a msgpack map). `pack` and `unpack` move the map, the dataclasses
its fields. Every fault in a message of a peer is a `WireError`; unknown fields are ignored, so that newer publishers
can add some.
"""
