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
    if kind := _choose_device(hwaccel):
        device = HWAccel(kind, allow_software_fallback=True)
        return av.open(url, options=options, timeout=timeout, hwaccel=device)
    return av.open(url, options=options, timeout=timeout)


def has_protocol(kind: str) -> bool:
    """Check whether this build of FFmpeg has a protocol, such as srt."""
    try:
        av.open(f"{kind}://", timeout=0.01)
    except av.ProtocolNotFoundError:
        return False
    except (av.FFmpegError, OSError, ValueError):
        pass  # there is no such address
    return True


@cache
def _choose_device(hwaccel: str) -> str | None:
    """Return the kind of device that answers to `hwaccel`, or None for software; the log has it once."""
    if hwaccel == "none":
        return None
    usable = next((kind for kind in (_PREFERRED if hwaccel == "auto" else (hwaccel,)) if _is_usable(kind)), None)
    if usable:
        log.info("decoding with %s, where the codec allows it", usable)
    else:
        log.warning("no device for decoding answers to hwaccel=%s; decoding in software", hwaccel)
    return usable


def _is_usable(kind: str) -> bool:
    """Check whether the device of a kind can be opened."""
    if kind not in hwdevices_available():
        return False
    try:
        HWAccel(kind).create(av.Codec(_COMMON_CODEC, "r"))
    except (av.FFmpegError, NotImplementedError, OSError, RuntimeError, ValueError):
        return False
    return True
