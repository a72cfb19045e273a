"""Implements `gazecast simulate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realtime.commands.config_flags import Verbs, add_parser, parse_size
from realtime.errors import SettingsError
from realtime.infra.output import print_line

if TYPE_CHECKING:
    from realtime.simulation.calibration_wearer import TargetClip
    from realtime.simulation.device import SimulatedTracker
    from realtime.simulation.neon.companion_device import SimulatedNeon
    from realtime.simulation.table_scene import TableClip
    from realtime.simulation.tobii.glasses import SimulatedGlasses


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `simulate` to the verbs of `gazecast`."""
    parser = add_parser(
        verbs,
        "simulate",
        _simulate,
        "be a Pupil-compatible eye tracker, a Neon or Tobii glasses, and play a clip",
    )
    content = parser.add_mutually_exclusive_group(required=True)
    content.add_argument("--video", type=Path, metavar="V", help="a video file or a folder of pictures")
    content.add_argument("--targets", type=int, choices=(5, 9), help="calibration targets instead, which the eyes "
                         "look at")  # fmt: skip
    content.add_argument("--scene", choices=("table",), help="boxes on a table instead, with depth, and eyes that "
                         "dwell on one after another")  # fmt: skip
    add = parser.add_argument
    add("--calibrations", type=Path, metavar="DIR", help="with --scene: write its camera.json and robot.json there")
    add("--size", default="1280x720", metavar="WxH", help="of the pictures with targets")
    add("--gaze", default="wander", metavar="TRACE|wander", help="CSV timestamp,x,y,confidence; or wander, eyes that "
        "follow what moves (default)")  # fmt: skip
    add("--lsl", default="", metavar="NAME", help="send the gaze also as the LSL stream NAME")
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add(
        "--port",
        type=int,
        help="of the remote; 0 takes a free one (default 50020, --neon 8080, --tobii 8554)",
    )
    add("--rate", type=float, default=200.0, metavar="HZ", help="gaze samples a second (default 200)")
    add("--once", action="store_true", help="play the video once instead of for ever")
    add("--noise-px", type=float, default=0.0, help="added to the gaze, standard deviation")
    add("--gaze-bias", type=float, nargs=2, default=(0.0, 0.0), metavar=("X", "Y"),
        help="px by which the tracker is off, right and down")  # fmt: skip
    add("--gaze-distortion", type=float, default=0.0, metavar="PX",
        help="gain, shear and bend of the tracker, px at the picture's edges")  # fmt: skip
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--neon", action="store_true", help="be a Neon on its phone, at 1600x1200 (H.264, RTSP), instead")
    kind.add_argument("--tobii", action="store_true", help="be Tobii Pro Glasses 3, at 1920x1080, instead")
    add("--loss", type=float, default=0.0, metavar="SHARE", help="with --neon: packets lost on the way, 0 to 1")
    add("--clock-offset-ms", type=float, default=0.0, metavar="MS", help="with --neon or --tobii: error of its clock")
    add("--restart", type=float, default=0.0, metavar="S", help="with --neon: leave for 2 s whenever S seconds passed")
    add("--announce", action="store_true", help="with --neon: be found in the network by neon:")
    add("--seed", type=int, default=0, help="of the noise, the wandering and the distortion")


def _simulate(args: argparse.Namespace) -> None:
    from realtime.simulation.calibration_wearer import SimulatedBias

    if not args.neon and (args.loss or args.restart or args.announce):
        raise SettingsError("--loss, --restart and --announce belong to --neon")
    if not (args.neon or args.tobii) and args.clock_offset_ms:
        raise SettingsError("--clock-offset-ms belongs to --neon and --tobii")
    content, description = _open_content(args)
    gaze: Path | Literal["wander"] = "wander"
    if args.gaze != "wander":
        gaze = Path(args.gaze.removeprefix("trace:"))
    options = {
        "host": args.host, "rate_hz": args.rate, "loop": not args.once, "noise_px": args.noise_px, "seed": args.seed,
        "error": SimulatedBias(tuple(args.gaze_bias), args.gaze_distortion, args.seed),
    }  # fmt: skip
    device, kind = _open_device(args, content, gaze, options)
    address = f"{kind}://{args.host}:{device.port}"
    device.serve(lambda: print_line(f"playing {description} at {address}; Ctrl-C stops", file=sys.stderr))


def _open_device(
    args: argparse.Namespace, content: Path | TargetClip | TableClip, gaze: Path | Literal["wander"],
    options: dict[str, Any],
) -> tuple[SimulatedTracker | SimulatedNeon | SimulatedGlasses, str]:  # fmt: skip
    """Open the device and return it with the kind of its address."""
    if not (args.neon or args.tobii):
        from realtime.simulation.device import SimulatedTracker

        port = 50020 if args.port is None else args.port
        return SimulatedTracker(content, gaze, port=port, lsl=args.lsl, **options), "pupil"
    if args.lsl:
        raise SettingsError(f"--lsl does not go with --{'neon' if args.neon else 'tobii'}; leave out one of the two")
    if args.tobii:
        from realtime.simulation.tobii.glasses import GlassesFaults, SimulatedGlasses

        port = 8554 if args.port is None else args.port
        return SimulatedGlasses(
            content, gaze, port=port, faults=GlassesFaults(args.clock_offset_ms / 1e3), **options
        ), "tobii"
    from realtime.simulation.neon.companion_device import CompanionFaults, SimulatedNeon

    faults = CompanionFaults(args.loss, args.clock_offset_ms / 1e3, args.restart)
    port = 8080 if args.port is None else args.port
    return SimulatedNeon(content, gaze, port=port, faults=faults, announce=args.announce, **options), "neon"


def _open_content(args: argparse.Namespace) -> tuple[Path | TargetClip | TableClip, str]:
    """Return the frames that the device plays, and their description."""
    from realtime.simulation.calibration_wearer import TargetClip
    from realtime.simulation.table_scene import TableClip, write_calibrations

    size = parse_size("--size", args.size)
    if args.scene:
        for path in write_calibrations(args.calibrations) if args.calibrations else ():
            print_line(f"wrote {path}", file=sys.stderr)
        return TableClip(args.seed), "a table with boxes, and its depth,"
    if args.calibrations:
        raise SettingsError("--calibrations belongs to --scene, whose camera is known; a clip's is not")
    if args.targets:
        return TargetClip(args.targets, size), f"{args.targets} targets and 4 others"
    return args.video, args.video
