"""Implements the verbs on recordings: `gazecast replay`, `review`, `export`, `import`, `plot`."""

from __future__ import annotations

import argparse
import math
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import EngineSettings
from realtime.commands.config_flags import (
    MODELS_HELP,
    Verbs,
    add_config_flags,
    add_parser,
    add_share_flag,
    add_view_flags,
    check_gpu,
    read_config,
)
from realtime.commands.open_page import open_in_browser, show_address
from realtime.config.schema import RunConfig
from realtime.config.viewer import ViewSettings
from realtime.errors import SettingsError
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.output import print_line
from realtime.infra.progress import ProgressReporter, TerminalProgress

if TYPE_CHECKING:
    from realtime.commands.export.everything import EverythingAnnotator
    from realtime.commands.export.targets import ExportTargets

BESIDE = Path()
"""The value of a flag without a file name: the recording's name with another ending."""
POLL_S = 0.1
_EXPORTS = {
    "video": (".mp4", "OUT.mp4", "every frame with its mask drawn"),
    "csv": (".csv", "OUT.csv", "a row for each visit of an object"),
    "coco": ("-coco", "DIR", "pictures and masks as COCO with SA-1B's fields"),
    "yolo": ("-yolo", "DIR", "pictures and outlines for YOLO's segmentation task"),
    "label_studio": ("-label-studio", "DIR", "pictures, tasks and brush masks for Label Studio"),
    "ros2": ("-ros2.mcap", "OUT.mcap", "a bag for ROS 2 and Foxglove"),
}
"""Flag -> default ending, placeholder and help."""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `replay`, `review`, `export`, `import` and `plot` to the verbs of `gazecast`."""
    for add in (_add_replay, _add_review, _add_export, _add_import, _add_plot):
        add(verbs).add_argument("--identity", type=Path, metavar="FILE", help="identity, or passphrase, that an "
                                "encrypted recording is read with")  # fmt: skip


def review(
    settings: ViewSettings,
    file: Path,
    progress: ProgressReporter,
    *,
    browser: bool = False,
    stop: threading.Event | None = None,
    identity: Path | None = None,
    engine: EngineSettings | None = None,
    models: Path | None = None,
    confident: float | None = None,
) -> None:
    """Serve the page of a recording until an interrupt or until `stop` is set; browser: open it there.

    identity: as of `RecordingReader`. engine: corrects masks, opened once it is needed, with weights in `models`.
    confident: mean confidence from which on a visit needs no answer, 0..1; None for the usual one.

    Raises `RecordingError` and `ViewerError` when it cannot start.
    """
    from realtime.commands.replay import describe_recording
    from realtime.correction.journal import corrections_path
    from realtime.correction.review_tasks import CONFIDENT
    from realtime.recording.labels import labels_path
    from realtime.session.engine import open_engine
    from realtime.viewer.review_page import ReviewPage

    stop = stop or threading.Event()
    open_pair = partial(open_engine, engine or EngineSettings(), models, None, progress)
    least = CONFIDENT if confident is None else confident
    with (
        InterruptHandler() as interrupts,
        closing(ReviewPage(settings, file, identity=identity, open_engine=open_pair, confident=least)) as page,
    ):
        progress.show_line(describe_recording(page.timeline.recording))
        show_address(page.address, progress)
        if browser:
            open_in_browser(page.address, progress)
        progress.show_line(
            f"answers are saved at once, in {corrections_path(file).name} and {labels_path(file)}; Ctrl-C stops"
        )
        while not (stop.is_set() or interrupts.is_requested):
            stop.wait(POLL_S)


def _add_replay(verbs: Verbs[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = add_parser(verbs, "replay", _replay, "run a recording through the pipeline again")
    parser.add_argument("file", type=Path, help="what `run --record` wrote")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--fast", action="store_true", help="as fast as possible, every frame on the recording's own time")
    how.add_argument("--exact", action="store_true", help="do exactly what the run did, and compare its masks")
    add_config_flags(parser, sources=False)
    parser.add_argument("--out", type=Path, metavar="FILE", help="record it anew into this file")
    parser.add_argument("--json", action="store_true", help="print one JSON object a second instead of the live line")
    add_view_flags(parser, "serve the live page and print its address")
    return parser


def _add_review(verbs: Verbs[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = add_parser(
        verbs, "review", _review, "play a recording in the browser, name and drop its objects, correct masks"
    )
    parser.add_argument("file", type=Path, help="what `run --record` wrote; answers go into files beside it")
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml", help="settings; those of [view] and [engine] are used"
    )
    parser.add_argument("--engine", metavar="NAME", help="what corrects masks: openvino (default), tensorrt, ..., fake")
    parser.add_argument("--models", type=Path, metavar="DIR", help=MODELS_HELP)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as view.port=8771")
    parser.add_argument("--open", action="store_true", help="open the page in the browser, too")
    parser.add_argument("--report", action="store_true", help="print what the answers so far took, and serve no page")
    parser.add_argument(
        "--confident", type=float, metavar="SHARE", help="mean confidence from which on the masks of a visit count as "
        "right and Next (J) leaves them out, 0 to 1; default 0.8"
    )  # fmt: skip
    add_share_flag(parser)
    return parser


def _add_export(verbs: Verbs[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = add_parser(verbs, "export", _export, "make a video, a table of visits, a labelled data set, a ROS 2 bag")
    parser.add_argument("file", type=Path, help="what `run --record` wrote; NAME.labels.json beside it is applied")
    for name, (ending, metavar, text) in _EXPORTS.items():
        text = f"{text}; default NAME{ending}"
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, nargs="?", type=Path, const=BESIDE, metavar=metavar, help=text)
    parser.add_argument("--every", type=float, metavar="SECONDS", help="with a data set, the best mask of each "
                        "object in every so many seconds (default 1); 0 for all")  # fmt: skip
    parser.add_argument("--sa1b", action="store_true", help="with --coco, also a JSON file with SA-1B's fields for "
                        "each picture")  # fmt: skip
    parser.add_argument("--everything", nargs="?", type=int, const=32, metavar="POINTS", help="with --coco, also masks "
                        "of all that was not looked at, from so many clicks a side (default 32)")  # fmt: skip
    parser.add_argument("--engine", metavar="NAME", help="with --everything; see `review`")
    parser.add_argument("--models", type=Path, metavar="DIR", help=MODELS_HELP)
    parser.add_argument("--force", action="store_true", help="replace existing targets")
    parser.set_defaults(config=None, set=[])
    return parser


def _add_import(verbs: Verbs[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = add_parser(verbs, "import", _import, "bring masks back that were corrected in another program")
    parser.add_argument("file", type=Path, help="COCO's JSON, as `export --coco` wrote it and CVAT, FiftyOne, Datumaro "
                        "or others changed it; YOLO's data.yaml; or the JSON that Label Studio exports")  # fmt: skip
    parser.add_argument("recording", type=Path, help="what `run --record` wrote")
    parser.add_argument("--add", action="store_true", help="make new objects of masks that belong to none")
    return parser


def _add_plot(verbs: Verbs[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    parser = add_parser(verbs, "plot", _plot, "draw a recording: latencies, states, objects, where the gaze was")
    parser.add_argument("file", type=Path, help="what `run --record` wrote")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="default NAME.png")
    parser.add_argument("--force", action="store_true", help="replace existing targets")
    return parser


def _replay(args: argparse.Namespace) -> int:
    from realtime.commands.replay import describe_recording, read_recorded_config, replay_exactly
    from realtime.commands.terminal import JsonView, LineView
    from realtime.recording.reader import RecordingReader
    from realtime.session.engine import apply_adapter
    from realtime.session.run import run

    if args.exact and (args.view or args.open or args.json):
        raise SettingsError("--exact computes and compares; there is nothing live for --view, --open or --json")
    recording = RecordingReader(args.file, args.identity)
    view = JsonView(args.open) if args.json else LineView(args.open)
    view.progress.show_line(describe_recording(recording))
    recorded = read_recorded_config(recording)
    config = apply_adapter(read_config(args, recorded))
    check_gpu(config.engine)
    if args.exact:
        if config.adapter is not None:  # the recording has its ranker, whatever the file learned since
            choice = replace(config.tracker.choice, ranker=recorded.tracker.choice.ranker)
            config = replace(config, tracker=replace(config.tracker, choice=choice))
        return int(not replay_exactly(recording, config, view.progress, args.out))
    if any(mark in f"{args.file}{args.identity or ''}" for mark in "?&"):
        raise SettingsError(f"{args.file}: names of files must not contain a question mark or an ampersand here")
    source = f"recording:{args.file}?realtime={int(not args.fast)}"
    source += f"&identity={args.identity}" if args.identity else ""
    run(replace(config, source=source, gaze="recording:", record=replace(config.record, file=args.out)), view)
    return 0


def _review(args: argparse.Namespace) -> None:
    if args.report:
        from realtime.correction.editor import load_answers
        from realtime.correction.loop_metrics import measure_loop

        for line in measure_loop([load_answers(args.file)[1]]).describe():
            print_line(line)
        return
    if args.confident is not None and not 0 <= args.confident <= 1:
        raise SettingsError(f"--confident wants a probability, 0 to 1, got {args.confident}")
    config = read_config(args, RunConfig())
    check_gpu(config.engine)
    review(
        config.view, args.file, TerminalProgress(), browser=args.open, identity=args.identity, engine=config.engine,
        models=config.models, confident=args.confident,
    )  # fmt: skip


def _export(args: argparse.Namespace) -> None:
    from realtime.commands.export.command import export
    from realtime.commands.replay import describe_recording
    from realtime.correction.editor import load_answers
    from realtime.recording.reader import RecordingReader

    targets = _read_targets(args)
    if args.everything is not None:
        targets = replace(targets, everything=_open_everything(args))
    recording, (labels, state) = RecordingReader(args.file, args.identity), load_answers(args.file)
    terminal = TerminalProgress()
    terminal.show_line(describe_recording(recording))
    for line in export(recording, labels, targets, terminal.console, state):
        print_line(line)


def _read_targets(args: argparse.Namespace) -> ExportTargets:
    from realtime.commands.export.targets import DATA_SETS, ExportTargets

    files = {name: getattr(args, name) for name in _EXPORTS}
    if not any(files.values()):
        raise SettingsError("name at least one export: --video, --csv, --coco, --yolo, --label-studio or --ros2")
    is_data_set = any(files[name] for name in DATA_SETS)
    if (args.sa1b and args.coco is None) or (args.every is not None and not is_data_set):
        raise SettingsError("--sa1b needs --coco, and --every needs --coco, --yolo or --label-studio")
    every_s = 1.0 if args.every is None else args.every
    if not 0 <= every_s < math.inf:
        raise SettingsError(f"--every wants seconds, 0 or more, got {args.every}")
    paths: dict[str, Any] = {
        name: _beside(args.file, _EXPORTS[name][0]) if file is BESIDE else file for name, file in files.items()
    }
    return ExportTargets(**paths, any_format=args.video is BESIDE, every_s=every_s, sa1b=args.sa1b, force=args.force)


def _import(args: argparse.Namespace) -> None:
    from realtime.commands.import_masks.command import import_masks
    from realtime.recording.reader import RecordingReader

    recording = RecordingReader(args.recording, args.identity)
    for line in import_masks(args.file, recording, should_add=args.add).lines():
        print_line(line)


def _open_everything(args: argparse.Namespace) -> EverythingAnnotator:
    from engines.automatic_masks.settings import AutomaticSettings
    from realtime.commands.export.everything import EverythingAnnotator
    from realtime.session.engine import open_engine

    if args.coco is None:
        raise SettingsError("--everything needs --coco")
    try:
        chosen = AutomaticSettings(points_per_side=args.everything)
    except ValueError as error:
        raise SettingsError(f"--everything: {error}") from None
    config = read_config(args, RunConfig())
    check_gpu(config.engine)
    return EverythingAnnotator(*open_engine(config.engine, config.models, None, TerminalProgress()), chosen)


def _plot(args: argparse.Namespace) -> None:
    from realtime.commands.plot.command import plot
    from realtime.recording.labels import load_labels
    from realtime.recording.reader import RecordingReader

    recording = RecordingReader(args.file, args.identity)
    print_line(str(plot(recording, load_labels(args.file), args.out or _beside(args.file, ".png"), force=args.force)))


def _beside(recording: Path, ending: str) -> Path:
    return recording.with_name(recording.stem + ending)
