"""Defines the settings of `gazecast run`: defaults, overridden by a TOML file, overridden by flags. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines import EngineSettings
from realtime.comms.mask_encoding import Encoding
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT
from realtime.config.access import AccessSettings
from realtime.config.loader import flatten_settings, merge_settings, read_toml
from realtime.config.objects import DepthSettings, ObjectSettings
from realtime.config.recording import RecordSettings
from realtime.config.viewer import ViewSettings
from realtime.config.webcam import WebcamSettings
from realtime.config.whip import WhipSettings
from realtime.tracking.pinch_detector import PinchSettings
from realtime.tracking.tracker import TrackerSettings


@dataclass(frozen=True, slots=True)
class PublishConfig:
    """Holds the settings of the published messages.

    endpoint: address where messages are published, tcp://HOST:PORT.
    stream: name that every message carries, up to 64 printable ASCII characters.
    encoding: encoding of the masks: packbits+zstd, coco_rle or png.
    overlay: draw and publish `overlay` too, while a subscriber wants it.
    jpeg_quality: JPEG quality of overlays, 1 to 100.
    foxglove: address HOST:PORT where Foxglove connects to ROS 2 messages; empty to disable.
    lerobot: address tcp://HOST:PORT of a LeRobot camera that shows overlays; empty to disable.
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
    """Holds the whole configuration of a run.

    source: source of frames, such as camera:0, pupil://HOST:PORT or file:PATH.
    gaze: source of gaze; empty for the same device as the frames.
    calibration: file of `gazecast calibrate gaze`, applied to every gaze sample; unset for uncorrected gaze.
    adapter: file of `gazecast learn`, whose choice of masks replaces that of `tracker.choice`; unset for none.
    learn_drift: while calibrated, correct drift with the small objects that the wearer dwells on.
    models: folder with one folder of weights per model; unset for the user's cache.
    word: word to search for from the start, such as "cup", beside the gaze or while there is none; empty for none.
    requests: address tcp://HOST:PORT where other programs may request holds, segmentation and more; empty to disable.
    metrics: address HOST:PORT where Prometheus reads `/metrics`; empty to disable. The live page has them, too.
    """

    source: str = "camera:0"
    gaze: str = ""
    calibration: Path | None = None
    adapter: Path | None = None
    learn_drift: bool = True
    models: Path | None = None
    word: str = ""
    requests: str = ""
    metrics: str = ""
    publish: PublishConfig = field(default_factory=PublishConfig)
    access: AccessSettings = field(default_factory=AccessSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    view: ViewSettings = field(default_factory=ViewSettings)
    webcam: WebcamSettings = field(default_factory=WebcamSettings)
    whip: WhipSettings = field(default_factory=WhipSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    objects: ObjectSettings = field(default_factory=ObjectSettings)
    pinch: PinchSettings = field(default_factory=PinchSettings)


def load_config(file: Path | None, flags: Mapping[str, Any], defaults: RunConfig | None = None) -> RunConfig:
    """Merge defaults, file and flags (nested maps), in this order; raises `SettingsError` for what does not fit."""
    config = defaults or RunConfig()
    if file is not None:
        config = merge_settings(config, read_toml(file), str(file))
    return merge_settings(config, flags, "flags")


def select_recorded_settings(config: RunConfig) -> RunConfig:
    """Select the settings that decide the masks; no address, token or path of this machine."""
    publish = replace(PublishConfig(), stream=config.publish.stream, encoding=config.publish.encoding)
    return RunConfig(
        publish=publish, engine=replace(config.engine, adapter=None, cache_dir=None), tracker=config.tracker
    )


def to_toml(config: RunConfig) -> str:
    """Write the configuration as a file that `--config` reads; settings that are unset stand as comments."""
    lines: dict[str, list[str]] = {"": []}
    for name, value in flatten_settings(config).items():
        section, _, key = name.rpartition(".")
        lines.setdefault(section, []).append(
            f"# {key} is not set" if value is None else f"{key} = {format_value(value)}"
        )
    return "\n\n".join("\n".join(([f"[{name}]"] if name else []) + body) for name, body in lines.items() if body) + "\n"


def format_value(value: Any) -> str:
    """Format a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(format_value, value)) + "]"
    # JSON's escapes are those of TOML's basic strings, which allow no DEL
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
