"""Selects the gaze channels of an LSL stream by its description, and their units.

The words are those of the XDF gaze metadata (types `ScreenX`, `ScreenY`, `Confidence`, `Diameter`; units `pixels`,
`normalized`, `mm`), and those that bridges of trackers write in their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from realtime.errors import SourceError

Eye = Literal["both", "left", "right"]
LslUnit = Literal["px", "norm", "mm"]
_UNITS = {
    **dict.fromkeys(("px", "pixel", "pixels", "pix", "screenpixels"), "px"),
    **dict.fromkeys(("norm", "normalized", "normalised", "screencoords", "fraction", "ratio", "01"), "norm"),
    **dict.fromkeys(("percent", "percentage", "%"), "percent"),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), "mm"),
}
_EYES: dict[str, Eye] = {"left": "left", "l": "left", "right": "right", "r": "right"}
_GAZE_WORDS = frozenset(
    (
        *("gaze", "point", "of", "regard", "por", "pog", "pos", "position", "coordinate", "coord", "2d"),
        *("screen", "on", "display", "area", "scene", "world", "image", "video"),
        *("norm", "normalized", "normalised", "px", "pixel", "pixels"),
        *("left", "right", "both", "l", "r", "eye", "eyes", "avg", "average", "mean", "combined", "cyclopean"),
    )
)
"""Words of a label that names a coordinate of gaze; with any other it is something else."""
_BLINK_WORDS = frozenset(("blink", "blinking", "is", "closed", "eye", "eyes", "left", "right", "both", "l", "r"))
_NO_GAZE_WORDS = frozenset(("pupil", "origin", "openness", "diameter", "eyelid", "3d", "blink", "fixation", "head"))
_GAZEPOINT = re.compile(r"([BFLR])POG([XYV])")
"""Gazepoint's labels: best, fixation's, left and right point of gaze."""


@dataclass(frozen=True, slots=True)
class LslChannel:
    """Holds the description of one channel: its texts as the stream has them, empty where it has none."""

    label: str = ""
    kind: str = ""
    unit: str = ""
    eye: str = ""

    def __str__(self) -> str:
        """Show label, type and unit."""
        known = ", ".join(text for text in (self.kind, self.unit) if text)
        return (self.label or "unnamed") + (f" ({known})" if known else "")


@dataclass(frozen=True, slots=True)
class LslDescription:
    """Holds the description of a stream.

    count: channels that it sends, which may be more than it describes. size: width and height of its screen, px.
    """

    name: str
    count: int
    channels: tuple[LslChannel, ...] = ()
    is_text: bool = False
    size: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class LslOptions:
    """Holds what a user adds to a description.

    x, y: label or number of a channel. size: extent of the picture or screen in the stream's unit.
    """

    x: str | None = None
    y: str | None = None
    unit: LslUnit | None = None
    size: tuple[float, float] | None = None
    is_origin_bottom: bool | None = None


@dataclass(frozen=True, slots=True)
class EyeChannels:
    """Holds the numbers of one eye's channels. blink, validity, confidence, pupil: each may be absent or several."""

    x: int
    y: int
    validity: tuple[int, ...] = ()
    blink: tuple[int, ...] = ()
    confidence: tuple[int, ...] = ()
    pupil: tuple[int, ...] = ()

    @property
    def has_quality(self) -> bool:
        """Whether the stream marks samples without gaze by a channel."""
        return bool(self.validity or self.confidence)


@dataclass(frozen=True, slots=True)
class GazeChannels:
    """Holds what a sample is read by.

    eyes: one for both, or left and right, which are averaged. scale: to `unit`. is_origin_bottom: y points up.
    percent: channels whose confidence is 0..100.
    """

    eyes: tuple[EyeChannels, ...]
    unit: Literal["px", "norm"]
    scale: tuple[float, float] = (1.0, 1.0)
    is_origin_bottom: bool = False
    percent: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Axes:
    """Holds a pair of coordinates."""

    x: int
    y: int
    eye: Eye
    unit: str


