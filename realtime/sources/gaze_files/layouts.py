"""Describes the gaze tables of eye trackers' programs, which are recognised by their headers. Pure.

The names of the columns are those of the programs' documentation and exports; docs/guides/gaze-files.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, str]
"""The cells of one row by the columns' names in lower case."""
TIME_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
TRACKER_PERIODS_S = (1 / 2500, 0.2)
"""Shortest and longest period of an eye tracker."""
_UNIT_IN_NAME = re.compile(r"(?:\[\s*|\(\s*|[_ ])(s|sec|seconds|ms|us|µs|ns)\s*[])]?$")
_TIME = r"(?:time ?_?stamp|time|t)(?: ?[\[(]\w{1,7}[\])]|_\w{1,7})?"


@dataclass(frozen=True, slots=True)
class GazeLayout:
    """Describes a table: its columns, units, and the confidence of a row.

    time, x, y: patterns of the columns' names in lower case; several of x and y are eyes, whose mean is taken.
    time_units: possible units, unless the column's name says it; the first that makes a period of an eye tracker.
    is_norm: x and y are fractions of the picture. is_from_bottom: y counts from the bottom.
    clock: that of the times: seconds of the clip, the device's own, or the clip's unless they are outside it.
    lost: x and y where an eye was not found.
    confidence: reads a row's confidence as text; empty is 0. is_gaze: rows of other things are left out.
    size: patterns of the columns with width and height of the picture that the pixels are of.
    one_of: columns that must have one value, because its times or pictures are of one recording.
    reads: further columns that `confidence` and `is_gaze` read.
    """

    tool: str
    time: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    time_units: tuple[str, ...] = ("s",)
    is_norm: bool = False
    is_from_bottom: bool = False
    clock: Literal["clip", "device", "either"] = "clip"
    lost: float | None = None
    confidence: Callable[[Row], str] = lambda row: row.get("confidence", "1")
    is_gaze: Callable[[Row], bool] = lambda row: True
    size: tuple[str, str] | None = None
    one_of: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("confidence",)


@dataclass(frozen=True, slots=True)
class FoundLayout:
    """Holds the layout of a header, and its columns; `eyes` are those of x and y, `size` of width and height."""

    layout: GazeLayout
    time: str
    eyes: tuple[tuple[str, str], ...]
    size: tuple[str, str] | None


def _read_cloud_confidence(row: Row) -> str:
    is_worn = row.get("worn", "1").lower() not in ("0", "0.0", "false")
    return "1" if is_worn and not row.get("blink id", "") else "0"


def _read_tobii_confidence(row: Row) -> str:
    eyes = [row[name].lower() for name in _TOBII_VALIDITY if row.get(name)]
    return "1" if not eyes or any(eye in ("valid", "0") for eye in eyes) else "0"


def _is_tobii_gaze(row: Row) -> bool:
    """Rows of the mouse and of events have times of their own, and no gaze."""
    return row["sensor"].lower() == "eye tracker" if "sensor" in row else not row.get("event")


def _read_blink_confidence(row: Row) -> str:
    flags = [row[name] for name in _EYELINK_BLINKS if name in row]
    return "0" if flags and all(flag == "1" for flag in flags) else "1"


def _read_smi_confidence(row: Row) -> str:
    categories = [row[name].lower() for name in _SMI_CATEGORIES if name in row]
    return "0" if categories and all(category == "blink" for category in categories) else "1"


_TOBII_VALIDITY = ("validity left", "validity right", "validityleft", "validityright")
_EYELINK_BLINKS = ("left_in_blink", "right_in_blink")
_SMI_CATEGORIES = ("category binocular", "category right", "category left")


def _describe_tobii(x: str, y: str, *, is_norm: bool = False, size: tuple[str, str] | None = None) -> GazeLayout:
    return GazeLayout(
        "Tobii Pro Lab", r"recording ?timestamp( \[.*\])?", (x,), (y,),
        time_units=("us", "ms"), is_norm=is_norm, confidence=_read_tobii_confidence, is_gaze=_is_tobii_gaze, size=size,
        one_of=("recording name", "participant name", "participantname", "recordingname"),
        reads=("sensor", "event", *_TOBII_VALIDITY),
    )  # fmt: skip


