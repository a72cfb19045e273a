"""Chooses how FFmpeg opens each kind of network stream: little delay, and an end to every wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPEN_S = 5.0
READ_S = 5.0
HLS_READ_S = 20.0
TRANSPORTS = ("tcp", "udp", "udp_multicast", "http")
_PROBE_US = "50000"
_PROTOCOLS = (
    "tcp", "udp", "tls", "rtp", "srtp", "http", "https", "httpproxy", "rtmp", "rtmps", "rtmpt", "rtmpts", "ffrtmphttp",
    "srt", "crypto", "data",
)  # fmt: skip
"""What a stream may open: no files of this machine, which a playlist could name."""
_COMMON = {"fpsprobesize": "0", "protocol_whitelist": ",".join(_PROTOCOLS)}
_BY_KIND: Mapping[str, Mapping[str, str]] = {
    "rtsp": {"analyzeduration": _PROBE_US, "max_delay": "100000", "buffer_size": "4194304"},
    "rtp": {"analyzeduration": _PROBE_US, "max_delay": "100000"},
    "http": {"analyzeduration": "500000", "live_start_index": "-1"},
    "udp": {"analyzeduration": "500000", "overrun_nonfatal": "1", "buffer_size": "4194304"},
    "rtmp": {"analyzeduration": "500000", "rtmp_live": "any", "rtmp_buffer": "100"},
    "tcp": {"analyzeduration": "500000"},
}


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Holds how a network stream is opened.

    url: for FFmpeg, with user and password. name: the address as it may be shown. is_awaited: this side waits for the
    sender, as with UDP. transport: of RTSP, one of `TRANSPORTS`. hwaccel: see `hardware.py`.
    """

    url: str
    name: str
    is_awaited: bool = False
    transport: str = "tcp"
    hwaccel: str = "none"

    @property
    def kind(self) -> str:
        """The scheme of the address."""
        return self.url.partition(":")[0]

    @property
    def timeout(self) -> tuple[float, float]:
        """Seconds to wait for the opening, and for each packet; the segments of a playlist come seconds apart."""
        return OPEN_S, HLS_READ_S if self.kind in ("http", "https") else READ_S

    def build_options(self) -> dict[str, str]:
        """Return the options of FFmpeg."""
        plain = {"rtsps": "rtsp", "https": "http", "rtmps": "rtmp"}.get(self.kind, self.kind)
        chosen = {**_COMMON, **_BY_KIND.get(plain, {})}
        if plain == "rtsp" and self.transport == "tcp":
            return {**chosen, "rtsp_flags": "prefer_tcp"}  # a camera may have UDP only
        return {**chosen, "rtsp_transport": self.transport} if plain == "rtsp" else chosen