def select_channels(stream: LslDescription, options: LslOptions | None = None) -> GazeChannels:
    """Select the gaze channels of a stream; raises `SourceError` with what is missing."""
    options = options or LslOptions()
    if stream.is_text:
        raise SourceError(f"the LSL stream {stream.name!r} sends text, no gaze")
    if stream.channels and len(stream.channels) != stream.count:
        raise SourceError(
            f"the LSL stream {stream.name!r} describes {len(stream.channels)} channels and sends {stream.count}; "
            "correct its description"
        )
    if options.x is not None and options.y is not None:
        x, y = (_find_channel(stream, text) for text in (options.x, options.y))
        chosen = [_Axes(x, y, "both", _read_unit(_channel(stream, x)))]
    else:
        chosen = _choose_axes(_list_axes(stream), options.unit)
    if not chosen:
        has = "; it has " + ", ".join(map(str, stream.channels)) if stream.channels else "; it describes none"
        raise SourceError(
            f"the LSL stream {stream.name!r} has no gaze channels{has}. If one is gaze, name it by label or number: "
            "lsl:NAME?x=0&y=1&unit=px"
        )
    unit, scale = _choose_scale(stream, chosen[0], options)
    y_label = _words(_channel(stream, chosen[0].y).label)
    is_bottom = options.is_origin_bottom
    if is_bottom is None:
        is_bottom = {"norm", "pos"} <= y_label  # Pupil's normalised coordinates have their origin bottom left
    elif is_bottom and unit == "px":
        raise SourceError("origin=bottom of pixels needs the height of the picture: add size=WIDTHxHEIGHT")
    return GazeChannels(
        tuple(_complete(stream, axes) for axes in chosen),
        unit,
        scale,
        is_bottom,
        frozenset(number for number, channel in enumerate(stream.channels) if _read_unit(channel) == "percent"),
    )


def _channel(stream: LslDescription, number: int) -> LslChannel:
    return stream.channels[number] if stream.channels else LslChannel()


def _find_channel(stream: LslDescription, text: str) -> int:
    """Return the number of a channel that an option names."""
    for number, channel in enumerate(stream.channels):
        if channel.label.lower() == text.lower():
            return number
    if text.isascii() and text.isdigit() and int(text) < stream.count:
        return int(text)
    has = ", ".join(channel.label for channel in stream.channels) or f"0 to {stream.count - 1}"
    raise SourceError(f"the LSL stream {stream.name!r} has no channel {text!r}; it has {has}")


def _list_axes(stream: LslDescription) -> list[_Axes]:
    """Return every pair of coordinates of one eye, the preferred ones first."""
    open_x: dict[tuple[Eye, str], int] = {}
    pairs = []
    for number, channel in enumerate(stream.channels):
        axis, eye = _read_axis(channel), _read_eye(channel)
        family = found[1] if (found := _GAZEPOINT.fullmatch(channel.label)) else _read_unit(channel)
        if axis == "x":
            open_x[eye, family] = number
        elif axis == "y" and (x := open_x.pop((eye, family), None)) is not None:
            pairs.append(_Axes(x, number, eye, _read_unit(channel)))
    # Gazepoint's best point is unfiltered; the fixation's, which often comes first, is late.
    return sorted(pairs, key=lambda pair: not stream.channels[pair.x].label.startswith("BPOG"))


def _choose_axes(pairs: list[_Axes], unit: str | None) -> list[_Axes]:
    """Choose the pair of both eyes, or one of each eye, in units that can be used where there are any."""
    usable = ("px", "norm", "percent", *((unit,) if unit else ()))
    pairs = [pair for pair in pairs if pair.unit in usable] or pairs
    if both := [pair for pair in pairs if pair.eye == "both"]:
        return both[:1]
    eyes = [next((pair for pair in pairs if pair.eye == eye), None) for eye in ("left", "right")]
    found = [pair for pair in eyes if pair is not None]
    return [pair for pair in found if pair.unit == found[0].unit]


def _read_axis(channel: LslChannel) -> str:
    """Return "x" or "y" for a coordinate of gaze, else ""."""
    kind = re.sub(r"[^a-z]", "", channel.kind.lower())
    if match := re.fullmatch(r"(?:screen|gaze|scene)(x|y)", kind):
        return match[1]
    if re.match(
        r"position|direction|intersection|pupil|diameter|radius|confidence|valid|quality|time|frame|object|blink", kind
    ) and not re.fullmatch(r"positions?", kind):
        return ""
    if match := _GAZEPOINT.fullmatch(channel.label):
        return match[2].lower() if match[2] in "XY" else ""
    words = _words(channel.label)
    axes = "".join(words & {"x", "y"})
    return axes if len(axes) == 1 and words - {"x", "y"} <= _GAZE_WORDS else ""


