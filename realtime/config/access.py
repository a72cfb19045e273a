"""Defines who may connect to a run from other machines. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Output = Literal["publish", "requests", "directory", "foxglove", "lerobot", "metrics"]


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Holds who may connect to a run. Sockets on loopback need no keys, all others do.

    keys: folder of the keys of `gazecast keys`; unset for $GAZECAST_KEYS, else the user's configuration.
    loopback_keys: messages and requests need keys on loopback, too, which programs of other users can reach.
    insecure: outputs that may be reached from other machines without keys or encryption, by everybody who can connect:
        publish, requests and directory (which then only read), foxglove, lerobot, metrics.
    """

    keys: Path | None = None
    loopback_keys: bool = False
    insecure: tuple[Output, ...] = ()
