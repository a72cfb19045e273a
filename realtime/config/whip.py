"""Defines the settings of wearers that connect over WebRTC. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WhipSettings:
    """Holds the settings of the sources `whip:`.

    ice_servers: STUN and TURN servers that help wearer and host to reach each other, such as stun:HOST:3478 or
        turn:USER:PASSWORD@HOST:3478?transport=tcp; none are asked by default.
    """

    ice_servers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, url in enumerate(self.ice_servers, 1):
            if not re.fullmatch(
                r"stuns?:[\w.:\[\]-]+|turns?:[^@\s:]+:[^@\s]+@[\w.:\[\]-]+(\?transport=(udp|tcp))?", url
            ):
                raise ValueError(
                    f"ice_servers: server {number} is none; expected stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT, "
                    "with special characters of user and password percent-encoded"
                )
