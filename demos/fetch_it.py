r"""Fetch what is looked at for long enough, in the robot's frame where the stream has it: a simulated gripper.

gazecast simulate --scene table --calibrations table                               # each in a terminal of its own
gazecast run --source pupil://127.0.0.1:50020 --camera table/camera.json --depth pupil: --requests \
    --set tracker.dwell.steps=false                                          # the box, however long it is looked at
python demos/fetch_it.py --once --out fetch.png
"""

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from gripper import OPEN_M, Grasp, Gripper, draw

from realtime import MaskSubscriber, Requester
from realtime.errors import TransportError, WireError

MOVED_M, SAME_M, SILENCE_S = 0.004, 0.02, 1.0


def main() -> None:
    """Fetch until there were enough, or until Ctrl-C."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--stream", default="tcp://127.0.0.1:5571", help="of gazecast run")
    flags.add_argument("--requests", default="tcp://127.0.0.1:5572", help="of gazecast run --requests")
    flags.add_argument("--look", type=float, default=1.0, metavar="S", help="fetch what is locked for so long; 1")
    flags.add_argument("--once", action="store_true", help="one thing; else until Ctrl-C")
    flags.add_argument("--out", type=Path, metavar="FILE.png", help="draw the last one")
    args, gripper = flags.parse_args(), Gripper()
    with MaskSubscriber(args.stream, ("object3d", "health")) as stream, Requester(args.requests) as run:
        while not fetched(stream, run, gripper, args.look, args.out) or not args.once:
            pass


def fetched(stream: MaskSubscriber, run: Requester, gripper: Gripper, look_s: float, out: Path | None) -> bool:
    """Go to the next thing, close, and go home; False if that had to be given up."""
    grasp = looked_at(stream, look_s)
    try:
        run.hold(grasp.thing.object)
        picture = run.snapshot()
        for where in ("above_m", "centre_m"):
            grasp = follow(stream, gripper, grasp, where)
        gripper.opening_m = grasp.width_m
        print(json.dumps({"object": grasp.thing.object, "frame": grasp.thing.frame.index, "frame_id": grasp.frame_id,
                          "at_m": gripper.path_m[-1].tolist(), "width_m": grasp.width_m}), flush=True)  # fmt: skip
        return out is None or draw(out, picture, grasp, gripper)
    except (LookupError, WireError) as reason:
        print(f"given up: {reason}", file=sys.stderr)
        return False
    finally:  # whatever happened, Ctrl-C too
        with suppress(WireError, TransportError):
            run.release()
        gripper.go_home()


def looked_at(stream: MaskSubscriber, look_s: float) -> Grasp:
    """Wait for a thing that is locked, and of one size, for so long; it must fit between the fingers."""
    since = None
    while True:
        if (thing := stream.newest("object3d", timeout_s=SILENCE_S)) is None:
            health = stream.newest("health", timeout_s=0)
            print(f"waiting: {health.reason or health.state if health else 'no stream'}", file=sys.stderr)
        grasp = Grasp.of(thing) if thing is not None and thing.state == "locked" else None
        if grasp is None or grasp.width_m > OPEN_M:
            since = None
        elif since is None or thing.object != since.thing.object or abs(grasp.width_m - since.width_m) > SAME_M:
            since = grasp
        elif thing.captured_ns - since.thing.captured_ns >= look_s * 1e9:
            return grasp


def follow(stream: MaskSubscriber, gripper: Gripper, grasp: Grasp, where: str) -> Grasp:
    """Move to a place of the thing, and plan anew whenever it has moved; `LookupError` when it is lost."""
    gripper.aim(getattr(grasp, where))
    heard_s = time.monotonic()
    while gripper.move():
        thing = stream.newest("object3d", timeout_s=0.02)
        if thing is not None and (thing.object != grasp.thing.object or thing.state == "lost"):
            raise LookupError(f"object {grasp.thing.object} was lost")
        if thing is not None and (newest := Grasp.of(thing, grasp.frame_id)) is not None:
            grasp, heard_s = newest, time.monotonic()
        if time.monotonic() - heard_s > SILENCE_S:
            raise LookupError(f"nothing was heard of object {grasp.thing.object} for {SILENCE_S:g} s")
        if np.linalg.norm(getattr(grasp, where) - gripper.goal_m) > MOVED_M:
            gripper.aim(getattr(grasp, where))
    return grasp


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main()
    except (TransportError, OSError) as error:
        sys.exit(f"fetch_it: {error}" + "; is there a run with --requests?" * isinstance(error, TransportError))
