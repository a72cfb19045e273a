"""Formats the visits of a recording as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from realtime.recording.visits import Visit

HEADER = (
    "object", "label", "start_s", "end_s", "start", "end", "duration_s", "preview_s", "locked_s", "held_s", "masks",
    "confidence_mean", "confidence_max", "score_mean", "centroid_x_px", "centroid_y_px", "box_x0_px", "box_y0_px",
    "box_x1_px", "box_y1_px", "area_share", "gaze_samples", "gaze_x_px", "gaze_y_px", "gaze_radius_px",
    "frame_width_px", "frame_height_px", "confirmations", "confirmed", "confirmed_by",
)  # fmt: skip
"""The columns; docs/guides/recordings.md explains each."""


_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What begins a formula in a spreadsheet, also in the wide forms of East Asian keyboards (OWASP, CSV injection)."""


def format_csv(visits: Iterable[Visit]) -> str:
    """Format the visits to kept objects, one a line below the header; a field without a value is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(_to_row(visit) for visit in visits if visit.keep)
    return out.getvalue()


def format_text(text: str) -> str:
    """Format text as a cell: an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\r", "\n")) else text


def format_time(wall_ns: int) -> str:
    """Format a wall-clock time as ISO 8601 in UTC, to the millisecond."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=wall_ns // 1000)).isoformat(timespec="milliseconds")


def _to_row(visit: Visit) -> list[str]:
    by_state = (f"{visit.seconds.get(state, 0.0):.3f}" for state in ("preview", "locked", "held"))
    return [
        str(visit.object), format_text(visit.label), f"{visit.start_s:.6f}", f"{visit.end_s:.6f}",
        format_time(visit.start_ns), format_time(visit.end_ns), f"{visit.duration_s:.3f}", *by_state,
        str(visit.masks), f"{visit.mean_confidence:.4f}", f"{visit.max_confidence:.4f}", f"{visit.mean_score:.4f}",
        *_format_point(visit.centroid_px), *map(str, visit.box or [""] * 4), f"{visit.area:.6f}",
        str(visit.samples), *_format_point(visit.gaze_px), f"{visit.radius_px:.2f}", *map(str, visit.size),
        str(len(visit.confirmations)),
        *([format_time(visit.confirmations[0].at_ns), visit.confirmations[0].by] if visit.confirmations else ["", ""]),
    ]  # fmt: skip


def _format_point(point: Sequence[float] | None) -> list[str]:
    return ["", ""] if point is None else [f"{value:.2f}" for value in point]
