"""Defines the flags that several verbs share, and reads a run's configuration from them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from engines.settings import Backend, EngineSettings, Precision
from realtime.comms.keys import default_key_folder
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT
from realtime.comms.request_client import DEFAULT_ENDPOINT as REQUESTS_ENDPOINT
from realtime.config.access import Output
from realtime.config.loader import parse_toml
from realtime.config.schema import RunConfig, load_config
from realtime.errors import SettingsError
from realtime.infra.event_log import warn
from realtime.infra.machine import count_nvidia_gpus

Verbs = argparse._SubParsersAction  # of argparse.ArgumentParser; it has no public name
Execute = Callable[[argparse.Namespace], int | None]
"""Executes a verb and returns its exit code; None is 0."""

_SETTING_OF_FLAG = {
    flag: flag for flag in ("source", "gaze", "models", "calibration", "adapter", "requests", "metrics", "word")
} | {
    "record": "record.file",
    "encrypt": "record.recipients",
    "engine": "engine.backend",
    "publish": "publish.endpoint",
    "depth": "depth.source",
    "camera": "objects.camera",
    "robot": "objects.robot",
    "foxglove": "publish.foxglove",
    "lerobot": "publish.lerobot",
    "keys": "access.keys",
    "insecure": "access.insecure",
    "confirm_dwell": "tracker.dwell.confirm_s",
    "confirm_pinch": "pinch.enabled",
}
METRICS_ADDRESS = "127.0.0.1:9464"
"""The port is that of Prometheus exporters in OpenTelemetry."""
MODELS_HELP = "where weights lie instead of your cache"


def add_parser(
    verbs: Verbs[argparse.ArgumentParser], name: str, execute: Execute, about: str
) -> argparse.ArgumentParser:
    """Add a verb and return its parser."""
    parser = verbs.add_parser(name, help=about, description=about)
    # also after the verb; SUPPRESS keeps what stood before it
    parser.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.set_defaults(verb=execute)
    return parser


def add_config_flags(parser: argparse.ArgumentParser, *, sources: bool = True) -> None:
    """Add the flags of a configuration; `sources`: also those of its sources."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE.toml", help="settings; `gazecast config` prints them all")
    add_process_flags(parser)
    if sources:
        add("--source", metavar="SPEC", help="pupil://HOST:PORT, neon:, tobii:, aria:, camera:N, realsense:, "
            "file:PATH, rtsp://... or another stream, whip:, browser:")  # fmt: skip
        add("--gaze", metavar="SPEC", help="pupil://HOST:PORT, neon:, tobii:, aria:, lsl:NAME, trace:FILE.csv, webcam, "
            "whip:, browser:; default: the source")  # fmt: skip


def add_process_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of what a process has once: engine, messages and access, and of any setting."""
    add = parser.add_argument
    add("--engine", metavar="NAME", help="openvino (default), tensorrt, onnxruntime, torch, fake")
    add("--models", type=Path, metavar="DIR", help=MODELS_HELP)
    add("--adapter", type=Path, metavar="FILE", help="what `gazecast learn` learned")
    add("--publish", metavar="tcp://HOST:PORT", help=f"default {DEFAULT_ENDPOINT}")
    add("--keys", type=Path, metavar="DIR", help="keys for connections from other machines (gazecast keys)")
    add("--insecure", action="append", choices=get_args(Output), help="let all who can connect read this output, "
        "without keys or encryption")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting, such as engine.decoder_threads=2")


def add_report_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose how the state is reported."""
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object a second instead of the live line")
    add("--log", choices=("text", "json"), default="text", help="json: what is reported as JSON, one object a line on "
        "stderr, without repeats and secrets")  # fmt: skip
    add("--metrics", nargs="?", const=METRICS_ADDRESS, metavar="HOST:PORT", help="serve figures to Prometheus at "
        f"/metrics, by default of {METRICS_ADDRESS}")  # fmt: skip


