"""Parses the names of sources, such as `camera:0`, `RTSP://HOST/PATH` or `clip.mp4`: the one place for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from realtime.comms.hosts import check_host
from realtime.errors import SourceError, TransportError
from realtime.infra.output import escape_controls
from realtime.sources.headset_recordings.detection import has_recorded_gaze

STREAMS = ("rtsp", "rtsps", "http", "https", "udp", "rtp", "rtmp", "rtmps", "tcp", "srt")
"""Kinds of network streams that FFmpeg opens."""
KINDS = (
    "pupil", "neon", "camera", "file", "recording", "browser", "trace", "lsl", "tobii", "aria", "realsense", "webcam",
    "whip", "none", *STREAMS,
)  # fmt: skip
_ALIASES = {"webrtc": "whip"}
LISTENING = ("udp", "rtp", "tcp", "srt")
"""Kinds that may name a port alone, to wait for a sender."""
_DEVICES = ("pupil", "neon", "lsl", "tobii", "realsense", "browser", "whip", "none", *STREAMS)
"""Kinds that name no file, but a device or an address."""
_OWN_GAZE = ("pupil", "neon", "tobii", "aria", "recording", "whip")
_BY_ENDING = {".mcap": "recording", ".vrs": "aria", ".csv": "trace", ".tsv": "trace"}
_CLIP_ENDINGS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".gif")
_PLACE = re.compile(r"(?P<host>\[[\da-fA-F:.%]+\]|[\w.%-]*)(?::(?P<port>\d{1,5}))?(?P<path>[/?#].*)?")


@dataclass(frozen=True, slots=True)
class SourceName:
    """Holds a parsed name: its kind in lower case, empty where it is unknown, and what follows the colon."""

    kind: str
    rest: str

    @property
    def text(self) -> str:
        """The name in its canonical form."""
        return f"{self.kind}:{self.rest}" if self.kind else self.rest

    @property
    def shown(self) -> str:
        """The name as it may be shown and recorded: without a stream's user, password and query."""
        if self.kind == "webcam" and self.rest:
            return f"webcam:{parse_source(self.rest).shown}"
        if self.kind == "file" or not self.rest.startswith("//"):
            return self.text
        place = self.rest[2:].rpartition("@")[2]
        return f"{self.kind}://{place.partition('?')[0] if self.kind in STREAMS else place}"

    @property
    def path(self) -> Path | None:
        """The path of a file or folder, without the options behind it; None for other kinds."""
        if self.kind != "file":
            return None
        try:
            return Path(
                self.rest if Path(self.rest).exists() else self.rest.rpartition("?")[0] or self.rest
            ).expanduser()
        except (OSError, RuntimeError, ValueError):  # no home folder, or no path at all
            return None

    @property
    def names_file(self) -> bool:
        """Whether it may name a file of this machine; True where that is not known."""
        if self.kind in ("aria", "camera"):
            place = self.rest.partition("?")[0].strip("/")
            return not (place.isdecimal() or (self.kind == "aria" and not place))
        return self.kind not in _DEVICES

    @property
    def has_own_gaze(self) -> bool:
        """Whether it sends gaze beside its frames, as devices and recordings do."""
        return self.kind in _OWN_GAZE or (self.path is not None and has_recorded_gaze(self.path))


def parse_source(text: str) -> SourceName:
    """Parse a name; a path without a kind is a file, a recording, a gaze trace or a camera's device."""
    text = text.strip()
    kind, colon, rest = text.partition(":")
    kind = kind.strip().lower()
    kind = _ALIASES.get(kind, kind)
    if kind in KINDS and (colon or kind in ("webcam", "none")):
        return SourceName(kind, _path_of_url(rest) if kind == "file" and rest.startswith("//") else rest)
    path = Path(text if _exists(text) else text.partition("?")[0])
    ending = path.suffix.lower()
    if text.startswith("/dev/"):
        return SourceName("camera", text)
    if text and (_exists(path) or ending in (*_BY_ENDING, *_CLIP_ENDINGS)):
        return SourceName(_BY_ENDING.get(ending, "file"), text)
    return SourceName(kind if colon else "", rest if colon else text)


def redact_source(text: str) -> str:
    """Return a name as it may be shown, published and recorded: without password, and as text of any encoding."""
    return escape_controls(parse_source(text).shown)


def _path_of_url(rest: str) -> str:
    """Return the path of file:///absolute, file://localhost/absolute, and file://relative, which many people write."""
    path = rest.removeprefix("//")
    path = path.removeprefix("localhost") if path.startswith("localhost/") else path
    return path if _exists(path.partition("?")[0]) else unquote(path)


def _exists(path: str | Path) -> bool:
    """Return whether a path exists; False for one that is too long to be any."""
    try:
        return Path(path).exists()
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Holds the address of a network stream: the URL to open, and its name without user, password and query."""

    url: str
    shown: str


def parse_stream(name: SourceName) -> StreamAddress:
    """Parse and check the address of a stream; raises `SourceError`, which names no password.

    A password may hold any character, also `/`, `#`, `?` and `@`; the host is what resolves behind the first possible
    `@`. FFmpeg is handed user and password percent-encoded.
    """
    example = f"{name.kind}://HOST/PATH or {name.kind}://USER:PASSWORD@HOST:PORT/PATH"
    if name.kind in LISTENING:
        example = f"{name.kind}://HOST:PORT"
    splits = list(_split_user(name.rest)) if name.rest.startswith("//") else []
    splits = [(user, place) for user, place in splits if place["host"] or (name.kind in LISTENING and place["port"])]
    if not splits:
        raise SourceError(f"{name.shown!r} is no stream; expected {example}")
    user, place = next((split for split in splits[:-1] if _is_resolved(split[1]["host"])), splits[-1])
    check_device_host(place["host"])
    login, colon, password = user.partition(":")
    encoded = f"{quote(unquote(login), safe='')}{colon}{quote(unquote(password), safe='')}@" if user else ""
    path = (place["path"] or "").partition("?")[0].partition("#")[0]
    return StreamAddress(
        f"{name.kind}://{encoded}{place[0]}",
        f"{name.kind}://{place['host']}{':' + place['port'] if place['port'] else ''}{path}",
    )


def _split_user(rest: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield each possible (user and password, place) of an address behind its kind, the longest place first."""
    rest = rest[2:]
    ends = [-1, *(found.start() for found in re.finditer("@", rest))]
    for end in ends:
        is_userless = end < 0 and "@" in re.split("[/?#]", rest)[0]
        if not is_userless and (place := _PLACE.fullmatch(rest, end + 1)):
            yield rest[: max(end, 0)], place


def _is_resolved(host: str) -> bool:
    try:
        check_device_host(host)
    except SourceError:
        return False
    return True


def check_device_host(host: str) -> None:
    """Raise `SourceError` for a host that cannot be resolved, unless its name appears with the device (mDNS)."""
    if not host or host.endswith(".local"):
        return
    try:
        check_host(host)
    except TransportError as error:
        raise SourceError(str(error)) from None
