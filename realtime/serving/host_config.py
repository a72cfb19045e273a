"""Reads the configuration of a host of many sessions: defaults, and one table for each session. Pure.

What belongs to one wearer stands in a `[[session]]` table, or at the top as the default of all; what a process has
once, such as the engine and addresses, stands at the top alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from realtime.config.cluster import ClusterSettings
from realtime.config.loader import check_known, merge_settings, read_toml
from realtime.config.schema import RunConfig
from realtime.config.sharing import SharingSettings
from realtime.errors import SettingsError
from realtime.sources.names import LISTENING, parse_source
from realtime.tracking.motion.optical_flow import SLOW_SIDE_PX, MotionSettings
from realtime.tracking.settings import TrackerSettings

HOST_TABLES = ("host", "sharing", "cluster")
"""Tables that `gazecast run` does not have."""
HOST_KEYS = (*HOST_TABLES, "models", "requests", "metrics", "access", "engine", "view", "webcam", "whip")
"""Settings that a session cannot have for itself."""
SESSION_KEYS = ("stream", *(each.name for each in fields(RunConfig) if each.name not in HOST_KEYS))
"""What a `[[session]]` table may have."""
FILE_KEYS = ("session", *HOST_TABLES, *(each.name for each in fields(RunConfig)))
STREAM_KEYS = ("encoding", "overlay", "jpeg_quality")
"""Settings of `publish` that a session can have for itself, besides its name."""
_SINGLE_READER = ("camera", "realsense", *LISTENING)
"""Kinds of sources that can be opened once at a time."""
_PAGE_KINDS = ("browser", "whip", "webcam")
MAX_STREAM_CHARS = 64


HOST_MOTION = replace(MotionSettings(), side_px=SLOW_SIDE_PX, ring=32)
"""Default of sessions: cores and memory are shared, and an admitted wearer's keyframes are younger than 30 frames."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Holds the settings of a host beside those of its sessions.

    name: stream name of the host's own `health`, which no session may have.
    max_fps: frames a second that a session processes at most, so that one fast camera takes no time from other
        wearers; 0 for no limit.
    client_files: programs of this machine that connect without a key may open sessions with every setting of a session,
        so that they name files of the host, to play and to record into. Else, and with a key, none.
    """

    name: str = "host"
    max_fps: float = 30.0
    client_files: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no name, and a negative rate."""
        if problem := find_name_problem(self.name):
            raise ValueError(f"name {problem}")
        if not 0 <= self.max_fps <= 1000:
            raise ValueError(f"max_fps must be 0 to 1000, got {self.max_fps}")


@dataclass(frozen=True, slots=True)
class HostConfig:
    """Holds the configuration of a host. defaults: of its sessions, with what the host has once."""

    defaults: RunConfig
    sessions: tuple[RunConfig, ...] = ()
    host: HostSettings = field(default_factory=HostSettings)
    sharing: SharingSettings = field(default_factory=SharingSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)


def make_session_defaults() -> RunConfig:
    """Make the settings of sessions where neither file nor flags have any."""
    return RunConfig(source="", tracker=TrackerSettings(motion=HOST_MOTION))


def load_host_config(file: Path, flags: Mapping[str, Any]) -> HostConfig:
    """Merge defaults, file and flags, in this order; raises `SettingsError` for what does not fit."""
    return read_host_config(read_toml(file), flags, str(file))


