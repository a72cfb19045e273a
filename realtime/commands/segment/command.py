"""Implements `gazecast segment`: segments pictures automatically or from a prompt; writes COCO JSON and a PNG."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Decoder, Encoder, Image, Prompt, PromptError, load, weights
from engines.automatic_masks import (
    AutomaticMask,
    AutomaticSettings,
    generate_image_masks,
    run_to_end,
    segment_prompt,
)
from engines.letterbox import MODEL_SIDE
from engines.pictures import PictureError, is_picture, read_picture
from realtime.commands.config_flags import Verbs, add_engine_flags, add_parser, read_engine_settings
from realtime.commands.export.coco_json import OBJECT, CocoAnnotation, CocoImage, build_dataset, write_json
from realtime.commands.segment.instance_overlay import draw_instances
from realtime.errors import RunFailed, SettingsError
from realtime.infra.output import print_line
from realtime.infra.progress import EngineProgress, TerminalProgress
from realtime.media.files import write_atomically

FOLDER = Path("segment-out")
PROMPT_SIDE = 640
"""Picture side for a point or a box: one mask is wanted soon. All objects of a picture take longer anyway."""
_TUNED = {
    "points_per_side": ("N", "a grid of N x N clicks (default 32)"),
    "least_predicted_iou": ("X", "minimum IoU that the model predicts for a mask (default 0.88)"),
    "least_stability": ("X", "minimum stability of a mask against its threshold (default 0.95)"),
    "crop_layers": ("N", "segment 4, 16, ... crops of the picture, too, for small objects (default 0)"),
    "smallest_region_px": ("PX", "fill smaller holes and drop smaller islands (default 0)"),
}
"""Fields of `AutomaticSettings` that have a flag."""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `segment` to the verbs of `gazecast`."""
    parser = add_parser(verbs, "segment", _segment, "segment pictures: automatically, or from points or a box")
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="one or more picture files")
    add("--everything", action="store_true", help="every object that the model finds")
    add("--point", action="append", default=[], metavar="X,Y", help="a pixel of the object; may be repeated")
    add("--not", action="append", default=[], dest="off", metavar="X,Y", help="a pixel outside the object")
    add("--box", metavar="X0,Y0,X1,Y1", help="a box around the object, pixels")
    add("--out", type=Path, default=FOLDER, metavar="DIR", help=f"where NAME.json and NAME.png go (default {FOLDER})")
    add_engine_flags(parser, "--engine")
    add("--picture-side", type=int, metavar="PX", help="longest side at which pictures are encoded, 224 to 1024 "
        f"(default {MODEL_SIDE} with --everything and for SAM's own encoders, else {PROMPT_SIDE}); half takes a "
        "quarter of the time")  # fmt: skip
    add("--json", action="store_true", help="nothing but one line of JSON a picture on stdout")
    kinds = {field.name: type(field.default) for field in dataclasses.fields(AutomaticSettings)}
    for name, (metavar, text) in _TUNED.items():
        add(f"--{name.replace('_', '-')}", type=kinds[name], metavar=metavar, help=text)


def _segment(args: argparse.Namespace) -> None:
    prompt, settings = _read_prompt(args), _read_settings(args)
    terminal = TerminalProgress()
    files = _select_pictures(args.images, terminal)
    targets = _choose_targets(files, args.out)
    masks, left_out = 0, len(args.images) - len(files)
    with ExitStack() as stack:
        stack.callback(terminal.stop)
        encoder, decoder = _open_engine(args, _read_first(files), terminal)
        stack.callback(encoder.close)
        stack.callback(decoder.close)
        for file, target in targets.items():
            begin = time.perf_counter()
            try:
                image = _read_picture(file)
                found = _find_masks(encoder, decoder, image, prompt, settings, file, terminal)
            except (RunFailed, SettingsError) as error:  # an error in one picture must not end the others
                if len(args.images) == 1:
                    raise
                terminal.show_line(f"gazecast: {error}")
                left_out += 1
                continue
            _write(file, image, found, prompt, target, _describe(encoder, prompt, settings))
            masks += len(found)
            _print_result(file, target, len(found), time.perf_counter() - begin, args.json)
    if left_out:
        raise RunFailed(f"{left_out} of {len(args.images)} pictures were left out")
    if not masks:
        lower = "lower --least-predicted-iou or --least-stability" if prompt is None else "choose another place"
        raise RunFailed(f"nothing was found; {lower}")


