"""Describes the gaze tables of eye trackers' programs, which are recognised by their headers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Row = Mapping[str, str]
"""The cells of one row by the columns' names in lower case."""
TIME_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_UNIT_IN_NAME = re.compile(r"\[\s*(s|ms|us|µs|μs|ns)\s*\]")


@dataclass(frozen=True, slots=True)
class GazeLayout:
    """Describes a table: its columns, units, and the confidence of a row.

    time, x, y: patterns of the columns' names in lower case. time_unit: unless the column's name has one in brackets.
    is_norm: x and y are fractions of the picture. is_from_bottom: y counts from the bottom.
    confidence: reads a row's confidence as text; empty is 0. own_clock: times are not counted from the clip's start.
    is_gaze: rows of other things are left out.
    """

    tool: str
    time: str
    x: str
    y: str
    time_unit: str = "s"
    is_norm: bool = False
    is_from_bottom: bool = False
    own_clock: bool = False
    confidence: Callable[[Row], str] = lambda row: row.get("confidence", "1")
    is_gaze: Callable[[Row], bool] = lambda row: True


def _read_cloud_confidence(row: Row) -> str:
    is_worn = row.get("worn", "1") not in ("0", "0.0", "False", "false")
    return "1" if is_worn and not row.get("blink id", "") else "0"


def _read_tobii_confidence(row: Row) -> str:
    eyes = [row[name].lower() for name in ("validity left", "validity right") if row.get(name)]
    return "1" if not eyes or any(eye in ("valid", "0") for eye in eyes) else "0"


LAYOUTS = (
    GazeLayout("gazecast", "timestamp", "x", "y"),
    GazeLayout(
        "Pupil Player", "gaze_timestamp|timestamp", "norm_pos_x", "norm_pos_y",
        is_norm=True, is_from_bottom=True, own_clock=True,
    ),
    GazeLayout(
        "Pupil Cloud", r"timestamp \[ns\]", r"gaze x \[px\]", r"gaze y \[px\]",
        own_clock=True, confidence=_read_cloud_confidence,
    ),
    GazeLayout(
        "Tobii Pro Lab", r"recording timestamp( \[.*\])?", r"gaze point x( \[.*px\])?", r"gaze point y( \[.*px\])?",
        time_unit="us", confidence=_read_tobii_confidence,
        is_gaze=lambda row: row.get("sensor", "eye tracker").lower() == "eye tracker",
    ),
    GazeLayout(
        "Gazepoint", r"time(\(.*\))?", "bpogx", "bpogy",
        is_norm=True, confidence=lambda row: row.get("bpogv", "1"),
    ),
    GazeLayout(
        "Gazepoint", r"time(\(.*\))?", "fpogx", "fpogy",
        is_norm=True, confidence=lambda row: row.get("fpogv", "1"),
    ),
)  # fmt: skip
INCOMPLETE = {
    "left_yaw_rads_cpf|yaw_rads_cpf": "it is of Aria's gaze service and holds angles; x and y in pixels need the "
    "glasses' calibration: project them with projectaria_tools (get_gaze_vector_reprojection)",
    r"gaze direction (left|right)? ?x|gaze3d position.*|gaze_point_3d_x": "it holds directions only; export the gaze "
    "point in pixels of the scene video",
}
"""Columns of tables that cannot be used, and the reason."""


def find_layout(names: Iterable[str]) -> tuple[GazeLayout, tuple[str, str, str]] | None:
    """Find the layout of a header in lower case, and its columns of time, x and y; None for an unknown one."""
    names = list(names)
    for layout in LAYOUTS:
        columns = [_find_column(pattern, names) for pattern in (layout.time, layout.x, layout.y)]
        if all(columns):
            time, x, y = (name or "" for name in columns)
            return layout, (time, x, y)
    return None


def explain_unusable(names: Iterable[str]) -> str:
    """Return why a known table without gaze points cannot be used; empty for an unknown one."""
    names = list(names)
    return next((reason for pattern, reason in INCOMPLETE.items() if _find_column(pattern, names)), "")


def read_time_unit(layout: GazeLayout, column: str) -> str:
    """Return the unit of a column of times, by its name or else its layout."""
    found = _UNIT_IN_NAME.search(column)
    return found[1].replace("µ", "u").replace("μ", "u") if found else layout.time_unit


def _find_column(pattern: str, names: list[str]) -> str | None:
    return next((name for name in names if re.fullmatch(pattern, name)), None)