def read_host_config(values: Mapping[str, Any], flags: Mapping[str, Any], origin: str) -> HostConfig:
    """Read a host's settings. origin: names them in errors. Raises `SettingsError`."""
    for each, name in ((values, origin), (flags, "flags")):
        for key in each:
            check_known(key, FILE_KEYS, name)
    shared, overrides = (
        {key: value for key, value in each.items() if key not in ("session", *HOST_TABLES)} for each in (values, flags)
    )
    tables = values.get("session", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise SettingsError(f"{origin}: sessions stand in tables, each under a line [[session]]")
    defaults = merge_settings(merge_settings(make_session_defaults(), shared, origin), overrides, "flags")
    if defaults.view.enabled:
        raise SettingsError(f"{origin}: a host serves no live page; use gazecast run --view for one wearer")
    for output in ("foxglove", "lerobot"):
        if getattr(defaults.publish, output):
            raise SettingsError(f"{origin}: publish.{output} shows one wearer; a host does not serve it")
    if "stream" in _read_table(values, "publish", origin):
        raise SettingsError(f"{origin}: publish.stream is one wearer's; host.name names the host, stream a session")
    host, sharing, cluster = HostSettings(), SharingSettings(), ClusterSettings()
    for each, name in ((values, origin), (flags, "flags")):
        host = merge_settings(host, _read_table(each, "host", name), name, "host.")
        sharing = merge_settings(sharing, _read_table(each, "sharing", name), name, "sharing.")
        cluster = merge_settings(cluster, _read_table(each, "cluster", name), name, "cluster.")
    if not (tables or defaults.requests):
        raise SettingsError(
            f"{origin} has no session; add a table under a line [[session]], with stream and source, or requests, so "
            "that sessions can be opened by other programs"
        )
    sessions: list[RunConfig] = []
    for number, table in enumerate(tables, 1):
        session = read_session(defaults, table, f"{origin}: session {number}")
        try:
            check_session(session, sessions, host)
        except SettingsError as error:
            raise SettingsError(f"{origin}: {error}") from None
        sessions.append(session)
    return HostConfig(defaults, tuple(sessions), host, sharing, cluster)


def read_session(defaults: RunConfig, values: Mapping[str, Any], origin: str) -> RunConfig:
    """Read the settings of a session; raises `SettingsError` for what does not fit, or belongs to the host."""
    stream = values.get("stream")
    if not isinstance(stream, str) or find_name_problem(stream):
        example = 'such as stream = "anna"'
        problem = "is missing" if stream is None else find_name_problem(stream)
        raise SettingsError(f"{origin}: stream {problem}; it names the wearer in every message, {example}")
    origin = f"{origin.partition(': session')[0]}: session {stream}"
    for key in values:
        if key == "engine":
            raise SettingsError(
                f"{origin}: a session cannot have an engine of its own, all sessions of a host share one; set [engine] "
                "at the top, or start another host"
            )
        if key in HOST_KEYS:
            raise SettingsError(f"{origin}: {key} is set once for all sessions, at the top of the file")
        check_known(key, SESSION_KEYS, origin)
    publish = _read_table(values, "publish", origin)
    if foreign := next((key for key in publish if key not in STREAM_KEYS), ""):
        raise SettingsError(f"{origin}: publish.{foreign} is not a session's (allowed: {', '.join(STREAM_KEYS)})")
    own = {key: value for key, value in values.items() if key != "stream"}
    config = merge_settings(defaults, {**own, "publish": {**publish, "stream": stream}}, origin)
    if not config.source:
        raise SettingsError(f'{origin} has no source, such as source = "pupil://10.0.0.5"')
    return config


def check_session(config: RunConfig, others: Sequence[RunConfig], host: HostSettings) -> None:
    """Raise `SettingsError` where a session cannot run beside the others."""
    stream = config.publish.stream
    if stream == host.name:
        raise SettingsError(f"session {stream}: this is the name of the host itself (host.name)")
    for other in others:
        if other.publish.stream == stream:
            raise SettingsError(f"two sessions are called {stream}; each stream needs a name of its own")
    for spec in filter(None, (config.source, config.gaze)):
        _check_source(stream, spec, others)
    if config.record.file is not None and config.record.file.suffix:
        for other in others:
            if other.record.file == config.record.file:
                raise SettingsError(f"session {stream}: {other.publish.stream} records into {config.record.file}, too")


def find_name_problem(stream: object) -> str:
    """Return why a value is no stream name; empty if it is one."""
    if not isinstance(stream, str):
        return f"must be a text, got {stream!r:.80}"
    if not (stream and stream.isprintable() and stream.isascii() and len(stream) <= MAX_STREAM_CHARS):
        return f"must be 1 to {MAX_STREAM_CHARS} printable ASCII characters, got {stream!r:.80}"
    return ""


def _check_source(stream: str, spec: str, others: Sequence[RunConfig]) -> None:
    name = parse_source(spec)
    if name.kind in _PAGE_KINDS:
        raise SettingsError(f"session {stream}: {name.kind}: needs the live page, which a host does not serve")
    if name.kind in ("file", "recording") and "realtime=0" in name.rest.rpartition("?")[2]:
        raise SettingsError(f"session {stream}: a host runs in real time; leave out realtime=0 in {name.shown}")
    if name.kind not in _SINGLE_READER:
        return
    for other in others:
        if _name_device(other.source) == _name_device(spec):
            raise SettingsError(f"session {stream}: {name.shown} is the source of {other.publish.stream} already")


def _name_device(spec: str) -> str:
    """Return the device of a source, without options; a camera's number and its path in /dev are one."""
    device = parse_source(spec).text.partition("?")[0].replace("camera:/dev/video", "camera:")
    number = device.removeprefix("camera:")
    return f"camera:{number.lstrip('0') or 0}" if number.isdecimal() else device


def _read_table(values: Mapping[str, Any], key: str, origin: str) -> Mapping[str, Any]:
    table = values.get(key, {})
    if not isinstance(table, Mapping):
        raise SettingsError(f"{origin}: {key} is a section, got {table!r:.80}")
    return table