def _read_prompt(args: argparse.Namespace) -> Prompt | None:
    """Read the prompt of --point, --not and --box; None for --everything."""
    asked = bool(args.point or args.off or args.box)
    if asked == args.everything:
        both = "either --everything or points and a box, not both" if asked else "--everything, --point or --box"
        raise SettingsError(f"choose what to segment: {both}")
    if args.everything:
        return None
    if args.off and not (args.point or args.box):
        raise SettingsError("--not excludes parts of an object; name the object with --point or --box")
    on = [_parse_numbers("point", text, 2) for text in args.point]
    off = [_parse_numbers("not", text, 2) for text in args.off]
    points = np.array(on + off, np.float32).reshape(-1, 2)
    labels = np.array([1] * len(on) + [0] * len(off), np.int8)
    box = None if args.box is None else np.array(_parse_numbers("box", args.box, 4), np.float32)
    return Prompt(points, labels, box)


def _parse_numbers(flag: str, text: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise SettingsError(f"--{flag} wants {'X,Y' if count == 2 else 'X0,Y0,X1,Y1'} in pixels, got {text!r}")
    return numbers


def _read_settings(args: argparse.Namespace) -> AutomaticSettings:
    chosen = {name: getattr(args, name) for name in _TUNED if getattr(args, name) is not None}
    if chosen and not args.everything:
        raise SettingsError(f"--{next(iter(chosen)).replace('_', '-')} is for --everything")
    try:
        return AutomaticSettings(**chosen)
    except ValueError as error:
        raise SettingsError(f"--{str(error).replace('_', '-', 2)}") from error


def _select_pictures(files: Sequence[Path], terminal: TerminalProgress) -> list[Path]:
    """Leave out and report what is no picture; raises `SettingsError` where none is one."""
    reasons = {file: reason for file in files if (reason := _find_flaw(file))}
    if len(reasons) == len(set(files)):
        raise SettingsError("; ".join(reasons.values()))
    for reason in reasons.values():
        terminal.show_line(f"gazecast: {reason}")
    return [file for file in files if file not in reasons]


def _find_flaw(file: Path) -> str:
    """Say why a file cannot be a picture; empty if it can."""
    if file.is_dir():
        return f"{file} is a folder; name its pictures: {file}/*.jpg"
    if not file.is_file():
        return f"{file} is no file" if file.exists() else f"there is no picture {file}"
    if not is_picture(file):
        return f"{file} is no picture that can be read; expected JPEG, PNG, WebP, TIFF or BMP"
    return ""


def _choose_targets(files: Sequence[Path], out: Path) -> dict[Path, tuple[Path, Path]]:
    """Return each picture's JSON and PNG file; raises `SettingsError` for files that cannot be written."""
    stems = [file.stem for file in files]
    for file in files:
        if stems.count(file.stem) > 1:
            raise SettingsError(f"two pictures are called {file.stem}; give each folder's pictures their own --out")
    targets = {file: (out / f"{file.stem}.json", out / f"{file.stem}.png") for file in files}
    inputs = {file.resolve() for file in files}
    for path in chain(*targets.values()):
        if path.resolve() in inputs:
            raise SettingsError(f"{path} would be written over the picture itself; choose another --out")
        if path.resolve().is_dir():
            raise SettingsError(f"{path} is a folder; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise SettingsError(f"cannot write into {out}: {error.strerror or error}; choose another --out") from None
    return targets


def _read_picture(file: Path) -> Image:
    try:
        return read_picture(file)
    except PictureError as error:
        raise RunFailed(str(error)) from None


def _read_first(files: Sequence[Path]) -> Image:
    """Read the first readable picture, for whose shape the engine is opened."""
    for file in files[:-1]:
        with suppress(RunFailed):
            return _read_picture(file)
    return _read_picture(files[-1])


def _open_engine(args: argparse.Namespace, first: Image, terminal: TerminalProgress) -> tuple[Encoder, Decoder]:
    # encoder and decoder never run at the same time here, so each may use all cores
    if args.picture_side is None:
        # SAM's own encoders attend to the whole square, so a smaller picture saves them nothing.
        args.picture_side = PROMPT_SIDE if args.model == "mobile_sam" and not args.everything else MODEL_SIDE
    settings = read_engine_settings(args, os.cpu_count() or 1)
    folder = None
    if args.backend != "fake":
        folder = weights.pull_model(args.model, root=args.models, report=terminal.show_bytes)
    return load(settings, folder, frame_size=(first.shape[1], first.shape[0]), report=EngineProgress(terminal))


def _find_masks(
    encoder: Encoder, decoder: Decoder, image: Image, prompt: Prompt | None, settings: AutomaticSettings, file: Path,
    terminal: TerminalProgress,
) -> tuple[AutomaticMask, ...]:  # fmt: skip
    if prompt is None:
        steps = generate_image_masks(encoder, decoder, image, settings)
        return run_to_end(steps, lambda step: terminal.show_steps(step.done, step.total, file.name))
    try:
        found = segment_prompt(decoder, encoder.encode(image), prompt)
    except PromptError as error:
        raise SettingsError(f"{file}: {error}") from error
    return (found,) if found.area_px else ()


def _write(
    file: Path, image: Image, found: Sequence[AutomaticMask], prompt: Prompt | None, target: tuple[Path, Path],
    info: dict[str, Any],
) -> None:  # fmt: skip
    """Write the PNG before the JSON, so that a program that waits for the JSON finds both."""
    ok, png = cv2.imencode(".png", draw_instances(image, found, prompt))
    if not ok:
        raise RunFailed(f"{target[1]} could not be encoded as PNG")
    write_atomically(target[1], png.tobytes())
    picture = CocoImage(1, file.name, image.shape[1], image.shape[0])
    annotations = (
        CocoAnnotation(1, number, each.mask, OBJECT.id, each.predicted_iou, each.stability_score, each.point_coords,
                       each.crop_box) for number, each in enumerate(found, 1)
    )  # fmt: skip
    write_json(target[0], build_dataset([picture], annotations, info=info))


def _describe(encoder: Encoder, prompt: Prompt | None, settings: AutomaticSettings) -> dict[str, Any]:
    """Describe engine and settings, for the file's `info`."""
    engine = encoder.info
    made = {
        "description": "masks by gazecast segment",
        "engine": f"{engine.backend} {engine.precision}",
        "model": engine.model,
        "picture_side": engine.picture_side,
    }
    if prompt is None:
        return {**made, "everything": dataclasses.asdict(settings)}
    box = {} if prompt.box_px is None else {"box": prompt.box_px.tolist()}
    return {**made, "prompt": {"points": prompt.points_px.tolist(), "labels": prompt.labels.tolist(), **box}}


def _print_result(file: Path, target: tuple[Path, Path], masks: int, seconds: float, as_json: bool) -> None:
    if as_json:
        line = {"image": str(file), "masks": masks, "seconds": round(seconds, 2)}
        print_line(json.dumps({**line, "json": str(target[0]), "png": str(target[1])}))
    else:
        count = "1 mask" if masks == 1 else f"{masks} masks"
        print_line(f"{file}: {count} in {seconds:.1f} s, wrote {target[0]} and {target[1].name}")
