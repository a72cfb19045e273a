"""Chooses how FFmpeg opens each kind of network stream: little delay, and an end to every wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPEN_S = 5.0
READ_S = 5.0
HLS_READ_S = 20.0
"""Segments of a playlist come some seconds apart."""
TRANSPORTS = ("tcp", "udp", "udp_multicast", "http")
_PROBE_US = "200000"
_COMMON = {"fpsprobesize": "0"}
_BY_KIND: Mapping[str, Mapping[str, str]] = {
    "rtsp": {"analyzeduration": _PROBE_US, "max_delay": "100000", "buffer_size": "4194304"},
    "rtp": {"analyzeduration": _PROBE_US, "max_delay": "100000"},
    "http": {"analyzeduration": "1000000", "live_start_index": "-1"},
    "udp": {"analyzeduration": "1000000", "overrun_nonfatal": "1", "buffer_size": "4194304"},
    "rtmp": {"analyzeduration": "1000000", "rtmp_live": "any", "rtmp_buffer": "100"},
    "tcp": {"analyzeduration": "1000000"},
}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Holds what the user chose for a stream.

    transport: of RTSP, one of `TRANSPORTS`. hwaccel: see `hardware.py`.
    """

    transport: str = "tcp"
    hwaccel: str = "none"


def build_ffmpeg_options(kind: str, options: StreamOptions) -> dict[str, str]:
    """Return the options of FFmpeg for a kind of stream."""
    plain = {"rtsps": "rtsp", "https": "http", "rtmps": "rtmp"}.get(kind, kind)
    chosen = {**_COMMON, **_BY_KIND.get(plain, {})}
    if plain == "rtsp":
        chosen["rtsp_transport"] = options.transport
    return chosen
