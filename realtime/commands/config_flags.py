"""Defines the flags that several verbs share, and reads a run's configuration from them."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT
from realtime.config.schema import RunConfig, load_config
from realtime.errors import SettingsError

Verbs = argparse._SubParsersAction  # of argparse.ArgumentParser; it has no public name
Execute = Callable[[argparse.Namespace], int]
"""Executes a verb and returns its exit code."""

_SETTING_OF_FLAG = {
    "source": "source",
    "gaze": "gaze",
    "models": "models",
    "calibration": "calibration",
    "record": "record.file",
    "requests": "requests",
    "engine": "engine.backend",
    "publish": "publish.endpoint",
    "depth": "depth.source",
    "camera": "objects.camera",
    "robot": "objects.robot",
    "foxglove": "publish.foxglove",
    "lerobot": "publish.lerobot",
}


def add_parser(
    verbs: Verbs[argparse.ArgumentParser], name: str, execute: Execute, about: str
) -> argparse.ArgumentParser:
    """Add a verb and return its parser."""
    parser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(verb=execute)
    return parser


def add_config_flags(parser: argparse.ArgumentParser, *, sources: bool = True) -> None:
    """Add the flags of a configuration; `sources`: also those of its sources."""
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings; `gazecast config` prints them all")
    parser.add_argument("--engine", metavar="NAME", help="openvino (default), tensorrt, onnxruntime, torch, fake")
    parser.add_argument("--models", type=Path, metavar="DIR", help="where weights lie instead of your cache")
    parser.add_argument("--publish", metavar="tcp://HOST:PORT", help=f"default {DEFAULT_ENDPOINT}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting, such as "
                        "engine.decoder_threads=2")  # fmt: skip
    if sources:
        parser.add_argument(
            "--source", metavar="SPEC", help="pupil://HOST:PORT, camera:N, file:PATH, rtsp://..., browser:"
        )
        parser.add_argument(
            "--gaze", metavar="SPEC", help="pupil://HOST:PORT, trace:FILE.csv, browser:; default: the source"
        )
    else:
        parser.set_defaults(source=None)


def read_config(args: argparse.Namespace, defaults: RunConfig | None = None) -> RunConfig:
    """Merge defaults, the file of --config, flags and --set, each overriding those before; raises `SettingsError`."""
    settings: dict[str, Any] = {}
    for flag, key in _SETTING_OF_FLAG.items():
        if (value := getattr(args, flag, None)) is not None:
            _put(settings, key, value)
    has_view = getattr(args, "view", False)
    if has_view:
        _put(settings, "view.enabled", True)
    for pair in args.set:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set wants KEY=VALUE, got {pair!r}")
        _put(settings, key.strip(), _parse_value(text.strip()))
    if defaults is None and has_view:
        defaults = RunConfig(source="browser:")  # the page's own camera, unless a source is named
    return load_config(args.config, settings, defaults)


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"--set {key}: {section} is a setting already, not a section")
    tree[leaf] = value


def _parse_value(text: str) -> Any:
    """Parse a value as TOML, so that --set and the file agree; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