def _describe_gazepoint(kind: str) -> GazeLayout:
    return GazeLayout(
        "Gazepoint", r"time( ?\(.*\))?", (f"{kind}pogx",), (f"{kind}pogy",),
        is_norm=True, clock="either", confidence=lambda row: row.get(f"{kind}pogv", "1"), one_of=("media_id",),
        reads=(f"{kind}pogv",),
    )  # fmt: skip


def _describe_smi(*eyes: str) -> GazeLayout:
    return GazeLayout(
        "SMI BeGaze", r"recordingtime \[ms\]", *_name_axes(r"point of regard {} {} \[px\]", eyes),
        time_units=("ms",), clock="either", lost=0.0, confidence=_read_smi_confidence, one_of=("participant", "trial"),
        reads=_SMI_CATEGORIES,
    )  # fmt: skip


def _describe_smi_samples(*eyes: str) -> GazeLayout:
    return GazeLayout(
        "SMI BeGaze", "time", *_name_axes(r"{} por {} \[px\]", eyes),
        time_units=("us",), clock="device", lost=0.0, is_gaze=lambda row: row.get("type", "smp").lower() == "smp",
        one_of=("trial",), reads=("type",),
    )  # fmt: skip


def _describe_eyelink(*eyes: str) -> GazeLayout:
    return GazeLayout(
        "SR Research EyeLink", "timestamp", *_name_axes("{}_gaze_{}", eyes),
        time_units=("ms",), clock="device", confidence=_read_blink_confidence,
        size=("display width", "display height"), one_of=("recording_session_label", "trial_index"),
        reads=_EYELINK_BLINKS,
    )  # fmt: skip


