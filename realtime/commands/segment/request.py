"""Reads from the flags of `gazecast segment` which masks or edges are wanted of every picture."""

from __future__ import annotations

import argparse
import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engines import Prompt
from engines.automatic_masks import AutomaticSettings
from engines.automatic_masks.edges import EDGE_SETTINGS
from engines.automatic_masks.proposals import PROPOSAL_SETTINGS
from engines.letterbox import MODEL_SIDE
from realtime.errors import SettingsError

Kind = Literal["prompt", "everything", "edges", "proposals", "names", "text"]
PROMPT_SIDE = 640
"""Picture side for a point or a box: one mask is wanted soon. All objects of a picture take longer anyway."""
TUNED = {
    "points_per_side": ("N", "a grid of N x N clicks (default 32; 16 for --edges)"),
    "least_predicted_iou": ("X", "minimum IoU that the model predicts for a mask (default 0.88; 0.5 for --proposals)"),
    "least_stability": ("X", "minimum stability of a mask against its threshold (default 0.95; 0.6 for --proposals)"),
    "crop_layers": ("N", "segment 4, 16, ... crops of the picture, too, for small objects (default 0)"),
    "smallest_region_px": ("PX", "fill smaller holes and drop smaller islands (default 0)"),
}
"""Fields of `AutomaticSettings` that have a flag."""
WORD_SETTINGS = AutomaticSettings(points_per_side=16)
"""Of the masks that a recognizer without boxes scores by a word."""
_SETTINGS = {"everything": AutomaticSettings(), "edges": EDGE_SETTINGS, "proposals": PROPOSAL_SETTINGS}
_KIND_OF_FLAG: dict[str, Kind] = {
    "everything": "everything", "point": "prompt", "not": "prompt", "box": "prompt", "edges": "edges",
    "proposals": "proposals", "names": "names", "text": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class PictureRequest:
    """Holds the kind of result and its options; None of those that the kind does not have.

    suffix: of the names of the files that are written, so that no kind replaces another's.
    """

    kind: Kind
    picture_side: int
    prompt: Prompt | None = None
    settings: AutomaticSettings | None = None
    word: str = ""
    recognizer: str = "nanodet"

    @property
    def suffix(self) -> str:
        """Return the part of file names that tells the kind."""
        if self.kind in ("prompt", "everything"):
            return ""
        word = re.sub(r"\W+", "-", self.word.lower()).strip("-")
        return f".{self.kind}-{word}" if word else f".{self.kind}"

    def describe(self) -> dict[str, Any]:
        """Describe kind and options, as JSON."""
        if self.settings is not None:
            recognized = {"text": self.word, "recognizer": self.recognizer} if self.kind == "text" else {}
            return {**recognized, "everything" if recognized else self.kind: dataclasses.asdict(self.settings)}
        if self.prompt is None:
            return {self.kind: self.word or True}
        box = {} if self.prompt.box_px is None else {"box": self.prompt.box_px.tolist()}
        points = {"points": self.prompt.points_px.tolist(), "labels": self.prompt.labels.tolist()}
        return {"prompt": {**points, **box}}


def read_request(args: argparse.Namespace) -> PictureRequest:
    """Read the request from the flags; raises `SettingsError` for those that exclude each other."""
    kind = _read_kind(args)
    # SAM's own encoders attend to the whole square, so a smaller picture saves them nothing
    is_small = kind == "prompt" and args.model == "mobile_sam"
    side = (PROMPT_SIDE if is_small else MODEL_SIDE) if args.picture_side is None else args.picture_side
    word = " ".join((args.text or "").split())
    if kind == "text" and not any(map(str.isalnum, word)):
        raise SettingsError(f"--text wants a word, such as cup, got {args.text!r}")
    prompt = _read_prompt(args) if kind == "prompt" else None
    recognizer = args.recognizer or "nanodet"
    if args.recognizer and kind not in ("names", "text"):
        raise SettingsError("--recognizer is of --text")
    if recognizer != "nanodet" and kind == "names":
        raise SettingsError(f"--names needs the boxes of nanodet; give {recognizer} a word: --text WORD")
    settings = WORD_SETTINGS if kind == "text" and recognizer != "nanodet" else _read_settings(args, kind)
    return PictureRequest(kind, side, prompt, settings, word, recognizer)


def _read_kind(args: argparse.Namespace) -> Kind:
    """Return the one kind that is asked for; --point, --not and --box are one together."""
    asked = {kind: f"--{flag}" for flag, kind in _KIND_OF_FLAG.items() if _is_given(args, flag)}
    if not asked:
        raise SettingsError(
            "choose what to segment: --everything, --point or --box, --edges, --proposals, --names or --text WORD"
        )
    if len(asked) > 1:
        one, other, *_ = asked.values()
        raise SettingsError(f"choose what to segment: either {one} or {other}, not both")
    return next(iter(asked))


def _is_given(args: argparse.Namespace, flag: str) -> bool:
    value = getattr(args, "off" if flag == "not" else flag)
    return value is not None and value is not False and value != []


def _read_prompt(args: argparse.Namespace) -> Prompt:
    """Read the prompt of --point, --not and --box."""
    if not (args.point or args.box):
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


def _read_settings(args: argparse.Namespace, kind: Kind) -> AutomaticSettings | None:
    chosen = {name: getattr(args, name) for name in TUNED if getattr(args, name) is not None}
    for name in chosen:
        kinds = [each for each in _SETTINGS if each != "edges" or name == "points_per_side"]
        if kind not in kinds:
            raise SettingsError(f"--{name.replace('_', '-')} is for {' and '.join(f'--{each}' for each in kinds)}")
    try:
        return dataclasses.replace(_SETTINGS[kind], **chosen) if kind in _SETTINGS else None
    except ValueError as error:
        raise SettingsError(f"--{str(error).replace('_', '-', 2)}") from error
