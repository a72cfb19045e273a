"""Opens videos for decoding on a device, such as a GPU, where there is one; else in software."""

from __future__ import annotations

import logging
import sys
from functools import cache

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from realtime.sources.video.ffmpeg_log import silence_ffmpeg

log = logging.getLogger(__name__)

_PREFERRED = {"darwin": ("videotoolbox",), "win32": ("d3d11va", "cuda", "qsv")}.get(
    sys.platform, ("vaapi", "cuda", "qsv")
)
_COMMON_CODEC = "h264"


def list_accelerations() -> list[str]:
    """List the values of the option `hwaccel`: none, auto, and the kinds that this build of FFmpeg knows."""
    return ["none", "auto", *hwdevices_available()]


def open_accelerated(
    url: str,
    hwaccel: str,
    *,
    options: dict[str, str] | None = None,
    timeout: tuple[float, float] | None = None,
) -> av.container.InputContainer:
    """Open a video. hwaccel: a value of `list_accelerations`; falls back to software, with a line in the log.

    options, timeout: of `av.open`. Raises what `av.open` raises.
    """
    silence_ffmpeg()
    kinds = _PREFERRED if hwaccel == "auto" else (hwaccel,)
    usable = next((kind for kind in kinds if kind != "none" and _is_usable(kind)), None)
    if usable:
        log.info("decoding with %s, where the codec allows it", usable)
        device = HWAccel(usable, allow_software_fallback=True)
        return av.open(url, options=options, timeout=timeout, hwaccel=device)
    if hwaccel != "none":
        log.warning("no device for decoding answers to hwaccel=%s; decoding in software", hwaccel)
    return av.open(url, options=options, timeout=timeout)


@cache
def _is_usable(kind: str) -> bool:
    """Check whether the device of a kind can be opened."""
    if kind not in hwdevices_available():
        return False
    try:
        HWAccel(kind).create(av.Codec(_COMMON_CODEC, "r"))
    except (av.FFmpegError, NotImplementedError, OSError, RuntimeError, ValueError):
        return False
    return True
