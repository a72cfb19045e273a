"""A recording as a table of looks, in CSV. Pure."""

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
    "frame_width_px", "frame_height_px",
)  # fmt: skip
"""The columns; what each means stands in docs/guides/recordings.md."""


def format_csv(looks: Iterable[Visit]) -> str:
    """The looks that are kept, a line each below the header; a field without a value is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(_row(look) for look in looks if look.keep)
    return out.getvalue()


def format_time(wall_ns: int) -> str:
    """A wall-clock time as ISO 8601 in UTC, to the millisecond."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=wall_ns // 1000)).isoformat(timespec="milliseconds")


def _row(look: Visit) -> list[str]:
    held = (f"{look.seconds.get(state, 0.0):.3f}" for state in ("preview", "locked", "held"))
    return [
        str(look.object), look.label, f"{look.start_s:.6f}", f"{look.end_s:.6f}",
        format_time(look.start_ns), format_time(look.end_ns),
        f"{look.duration_s:.3f}", *held, str(look.masks), f"{look.mean_confidence:.4f}", f"{look.max_confidence:.4f}",
        f"{look.mean_score:.4f}", *_px(look.centroid_px, 2), *map(str, look.box or [""] * 4), f"{look.area:.6f}",
        str(look.samples), *_px(look.gaze_px, 2), f"{look.radius_px:.2f}", *map(str, look.size),
    ]  # fmt: skip


def _px(values: Sequence[float] | None, count: int) -> list[str]:
    return [f"{value:.2f}" for value in values] if values is not None else [""] * count
