r"""Fetch an object that the eyes have locked, in the robot's frame where the stream has it: a simulated gripper.

gazecast simulate --scene table --calibrations table                               # each in a terminal of its own
gazecast run --source pupil://127.0.0.1:50020 --camera table/camera.json --depth pupil: --requests \
    --set tracker.dwell.steps=false                                          # the box, not a part of it
python demos/fetch_it.py --once --out fetch.png                              # --confirmed: what the wearer confirms
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
    flags.add_argument("--confirmed", action="store_true", help="fetch what the wearer confirms, instead")
    flags.add_argument("--once", action="store_true", help="one object; else until Ctrl-C")
    flags.add_argument("--out", type=Path, metavar="FILE.png", help="draw the last one")
    args, gripper = flags.parse_args(), Gripper()
    fetched: set[int] | None = set() if args.confirmed else None
    with MaskSubscriber(args.stream, ("object3d", "health")) as stream, Requester(args.requests) as run:
        while not fetch_object(stream, run, gripper, args.look, args.out, fetched) or not args.once:
            pass


def fetch_object(
    stream: MaskSubscriber, run: Requester, gripper: Gripper, look_s: float, out: Path | None,
    fetched: set[int] | None = None,
) -> bool:  # fmt: skip
    """Fetch the next object and go home; False if the object or the stream was lost."""
    grasp = wait_for_grasp(stream, look_s, fetched)
    try:
        run.hold(grasp.message.object)
        picture = run.snapshot()
        for where in ("above_m", "centre_m"):
            grasp = follow_object(stream, gripper, grasp, where)
        gripper.opening_m = grasp.width_m
        print(json.dumps({"object": grasp.message.object, "frame": grasp.message.frame.index,
                          "frame_id": grasp.frame_id, "at_m": gripper.path_m[-1].tolist(),
                          "width_m": grasp.width_m}), flush=True)  # fmt: skip
        return out is None or draw(out, picture, grasp, gripper)
    except (LookupError, WireError) as reason:
        print(f"given up: {reason}", file=sys.stderr)
        return False
    finally:  # whatever happened, Ctrl-C too
        with suppress(WireError, TransportError):
            run.release()
        gripper.go_home()


def wait_for_grasp(stream: MaskSubscriber, look_s: float, fetched: set[int] | None = None) -> Grasp:
    """Wait for an object that was locked, with a constant size, for `look_s`; it must fit between the fingers.

    fetched: numbers of the confirmations that were acted on; the next one is waited for then, and no long look.
    """
    since = None
    while True:
        if (message := stream.newest("object3d", timeout_s=SILENCE_S)) is None:
            health = stream.newest("health", timeout_s=0)
            print(f"waiting: {health.reason or health.state if health else 'no stream'}", file=sys.stderr)
        if fetched is not None:
            confirmed = message.confirmed if message is not None else None
            if confirmed is not None and confirmed.number not in fetched and (grasp := Grasp.of(message)):
                fetched.add(confirmed.number)
                if grasp.width_m <= OPEN_M:
                    return grasp
            continue
        grasp = Grasp.of(message) if message is not None and message.state == "locked" else None
        if grasp is None or grasp.width_m > OPEN_M:
            since = None
        elif since is None or message.object != since.message.object or abs(grasp.width_m - since.width_m) > SAME_M:
            since = grasp
        elif message.captured_ns - since.message.captured_ns >= look_s * 1e9:
            return grasp


def follow_object(stream: MaskSubscriber, gripper: Gripper, grasp: Grasp, where: str) -> Grasp:
    """Move to a point of the grasp, and plan again whenever it has moved; raises `LookupError` when it is lost."""
    gripper.aim(getattr(grasp, where))
    received_s = time.monotonic()
    while gripper.move():
        message = stream.newest("object3d", timeout_s=0.02)
        if message is not None and (message.object != grasp.message.object or message.state == "lost"):
            raise LookupError(f"object {grasp.message.object} was lost")
        if message is not None and (newest := Grasp.of(message, grasp.frame_id)) is not None:
            grasp, received_s = newest, time.monotonic()
        if time.monotonic() - received_s > SILENCE_S:
            raise LookupError(f"nothing was received of object {grasp.message.object} for {SILENCE_S:g} s")
        if np.linalg.norm(getattr(grasp, where) - gripper.goal_m) > MOVED_M:
            gripper.aim(getattr(grasp, where))
    return grasp


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            main()
    except (TransportError, OSError) as error:
        sys.exit(f"fetch_it: {error}" + "; is there a run with --requests?" * isinstance(error, TransportError))