def _name_axes(pattern: str, eyes: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the patterns of x and of y for each eye."""
    eyes = tuple(eyes)
    return tuple(pattern.format(eye, "x") for eye in eyes), tuple(pattern.format(eye, "y") for eye in eyes)


LAYOUTS = (
    GazeLayout(
        "Pupil Cloud", r"timestamp \[ns\]", (r"gaze x \[px\]",), (r"gaze y \[px\]",),
        clock="device", confidence=_read_cloud_confidence, one_of=("recording id",), reads=("worn", "blink id"),
    ),
    GazeLayout("gazecast", _TIME, (r"(?:gaze[ _]?)?x(?: \[px\]|_px)?",), (r"(?:gaze[ _]?)?y(?: \[px\]|_px)?",)),
    GazeLayout(
        "gazecast", _TIME, (r"(?:gaze[ _]?)?x(?: \[norm\]|_norm)",), (r"(?:gaze[ _]?)?y(?: \[norm\]|_norm)",),
        is_norm=True,
    ),
    GazeLayout(
        "Pupil Player", "gaze_timestamp|timestamp", ("norm_pos_x",), ("norm_pos_y",),
        is_norm=True, is_from_bottom=True, clock="device",
    ),
    _describe_tobii(
        r"gaze ?point ?x( [\[(]mcs ?px[\])])?", r"gaze ?point ?y( [\[(]mcs ?px[\])])?",
        size=(r"recording media width( \[px\])?", r"recording media height( \[px\])?"),
    ),
    _describe_tobii(
        r"gaze ?point ?x [\[(](?:dacs|adcs) ?px[\])]", r"gaze ?point ?y [\[(](?:dacs|adcs) ?px[\])]",
        size=(r"recording resolution width( \[px\])?", r"recording resolution height( \[px\])?"),
    ),
    _describe_tobii(
        r"gaze ?point ?x [\[(](?:mcs|dacs) ?norm[\])]", r"gaze ?point ?y [\[(](?:mcs|dacs) ?norm[\])]", is_norm=True
    ),
    _describe_gazepoint("b"),
    _describe_gazepoint("f"),
    _describe_smi("binocular"),
    _describe_smi("left", "right"),
    _describe_smi_samples("b"),
    _describe_smi_samples("l", "r"),
    _describe_eyelink("average"),
    _describe_eyelink("left", "right"),
    GazeLayout(
        "iMotions", "timestamp", (r"et_gazeleftx", "et_gazerightx"), ("et_gazelefty", "et_gazerighty"),
        time_units=("ms",), clock="either", lost=-1.0,
    ),
    GazeLayout(
        "Project Aria", "tracking_timestamp_us", (r"(?:gaze_|projected_|gaze_projected_)?(?:x|u)(?:_px| \[px\])?",),
        (r"(?:gaze_|projected_|gaze_projected_)?(?:y|v)(?:_px| \[px\])?",), clock="device",
    ),
    GazeLayout(
        "Tobii Pro Glasses 3", "gaze timestamp", ("gaze2d x",), ("gaze2d y",), is_norm=True,
    ),
    GazeLayout(
        "Tobii Pro Glasses 2", "ts", ("gp x",), ("gp y",), time_units=("us",), is_norm=True, clock="device",
        confidence=lambda row: "1" if row.get("s", "0") == "0" else "0", reads=("s",),
    ),
)  # fmt: skip
INCOMPLETE = {
    r"(left_)?yaw_rads_cpf": "it is of Project Aria's gaze service and holds angles; x and y in pixels need the "
    "glasses' calibration, which is in the .vrs file: project them with projectaria_tools "
    "(get_gaze_vector_reprojection) and add columns x and y",
    r"gaze direction (left|right)? ?x.*|gaze3d position.*|gaze_point_3d_x|eye_center0?_3d_x": "it holds directions "
    "only; export the gaze point in pixels of the scene video",
    r"start_timestamp|start timestamp \[ns\]|fixation x \[px\]|current_fix_x|cnt_fix": "it holds fixations or other "
    "events, not samples; export the gaze samples (gaze_positions.csv, gaze.csv)",
    r"x_norm|gaze position on surface x \[normalized\]|gaze position in reference image x \[px\]|"
    r"mapped gaze (data|point) x.*": "it holds gaze on a surface or picture, not in the scene video; export the gaze "
    "of the scene video (gaze_positions.csv, gaze.csv, Gaze point X)",
    r"fpogs|fpogd|bpogv|fpogv": "it is of Gazepoint without BPOGX and BPOGY or FPOGX and FPOGY, or without TIME; "
    "export all gaze",
    r"recording ?timestamp.*": "it is of Tobii Pro Lab without Gaze point X and Gaze point Y; add them to the export",
    r"recording_session_label": "it is of SR Research without TIMESTAMP, AVERAGE_GAZE_X and AVERAGE_GAZE_Y (or LEFT_, "
    "RIGHT_); add them to the sample report",
    r"recordingtime \[ms\]": "it is of SMI BeGaze without Point of Regard X and Y in px; add them to the export",
}
"""Columns of tables that cannot be used, and the reason."""


def normalize_name(name: str) -> str:
    """Return a column's name as the patterns expect it: lower case, single spaces, one micro sign."""
    return " ".join(name.replace("\ufeff", "").replace("μ", "µ").lower().split())


def find_layout(names: Iterable[str]) -> FoundLayout | None:
    """Find the layout of a header of normalised names; None for an unknown one."""
    names = list(names)
    for layout in LAYOUTS:
        time = _find_column(layout.time, names)
        eyes = [(_find_column(x, names), _find_column(y, names)) for x, y in zip(layout.x, layout.y, strict=True)]
        found = tuple((x, y) for x, y in eyes if x and y)
        if time and found:
            width, height = (_find_column(pattern, names) for pattern in layout.size or ("", ""))
            return FoundLayout(layout, time, found, (width, height) if width and height else None)
    return None


def explain_unusable(names: Iterable[str]) -> str:
    """Return why a known table without gaze points cannot be used; empty for an unknown one."""
    names = list(names)
    return next((reason for pattern, reason in INCOMPLETE.items() if _find_column(pattern, names)), "")


def decide_time_unit(found: FoundLayout, times: NDArray[np.float64]) -> str:
    """Return the unit of a table's times, by the column's name, or else by their period."""
    named = _UNIT_IN_NAME.search(found.time)
    if named:
        return {"µs": "us", "sec": "s", "seconds": "s"}.get(named[1], named[1])
    units = found.layout.time_units
    steps = np.diff(np.unique(times))
    period = float(np.median(steps)) if len(steps) else 0.0
    low_s, high_s = TRACKER_PERIODS_S
    return next((unit for unit in units if low_s <= period * TIME_UNITS_S[unit] <= high_s), units[0])


def _find_column(pattern: str, names: list[str]) -> str | None:
    return next(filter(re.compile(pattern).fullmatch, names), None)
