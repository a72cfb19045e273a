"""What `gazecast run` can be told: defaults here, overridden by a TOML file, overridden by flags. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines import EngineSettings
from realtime.comms import Encoding
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT
from realtime.config.loader import flatten_settings, merge_settings, read_toml
from realtime.config.objects import DepthSettings, ObjectSettings
from realtime.config.recording import RecordSettings
from realtime.config.viewer import ViewSettings
from realtime.tracking.tracker import TrackerSettings


@dataclass(frozen=True, slots=True)
class PublishConfig:
    """What is published and how.

    stream: a name that every message carries. encoding: of masks. overlay: draw and publish `overlay` too.
    jpeg_quality: of overlays, 1 to 100. foxglove: HOST:PORT where Foxglove finds ROS 2 messages; empty for nowhere.
    lerobot: tcp://HOST:PORT of a camera of LeRobot's that shows overlays; empty for none.
    """

    endpoint: str = DEFAULT_ENDPOINT
    stream: str = "gazecast"
    encoding: Encoding = "packbits+zstd"
    overlay: bool = True
    jpeg_quality: int = 80
    foxglove: str = ""
    lerobot: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that a reader may not show and a quality that JPEG does not have."""
        if not (self.stream.isprintable() and self.stream.isascii() and len(self.stream) <= 64):
            raise ValueError(f"stream must be at most 64 printable ASCII characters, got {self.stream!r:.80}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be 1 to 100, got {self.jpeg_quality}")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The whole configuration.

    source: where frames come from. gaze: where gaze comes from; empty for the same device as the frames.
    calibration: a file of `gazecast calibrate gaze`, applied to every look; None for gaze as the tracker gives it.
    requests: tcp://HOST:PORT where other programs may ask to hold, segment and so on; empty for nowhere.
    learn_drift: while calibrated, let small things that the wearer dwells on tell what has slipped.
    models: a folder with one folder of weights per model; None for the user's cache.
    """

    source: str = "camera:0"
    gaze: str = ""
    calibration: Path | None = None
    learn_drift: bool = True
    models: Path | None = None
    requests: str = ""
    publish: PublishConfig = field(default_factory=PublishConfig)
    engine: EngineSettings = field(default_factory=EngineSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    view: ViewSettings = field(default_factory=ViewSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    objects: ObjectSettings = field(default_factory=ObjectSettings)


def load_config(file: Path | None, flags: Mapping[str, Any], defaults: RunConfig | None = None) -> RunConfig:
    """Defaults, then the file, then the flags (nested maps); raises `SettingsError` for whatever does not fit."""
    config = defaults or RunConfig()
    if file is not None:
        config = merge_settings(config, read_toml(file), str(file))
    return merge_settings(config, flags, "flags")


def select_recorded_settings(config: RunConfig) -> RunConfig:
    """What a recording keeps: all that decides its masks; no address, token or place on this machine."""
    publish = replace(PublishConfig(), stream=config.publish.stream, encoding=config.publish.encoding)
    return RunConfig(publish=publish, engine=replace(config.engine, cache_dir=None), tracker=config.tracker)


def to_toml(config: RunConfig) -> str:
    """Write the configuration as a file that `--config` reads; settings that are unset stand as comments."""
    lines: dict[str, list[str]] = {"": []}
    for name, value in flatten_settings(config).items():
        section, _, key = name.rpartition(".")
        lines.setdefault(section, []).append(f"# {key} is not set" if value is None else f"{key} = {_toml(value)}")
    return "\n\n".join("\n".join(([f"[{name}]"] if name else []) + body) for name, body in lines.items() if body) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)  # JSON's escapes are those of TOML's basic strings
