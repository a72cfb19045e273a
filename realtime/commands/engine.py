"""Implements `gazecast engine build|verify|bench|list|clean`: builds, verifies, times, lists and removes engines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines import EngineError, EngineSettings, Image, build, load, weights
from engines.bench import benchmark_engine
from engines.cache_cleanup import find_unused_files
from engines.settings import default_cache_dir
from engines.speed import MAX_TIME_RATIO
from realtime.commands.config_flags import Verbs, add_engine_flags, add_parser, parse_size, read_engine_settings
from realtime.commands.demo.clip import fetch_clip
from realtime.errors import SettingsError
from realtime.infra.output import print_line
from realtime.infra.progress import EngineProgress, TerminalProgress

DEFAULT_FRAME = "1280x720"
"""An engine is built for the aspect ratio of frames, not for their size; most cameras and clips are 16:9."""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `engine` and its verbs to the verbs of `gazecast`."""
    parser = verbs.add_parser("engine", help="build, check and time engines")
    engine = parser.add_subparsers(metavar="VERB", required=True)
    for name, execute, about in (
        ("build", _build, "build an engine, compare it with the reference, keep it if it is good enough"),
        ("verify", _verify, "compare an engine with the reference on real pictures"),
        ("bench", _bench, "time an engine against the published graphs in ONNX Runtime; the last line is JSON"),
    ):
        sub = add_parser(engine, name, execute, about)
        _add_engine_flags(sub)
        if execute is _build:
            sub.add_argument("--force", action="store_true", help="build anew what is there")
        if execute is _bench:
            sub.add_argument("--rounds", type=int, default=15, help="runs of each, in turns (default 15)")
    sub = add_parser(engine, "list", _list, "what is in the cache, and whether it may be used")
    sub.add_argument("--json", action="store_true", help="as JSON")
    about = "remove from the cache what is damaged, unfinished or made by another version"
    sub = add_parser(engine, "clean", _clean, about)
    sub.add_argument("--unused-days", type=_parse_days, metavar="N", help="and what was not used for so many days")
    sub.add_argument("--dry-run", action="store_true", help="only say what would go")


def _add_engine_flags(parser: argparse.ArgumentParser) -> None:
    add_engine_flags(parser, "--engine", "--backend")
    parser.add_argument("--frame", default=DEFAULT_FRAME, metavar="WxH", help=f"proportions (default {DEFAULT_FRAME})")
    parser.add_argument("--pictures", type=Path, metavar="DIR|VIDEO", help="real pictures; default: the demo's clip")
    parser.add_argument("--picture-side", type=int, default=0, metavar="PX", help="longest side at which pictures are "
                        "encoded, 224 to 1024; default: what suits the threads")  # fmt: skip
    parser.add_argument("--threads", type=int, metavar="N", help="of encoder and decoder; default: this machine's")
    parser.add_argument("--json", action="store_true", help="nothing but one line of JSON on stdout")


def _build(args: argparse.Namespace) -> None:
    settings, folder, frame, pictures = _read_flags(args)
    is_int8 = (args.backend, args.precision) == ("openvino", "int8")
    if is_int8 and not args.force and _is_built(settings, folder, frame):
        print_line(f"the int8 engine for {args.frame} is there already; --force builds it anew")
        return
    progress = EngineProgress(TerminalProgress())
    report = build.build_engine(settings, folder, frame, pictures, force=args.force, report=progress)
    _print_report(report, args.json)


def _is_built(settings: EngineSettings, folder: Path, frame: tuple[int, int]) -> bool:
    """Return whether the engine opens; an int8 engine is kept only if it passed its acceptance."""
    try:
        for part in load(settings, folder, frame_size=frame):
            part.close()
    except EngineError:
        return False
    return True


def _verify(args: argparse.Namespace) -> None:
    _print_report(build.verify_engine(*_read_flags(args), report=EngineProgress(TerminalProgress())), args.json)


def _bench(args: argparse.Namespace) -> None:
    if args.rounds < 1:
        raise SettingsError(f"--rounds must be at least 1, got {args.rounds}")
    result = benchmark_engine(*_read_flags(args), rounds=args.rounds, report=EngineProgress(TerminalProgress()))
    if not args.json:
        _print_table(result)
    print_line(json.dumps(result))


def _list(args: argparse.Namespace) -> None:
    found = build.list_engines()
    if args.json:
        print_line(json.dumps(found))
        return
    for item in found:
        print_line(f"{item['state']:8} {item['bytes'] / 2**20:6.1f} MiB  {Path(item['file']).name}")
    if not found:
        print_line("no engines yet; they are built when they are first used, or by: gazecast engine build")


def _clean(args: argparse.Namespace) -> int:
    count, size, failed = 0, 0, False
    for found in find_unused_files(default_cache_dir(), unused_days=args.unused_days):
        if not args.dry_run:
            try:
                found.remove()
            except OSError as error:
                print_line(f"cannot remove {error.filename}: {error.strerror or error}")
                failed = True
                continue
        count, size = count + 1, size + found.bytes
        print_line(f"{found.bytes / 2**20:6.1f} MiB  {found.files[-1].name}: {found.why}")
    print_line(f"{'would remove' if args.dry_run else 'removed'} {count}, {size / 2**20:.0f} MiB")
    return int(failed)


def _parse_days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise argparse.ArgumentTypeError(f"a number of days, 0 or more, got {text!r}")
    return days


def _read_flags(args: argparse.Namespace) -> tuple[EngineSettings, Path, tuple[int, int], Sequence[Image]]:
    """Return the engine settings, weights folder, frame size and pictures that the flags name."""
    from realtime.sources.video.file_decoder import read_samples

    if args.threads is not None and args.threads < 1:
        raise SettingsError(f"--threads must be at least 1, got {args.threads}")
    settings, frame = read_engine_settings(args, args.threads), parse_size("--frame", args.frame)
    folder = weights.pull_model(args.model, root=args.models, report=TerminalProgress().show_bytes)
    return settings, folder, frame, read_samples(args.pictures or fetch_clip())


def _print_report(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_line(json.dumps(report))
        return
    gate = report["gate"]
    print_line(
        f"{report['backend']} {report['model']} {report['precision']}: passed on {gate['points']} points; best-of-four "
        f"IoU {gate['best']:.3f}, chosen {gate['chosen']:.3f}, score error {gate['score_error']:.3f}"
    )
    if (ratio := gate.get("time_ratio")) is not None:
        choice = "uses it" if ratio < MAX_TIME_RATIO else "does not use it: it is hardly faster, or slower"
        print_line(f"int8 takes {ratio:.2f} of the time of float on this machine; precision auto {choice}")


def _print_table(result: dict[str, Any]) -> None:
    stock = result["stock"]
    for name, values in (
        ("encoder, ms", [f"{result['encoder_ms']:.1f}   stock {stock['encoder_ms']:.1f}"]),
        ("decoder, ms a prompt, 1 4 8 at once", [f"{ms:.1f}" for ms in result["decoder_ms"].values()]),
        ("decoder, stock, ms", [f"{stock['decoder_ms']:.1f}"]),
        ("ratio to stock", [f"{key} {ratio:.2f}" for key, ratio in result["ratio"].items()]),
        ("IoU with the reference", [f"{key} {iou:.3f}" for key, iou in (result.get("iou") or {}).items()]),
    ):
        print_line(f"{name:38} {'  '.join(values)}")