def add_requests_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that answers requests of other programs."""
    parser.add_argument("--requests", nargs="?", const=REQUESTS_ENDPOINT, metavar="tcp://HOST:PORT", help="answer what "
                        f"other programs ask, by default at {REQUESTS_ENDPOINT}")  # fmt: skip


def add_view_flags(parser: argparse.ArgumentParser, about: str) -> None:
    """Add the flags of the live page; about: help of --view."""
    parser.add_argument("--view", action="store_true", help=about)
    parser.add_argument("--open", action="store_true", help="open the page in the browser, too; implies --view")
    add_share_flag(parser)


def add_share_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that serves a page to other machines."""
    parser.add_argument("--share", action="store_true", help="serve the page to other machines, too, with a token and "
                        "a certificate that are made once; implies --view")  # fmt: skip


def add_engine_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags that choose an engine and its model; names: those of the flag for the backend."""
    parser.add_argument(*names, dest="backend", choices=get_args(Backend), default="openvino", help="openvino "
                        "(default), tensorrt for NVIDIA GPUs, onnxruntime, torch")  # fmt: skip
    parser.add_argument("--model", default="mobile_sam")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto", help="int8 takes a quarter less "
                        "of a CPU's time than bf16, once it is built")  # fmt: skip
    parser.add_argument("--models", type=Path, metavar="DIR", help=MODELS_HELP)


def read_engine_settings(args: argparse.Namespace, threads: int | None) -> EngineSettings:
    """Read `EngineSettings` from flags; threads: of encoder and decoder each, None for this machine's default."""
    try:
        settings = EngineSettings(args.backend, args.model, args.precision, picture_side=args.picture_side)
    except ValueError as error:
        raise SettingsError(f"--picture-side: {error}") from error
    check_gpu(settings)
    return settings if threads is None else replace(settings, encoder_threads=threads, decoder_threads=threads)


def check_gpu(settings: EngineSettings) -> None:
    """Raise `SettingsError` for TensorRT on a machine without an NVIDIA GPU, before anything is fetched or opened."""
    if settings.backend == "tensorrt" and not count_nvidia_gpus():
        raise SettingsError(
            "the tensorrt engine needs an NVIDIA GPU, and no driver reports one here; use the CPU with "
            "--engine openvino, or install the driver (docs/guides/gpu.md; gazecast doctor shows what is found)"
        )


def parse_size(flag: str, text: str) -> tuple[int, int]:
    """Parse (width, height), px, from the value of a flag; raises `SettingsError`."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise SettingsError(f"{flag} wants WIDTHxHEIGHT, such as 1280x720, got {text!r}")
    return int(width), int(height)


def read_config(args: argparse.Namespace, defaults: RunConfig | None = None) -> RunConfig:
    """Merge defaults, the file of --config, flags and --set, each overriding those before; raises `SettingsError`."""
    if defaults is None and _has_view(args):
        defaults = RunConfig(source="browser:")  # the page's own camera, unless a source is named
    return load_config(args.config, read_flags(args), defaults)


def _has_view(args: argparse.Namespace) -> bool:
    return any(getattr(args, flag, False) for flag in ("view", "open", "share"))


def read_flags(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the flags and of --set, nested in sections; raises `SettingsError`."""
    settings: dict[str, Any] = {}
    for flag, key in _SETTING_OF_FLAG.items():
        if (value := getattr(args, flag, None)) is not None:
            _put(settings, key, value)
    if _has_view(args):
        _put(settings, "view.enabled", True)
    if getattr(args, "share", False):
        _share_page(settings, getattr(args, "keys", None))
    if getattr(args, "record_pictures", None) == "off":
        _put(settings, "record.frames", "none")
    for pair in args.set:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set wants KEY=VALUE, got {pair!r}")
        if key.strip() == "view.token":
            warn("other users see a token in a command line; use view.token_file")
        _put(settings, key.strip(), _parse_value(text.strip()))
    return settings


def _share_page(settings: dict[str, Any], keys: Path | None) -> None:
    """Serve the page to other machines, with a token and a certificate that are made where they are missing."""
    from realtime.viewer.page_secrets import prepare_page_secrets

    files = prepare_page_secrets(keys or default_key_folder())
    made = {"token_file": files.token, "tls_cert": files.certificate, "tls_key": files.key}
    for key, value in {"host": "0.0.0.0", **made}.items():  # noqa: S104 - what --share asks for
        _put(settings, f"view.{key}", value)


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
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text
