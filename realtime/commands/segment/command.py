"""Implements `gazecast segment`: masks, edges, proposals or named objects of pictures, as JSON and PNG files."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engines import Decoder, Encoder, EngineSettings, Image, load, weights
from engines.automatic_masks import AutomaticSettings
from engines.letterbox import MODEL_SIDE
from engines.recognition.base import ObjectRecognizer
from engines.settings import CLIP_MODELS
from realtime.commands.config_flags import Verbs, add_engine_flags, add_parser, read_engine_settings
from realtime.commands.segment.named_objects import NameTask, WordTask
from realtime.commands.segment.picture_files import (
    choose_targets,
    list_files,
    load_picture,
    select_pictures,
)
from realtime.commands.segment.request import PROMPT_SIDE, TUNED, PictureRequest, read_request
from realtime.commands.segment.result_files import ResultFiles
from realtime.commands.segment.tasks import EdgeTask, MaskTask, OnStep, PictureTask, ProposalTask
from realtime.errors import RunFailed, SettingsError
from realtime.infra.output import print_line
from realtime.infra.progress import EngineProgress, TerminalProgress

FOLDER = Path("segment-out")


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `segment` to the verbs of `gazecast`."""
    about = "segment pictures: automatically, from points or a box, by names, or into edges"
    parser = add_parser(verbs, "segment", _segment, about)
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="one or more picture files, or folders of pictures")
    add("--everything", action="store_true", help="every object that the model finds")
    add("--point", action="append", default=[], metavar="X,Y", help="a pixel of the object; may be repeated")
    add("--not", action="append", default=[], dest="off", metavar="X,Y", help="a pixel outside the object")
    add("--box", metavar="X0,Y0,X1,Y1", help="a box around the object, pixels")
    add("--edges", action="store_true", help="a grey picture of the edges, NAME.edges.png")
    add("--proposals", action="store_true", help="up to 1000 ranked masks, as COCO results")
    add("--names", action="store_true", help="the objects that a detector of 80 names finds, with these names")
    add("--text", metavar="WORD", help="the objects of one of these names, or of a synonym")
    add("--recognizer", choices=("nanodet", *CLIP_MODELS),
        help="of --text: nanodet for 80 names (default), or CLIP, once fetched, for any word")  # fmt: skip
    add("--out", type=Path, default=FOLDER, metavar="DIR", help=f"where NAME.json and NAME.png go (default {FOLDER})")
    add("--force", action="store_true", help="compute anew what is finished, and replace other results")
    add_engine_flags(parser, "--engine")
    add("--picture-side", type=int, metavar="PX", help="longest side at which pictures are encoded, 224 to 1024 "
        f"(default {PROMPT_SIDE} with --point or --box and MobileSAM, else {MODEL_SIDE}); half takes a quarter of the "
        "time")  # fmt: skip
    add("--json", action="store_true", help="nothing but one line of JSON a picture on stdout")
    kinds = {field.name: type(field.default) for field in dataclasses.fields(AutomaticSettings)}
    for name, (metavar, text) in TUNED.items():
        add(f"--{name.replace('_', '-')}", type=kinds[name], metavar=metavar, help=text)


def _segment(args: argparse.Namespace) -> None:
    request = read_request(args)
    terminal = TerminalProgress()
    named = list_files(args.images)
    files = select_pictures(named, terminal)
    targets = choose_targets(files, args.out, request)
    run = _SegmentRun(args, request, terminal, len(named))
    run.left_out = len(named) - len(files)
    todo = run.keep_finished(targets)
    if todo:
        run.compute(todo)
    run.report_end()


