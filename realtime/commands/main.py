"""The command `gazecast`: parses, calls, and turns our errors into one line.

Exit codes: 0 done, 1 failed while it ran, 2 wrong use or something is missing before the start.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from calibration import CalibrationError
from engines import EngineError, weights
from realtime.commands import calibrate, engine, recordings
from realtime.commands.segment import command as segment
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT
from realtime.config.schema import RunConfig, load_config, to_toml
from realtime.errors import RunFailed, SettingsError, SourceError, TransportError, WindowError
from realtime.infra.interrupts import EXIT_INTERRUPTED
from realtime.infra.progress import TerminalProgress

FAILED, WRONG_USE = 1, 2
OUR_ERRORS = (SettingsError, SourceError, TransportError, WindowError, EngineError, CalibrationError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    verb: Callable[[argparse.Namespace], int] = args.verb
    try:
        return verb(args)
    except OUR_ERRORS as error:
        print(f"gazecast: {error}", file=sys.stderr)
        return WRONG_USE
    except RunFailed as error:
        print(f"gazecast: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # Whoever read us has gone. Python would flush into the closed pipe once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(f"gazecast: {named}{error.strerror or error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


# -- verbs ------------------------------------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    from realtime.commands.terminal import JsonView, LineView
    from realtime.session.run import run

    run(_config(args), JsonView() if args.json else LineView(), window=args.window)
    return 0


def _show_config(args: argparse.Namespace) -> int:
    print(to_toml(_config(args)), end="")
    return 0


def _simulate(args: argparse.Namespace) -> int:
    from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
    from realtime.simulation.device import SimulatedTracker
    from realtime.simulation.table_scene import TableClip, write_calibrations

    gaze = args.gaze if args.gaze == "wander" else Path(args.gaze.removeprefix("trace:"))
    wide, _, high = args.size.partition("x")
    if not (wide.isdecimal() and high.isdecimal()):
        raise SettingsError(f"--size wants WIDTHxHEIGHT, such as 1280x720, got {args.size!r}")
    shown: Path | TargetClip | TableClip
    if args.scene:
        shown, what = TableClip(args.seed), "a table with boxes, and its depth,"
        for path in write_calibrations(args.calibrations) if args.calibrations else ():
            print(f"wrote {path}", file=sys.stderr)
    elif args.calibrations:
        raise SettingsError("--calibrations belongs to --scene, whose camera is known; a clip's is not")
    elif args.targets:
        shown, what = TargetClip(args.targets, (int(wide), int(high))), f"{args.targets} targets and 4 others"
    else:
        shown, what = args.video, args.video
    device = SimulatedTracker(
        shown, gaze, host=args.host, port=args.port, rate_hz=args.rate, loop=not args.once,
        noise_px=args.noise_px, seed=args.seed, error=SimulatedBias(tuple(args.gaze_bias), args.gaze_distortion, args.seed),
    )  # fmt: skip
    print(f"playing {what} at pupil://{args.host}:{device.port}; Ctrl-C stops", file=sys.stderr, flush=True)
    device.serve()
    return 0


def _demo(args: argparse.Namespace) -> int:
    from realtime.commands.demo import run_demo, view_demo

    if args.view:
        view_demo(_config(args), video=args.video, gaze=args.gaze)
    else:
        run_demo(_config(args), args.out, video=args.video, gaze=args.gaze)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from realtime.commands.doctor import examine

    report = examine()
    print(report.json() if args.json else report.text())
    return 0 if report.healthy else FAILED


def _models_list(args: argparse.Namespace) -> int:
    for known in weights.registry():
        size = sum(file.size for file in known.files) / 1e6
        state = "cached" if weights.is_cached(known.name, root=args.models) else "-"
        print(f"{known.name:12} {state:7} {size:7.0f} MB  {known.licence}\n{'':12} {known.about}")
    return 0


def _models_pull(args: argparse.Namespace) -> int:
    folder = weights.pull(args.name, source=args.source, root=args.models, report=TerminalProgress().show_bytes)
    print(folder)
    return 0


def _models_path(args: argparse.Namespace) -> int:
    print(weights.path(args.name, root=args.models))
    return 0


# -- flags ------------------------------------------------------------------------------------------------------------


def _config(args: argparse.Namespace, defaults: RunConfig | None = None) -> RunConfig:
    """Defaults, file, flags, and last what `--set` says."""
    flags: dict[str, Any] = {}
    for key, value in {
        "source": args.source, "gaze": getattr(args, "gaze", None), "models": args.models,
        "calibration": getattr(args, "calibration", None), "record.file": getattr(args, "record", None),
        "requests": getattr(args, "requests", None),
        "engine.backend": args.engine, "publish.endpoint": args.publish,
        "depth.source": getattr(args, "depth", None), "objects.camera": getattr(args, "camera", None),
        "objects.robot": getattr(args, "robot", None),
        "publish.foxglove": getattr(args, "foxglove", None), "publish.lerobot": getattr(args, "lerobot", None),
    }.items():  # fmt: skip
        if value is not None:
            _put(flags, key, value)
    if getattr(args, "view", False):
        _put(flags, "view.enabled", True)
    for pair in args.set:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set wants KEY=VALUE, got {pair!r}")
        _put(flags, key.strip(), _value(text.strip()))
    # Somebody who wants to see something and names no camera has one in the browser.
    if defaults is None and getattr(args, "view", False):
        defaults = RunConfig(source="browser:")
    return load_config(args.config, flags, defaults)


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, leaf = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"--set {key}: {section} is a setting already, not a section")
    tree[leaf] = value


def _value(text: str) -> Any:
    """Read a value as TOML would, so that --set and the file agree; a bare word is a text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gazecast", description="Look at something; its mask is published, live, to a display and to robots."
    )
    parser.add_argument("--verbose", action="store_true", help="log more, with tracebacks")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def add(name: str, verb: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=about, description=about)
        sub.set_defaults(verb=verb)
        return sub

    run = add("run", _run, "segment what is looked at and publish the masks")
    _config_flags(run)
    run.add_argument("--json", action="store_true", help="print one JSON object a second instead of the live line")
    run.add_argument("--calibration", type=Path, metavar="FILE", help="of `calibrate gaze`, applied to every look")
    run.add_argument("--record", type=Path, metavar="FILE", help="record it all, to `replay` and `export` later; into "
                     "a new file of it if it is a folder")  # fmt: skip
    run.add_argument("--foxglove", nargs="?", const="127.0.0.1:8765", metavar="HOST:PORT", help="serve ROS 2 messages "
                     "to Foxglove, by default at 127.0.0.1:8765")  # fmt: skip
    run.add_argument("--lerobot", metavar="tcp://HOST:PORT", help="be a ZeroMQ camera of LeRobot's that shows overlays")
    run.add_argument("--camera", type=Path, metavar="FILE", help="of `calibrate camera`: publish `object3d`")
    run.add_argument("--depth", metavar="SPEC", help="for `object3d`: pupil: (the same device), pupil://HOST:PORT, "
                     "file:FOLDER of 16-bit PNGs or file:VIDEO beside a clip")  # fmt: skip
    run.add_argument("--robot", type=Path, metavar="FILE", help="of `calibrate handeye`: in its frame, too")
    run.add_argument("--requests", nargs="?", const="tcp://127.0.0.1:5572", metavar="tcp://HOST:PORT",
                     help="answer what other programs ask, by default at tcp://127.0.0.1:5572")  # fmt: skip
    run.add_argument("--view", action="store_true", help="serve the live page and print its address; its camera is "
                     "the source and its mouse the gaze if there are no others")  # fmt: skip
    run.add_argument("--window", action="store_true", help="show the masks; the mouse is the gaze if there is no other")

    config = add("config", _show_config, "print the configuration that `run` would have, as a file for --config")
    _config_flags(config)

    simulate = add("simulate", _simulate, "be a Pupil-compatible eye tracker that plays a video and a gaze")
    played = simulate.add_mutually_exclusive_group(required=True)
    played.add_argument("--video", type=Path, metavar="V", help="a video file or a folder of pictures")
    played.add_argument(
        "--targets", type=int, choices=(5, 9), help="calibration targets instead, which the eyes look at"
    )
    played.add_argument("--scene", choices=("table",), help="boxes on a table instead, with depth, and eyes that dwell "
                        "on one after another")  # fmt: skip
    simulate.add_argument("--calibrations", type=Path, metavar="DIR", help="with --scene: write its camera.json and "
                          "robot.json there")  # fmt: skip
    simulate.add_argument("--size", default="1280x720", metavar="WxH", help="of the pictures with targets")
    simulate.add_argument("--gaze", default="wander", metavar="TRACE|wander", help="CSV timestamp,x,y,confidence; or "
                          "wander, eyes that follow what moves (default)")  # fmt: skip
    simulate.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    simulate.add_argument("--port", type=int, default=50020, help="of the remote; 0 takes a free one (default 50020)")
    simulate.add_argument("--rate", type=float, default=200.0, metavar="HZ", help="gaze samples a second (default 200)")
    simulate.add_argument("--once", action="store_true", help="play the video once instead of for ever")
    simulate.add_argument("--noise-px", type=float, default=0.0, help="added to the gaze, standard deviation")
    simulate.add_argument("--gaze-bias", type=float, nargs=2, default=(0.0, 0.0), metavar=("X", "Y"),
                          help="px by which the tracker is off, right and down")  # fmt: skip
    simulate.add_argument("--gaze-distortion", type=float, default=0.0, metavar="PX",
                          help="gain, shear and bend of the tracker, px at the picture's edges")  # fmt: skip
    simulate.add_argument("--seed", type=int, default=0, help="of the noise, the wandering and the distortion")

    demo = add("demo", _demo, "see it work on a real clip: a video, pictures and a table in about a minute")
    _config_flags(demo, sources=False)
    demo.add_argument("--out", type=Path, default=Path("demo-out"), help="where to leave them (default demo-out)")
    demo.add_argument("--video", type=Path, help="another clip")
    demo.add_argument("--gaze", help="a trace for it, or wander")
    demo.add_argument("--view", action="store_true", help="serve the live page instead, until Ctrl-C")

    recordings.add_verbs(add, lambda parser: _config_flags(parser, sources=False), _config)

    doctor = add("doctor", _doctor, "say what this machine can run, and what to install for more")
    doctor.add_argument("--json", action="store_true", help="as JSON")

    calibration = verbs.add_parser("calibrate", help="measure and remove the errors of camera, tracker and robot")
    calibrate.add_verbs(calibration.add_subparsers(metavar="VERB", required=True))

    engine_parser = verbs.add_parser("engine", help="build, check and time engines")
    engine.add_verbs(engine_parser.add_subparsers(metavar="VERB", required=True))

    segment.add_verb(verbs)

    models = verbs.add_parser("models", help="the networks' weights").add_subparsers(metavar="VERB", required=True)
    for name, verb, about in (
        ("list", _models_list, "which there are"),
        ("pull", _models_pull, "fetch one into the cache"),
        ("path", _models_path, "print where one lies"),
    ):
        sub = models.add_parser(name, help=about, description=about)
        sub.set_defaults(verb=verb)
        sub.add_argument("--models", type=Path, metavar="DIR", help="the cache to use instead of your own")
        if name != "list":
            sub.add_argument("name")
        if name == "pull":
            sub.add_argument("--from", dest="source", type=Path, metavar="DIR", help="a folder that holds the files")
    return parser


def _config_flags(parser: argparse.ArgumentParser, *, sources: bool = True) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