def _read_eye(channel: LslChannel) -> Eye:
    if eye := _EYES.get(channel.eye.strip().lower()):
        return eye
    if match := _GAZEPOINT.fullmatch(channel.label):
        return _EYES.get(match[1].lower(), "both")
    found = {_EYES[word] for word in _words(channel.label) if word in _EYES}
    return found.pop() if len(found) == 1 else "both"


def _read_unit(channel: LslChannel) -> str:
    """Return px, norm, percent, mm, another unit as it is written, or "" where there is none."""
    if channel.unit.strip():
        text = re.sub(r"[^a-z0-9%]", "", channel.unit.lower())
        # Gazepoint calls fractions of the screen percent.
        return "norm" if text == "percent" and _GAZEPOINT.fullmatch(channel.label) else _UNITS.get(text, channel.unit)
    words = _words(channel.label)
    if words & {"norm", "normalized", "normalised"}:
        return "norm"
    return "px" if words & {"px", "pixel", "pixels"} else ""


def _choose_scale(
    stream: LslDescription, axes: _Axes, options: LslOptions
) -> tuple[Literal["px", "norm"], tuple[float, float]]:
    """Return the unit of the samples, and the factors to it."""
    unit = options.unit or axes.unit
    size = options.size or (stream.size if unit == "px" else None)
    if unit in ("px", "mm") and size is not None:
        return "norm", (1 / size[0], 1 / size[1])
    if unit == "percent":
        return "norm", (0.01, 0.01)
    if unit == "norm":
        return "norm", (1.0, 1.0)
    if unit == "px":
        return "px", (1.0, 1.0)
    where = f"the gaze of the LSL stream {stream.name!r} ({_channel(stream, axes.x)}, {_channel(stream, axes.y)})"
    if not unit:
        raise SourceError(f"{where} has no unit; add it: lsl:NAME?unit=px, or unit=norm for 0..1")
    if unit == "mm":
        raise SourceError(f"{where} is in mm; add the size of the screen, mm: lsl:NAME?size=WIDTHxHEIGHT")
    raise SourceError(
        f"{where} is in {unit!r}, which is no place in the picture; let the tracker's bridge send pixels or 0..1"
    )


def _complete(stream: LslDescription, axes: _Axes) -> EyeChannels:
    """Add the channels that say whether a pair of coordinates is valid; those of one eye do not count for both."""
    found: dict[str, list[int]] = {"validity": [], "blink": [], "confidence": [], "pupil": []}
    family = match[1] if (match := _GAZEPOINT.fullmatch(_channel(stream, axes.x).label)) else ""
    for number, channel in enumerate(stream.channels):
        if number in (axes.x, axes.y) or _read_eye(channel) not in ("both", axes.eye):
            continue
        if match := _GAZEPOINT.fullmatch(channel.label):
            if match[2] == "V" and match[1] == family:
                found["validity"].append(number)
        elif role := _read_role(channel):
            found[role].append(number)
    return EyeChannels(axes.x, axes.y, **{role: tuple(numbers) for role, numbers in found.items()})


def _read_role(channel: LslChannel) -> str:
    """Return what a channel says of the gaze: validity, blink, confidence or pupil; else ""."""
    words, kind = _words(channel.label), channel.kind.lower()
    if ("blink" in words and words <= _BLINK_WORDS) or kind == "blink":
        return "blink"
    if kind in ("diameter", "pupilsize", "pupildiameter") or ("pupil" in words and words & {"diameter", "size"}):
        return "pupil"
    if words & _NO_GAZE_WORDS:
        return ""
    named = words | _words(channel.kind)
    if named & {"valid", "validity"} or (named & {"tracked", "status"} and "bool" in channel.unit.lower()):
        return "validity"
    if "boolean" in channel.unit.lower() and kind == "quality":
        return "validity"
    return "confidence" if named & {"confidence", "quality", "probability"} else ""


def _words(text: str) -> frozenset[str]:
    """Split a label into its words: "L_GazeX" and "l gaze x" have the same."""
    found = set[str]()
    for word in re.findall(r"\d[a-z]*|[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text):
        lower = word.lower()
        is_joined = len(lower) > 1 and lower[-1] in "xy" and lower[:-1] in _GAZE_WORDS
        found.update((lower[:-1], lower[-1]) if is_joined else (lower,))
    return frozenset(found)