class _SegmentRun:
    """Computes the pictures of one command, and counts masks and pictures left out."""

    def __init__(
        self, args: argparse.Namespace, request: PictureRequest, terminal: TerminalProgress, pictures: int
    ) -> None:
        """pictures: the number of those named."""
        self._args, self._request, self._terminal, self._pictures = args, request, terminal, pictures
        self.masks = self.left_out = 0
        # what decides the result, known before the engine is opened
        self._identity: dict[str, Any] = {
            "engine": [args.backend, args.model, args.precision],
            "picture_side": request.picture_side,
            **request.describe(),
        }

    def keep_finished(self, targets: dict[Path, ResultFiles]) -> dict[Path, ResultFiles]:
        """Report finished pictures and return the others; raises `SettingsError` for files that stay."""
        if self._args.force:
            return targets
        todo, obstacles = {}, []
        for file, target in targets.items():
            count = target.count_finished(self._identity, file)
            if count is not None:
                self.masks += count
                self._print_result(file, target, count, None)
                continue
            todo[file] = target
            # the result of another prompt is replaced, as trying prompts is quick
            if self._request.suffix and (obstacle := target.find_obstacle(self._identity, file)):
                obstacles.append(obstacle)
        if obstacles:
            more = f", and {len(obstacles) - 1} more of its kind" if len(obstacles) > 1 else ""
            raise SettingsError(
                f"{obstacles[0]} exists, and is not the result of these flags for this picture{more}; choose another "
                "--out, or replace it with --force"
            )
        return todo

    def compute(self, targets: dict[Path, ResultFiles]) -> None:
        """Compute and write the result of each picture; the engine is opened for the shape of the first one."""
        settings = _read_engine(self._args, self._request)
        with ExitStack() as stack:
            stack.callback(self._terminal.stop)
            task = _open_task(self._args, self._request, self._terminal, stack)
            engine: tuple[Encoder, Decoder] | None = None
            for number, (file, target) in enumerate(targets.items(), 1):
                begin = time.perf_counter()
                name = file.name if len(targets) == 1 else f"{file.name}, {number} of {len(targets)}"
                try:
                    image = load_picture(file)
                    if engine is None:
                        engine = _open_engine(self._args, settings, image, self._terminal, stack)
                        begin = time.perf_counter()
                    found = task.compute(*engine, image, file, self._show_step(name))
                except (RunFailed, SettingsError) as error:  # an error in one picture must not end the others
                    if self._pictures == 1:
                        raise
                    self._terminal.show_line(f"gazecast: {error}")
                    self.left_out += 1
                    continue
                target.write(self._identity, file, found.count, found.drawn, found.document)
                self.masks += found.count
                self._print_result(file, target, found.count, time.perf_counter() - begin)

    def _show_step(self, name: str) -> OnStep:
        return lambda step: self._terminal.show_steps(step.done, step.total, name)

    def report_end(self) -> None:
        """Raise `RunFailed` where pictures were left out, or where nothing was found that should be there."""
        if self.left_out:
            raise RunFailed(f"{self.left_out} of {self._pictures} pictures were left out")
        kind = self._request.kind
        if not self.masks and kind in ("prompt", "everything", "proposals"):
            lower = "choose another place" if kind == "prompt" else "lower --least-predicted-iou or --least-stability"
            raise RunFailed(f"nothing was found; {lower}")

    def _print_result(self, file: Path, target: ResultFiles, masks: int, seconds: float | None) -> None:
        """Print a line for a picture. seconds: None for one that was finished before."""
        if self._args.json:
            fields: dict[str, Any] = {"image": str(file)}
            if target.json is not None:
                fields["masks"] = masks
            fields |= {"seconds": round(seconds or 0, 2)} | ({"finished_before": True} if seconds is None else {})
            fields |= {} if target.json is None else {"json": str(target.json)}
            print_line(json.dumps({**fields, "png": str(target.png)}))
            return
        first, *others = target.paths
        names = " and ".join([str(first), *(path.name for path in others)])
        how = f"finished before, in {names}" if seconds is None else f"in {seconds:.1f} s, wrote {names}"
        print_line(f"{file}: {self._format_count(masks)}{',' if seconds is None else ''} {how}")

    def _format_count(self, masks: int) -> str:
        kind, word = self._request.kind, self._request.word
        if kind == "edges":
            return "edges"
        if word and not masks:
            return f"no {word}"
        count = "1 mask" if masks == 1 else f"{masks or 'no'} masks" if kind == "names" else f"{masks} masks"
        return f"{count} of {word}" if word else count


def _open_task(
    args: argparse.Namespace, request: PictureRequest, terminal: TerminalProgress, stack: ExitStack
) -> PictureTask:
    if request.kind == "edges":
        return EdgeTask(request)
    if request.kind == "proposals":
        return ProposalTask(request)
    if request.kind in ("names", "text"):
        recognizer = open_recognizer(args, terminal)
        stack.callback(recognizer.close)
        return NameTask(request, recognizer) if request.settings is None else WordTask(request, recognizer)
    return MaskTask(request)


def open_recognizer(args: argparse.Namespace, terminal: TerminalProgress) -> ObjectRecognizer:
    """Open the detector of objects, fetched at its first use, or CLIP where it was fetched; raises `EngineError`."""
    threads = os.cpu_count() or 1
    if args.recognizer in CLIP_MODELS:
        from engines.recognition.clip import ClipRecognizer

        name = CLIP_MODELS[args.recognizer]
        return ClipRecognizer(weights.model_folder(name, root=args.models), name, threads=threads)
    folder = weights.pull_model("nanodet", root=args.models, report=terminal.show_bytes)
    from engines.recognition.detector import ObjectDetector

    return ObjectDetector(folder, threads=threads)


def _read_engine(args: argparse.Namespace, request: PictureRequest) -> EngineSettings:
    # encoder and decoder never run at the same time here, so each may use all cores
    args.picture_side = request.picture_side
    return read_engine_settings(args, os.cpu_count() or 1)


def _open_engine(
    args: argparse.Namespace, settings: EngineSettings, first: Image, terminal: TerminalProgress, stack: ExitStack
) -> tuple[Encoder, Decoder]:
    folder = None
    if args.backend != "fake":
        folder = weights.pull_model(args.model, root=args.models, report=terminal.show_bytes)
    encoder, decoder = load(
        settings, folder, frame_size=(first.shape[1], first.shape[0]), report=EngineProgress(terminal)
    )
    stack.callback(encoder.close)
    stack.callback(decoder.close)
    return encoder, decoder
