"""Corrects a gaze source by its calibration, and adds the error radius of every sample.

During a run, locked objects correct headset slippage: a dwell on a small object is near its centre. That drift
correction is bounded and decays (`calibration.gaze.drift`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from calibration import CalibrationError, RecordError
from calibration.gaze.calibrated import GazeCalibration
from calibration.gaze.drift import POINT_SD_DEG, SLIP_SD_DEG, DriftCorrection, compute_object_sd_deg
from calibration.gaze.table import GazeTable
from calibration.record import CalibrationRecord, load_record
from realtime.infra.clock import now_ns
from realtime.sources.names import STREAMS, parse_source
from realtime.types import GazeSample, GazeSource, MaskResult, OnEvent, OnGaze, SourceStatus, mask_shape

MIN_RADIUS_DEG = 0.5
"""A validation right after the calibration may find less, but no tracker keeps a smaller error in use."""
MAX_GAZE_AGE_MS = 150.0
"""A mask with older gaze does not show where the eyes are now."""
MAX_DISTANCE_WIDTHS = 3.0


def describe_camera(spec: str) -> str:
    """Return the source recorded in a calibration: `camera:0`, `pupil`, `rtsp://host/path`, `file`."""
    name = parse_source(spec)
    place = name.rest.rpartition("@")[2].partition("?")[0]
    return f"{name.kind}:{place}" if name.kind == "camera" or name.kind in STREAMS else name.kind


def load_gaze_calibration(
    path: Path, source: str | None = None, size: tuple[int, int] | None = None, *, refused: bool = False
) -> LoadedCalibration:
    """Read a gaze calibration for frames of `source`; raises `CalibrationError` with the reason.

    For a recording, whose camera is unknown, only the size is compared. refused: also read a calibration that failed
    its validation, to validate it again.
    """
    record = load_record(path, "gaze", size=size)
    camera = describe_camera(source) if source is not None else record.camera
    if "file" not in (camera, record.camera) and camera != record.camera:
        raise RecordError(
            f"{path} was made with the frames of {record.camera!r}, these are of {camera!r}; calibrate again for them"
        )
    try:
        calibration = GazeCalibration.from_dict(record.body)
    except CalibrationError as error:
        raise RecordError(f"{path}: {error}") from None
    if calibration.view.size != record.size:
        raise RecordError(f"{path} contradicts itself about the size of the pictures; calibrate again")
    checked = calibration.validation
    if not refused and checked is not None and checked.verdict == "refuse":
        raise RecordError(f"{path} did not pass its validation: {checked.reason}; calibrate again")
    return LoadedCalibration(path, record, calibration)


class LoadedCalibration:
    """Holds a calibration and its file."""

    def __init__(self, path: Path, record: CalibrationRecord, calibration: GazeCalibration) -> None:
        self.path, self.record, self.calibration = path, record, calibration

    def age_s(self, now: datetime) -> float:
        """Return the time since it was made, or last validated or corrected; 0 for one from the future."""
        made = datetime.fromisoformat(self.record.made_at)
        return max(0.0, (now - (made if made.tzinfo else made.replace(tzinfo=UTC))).total_seconds())

    def check_frame_size(self, size: tuple[int, int] | None) -> None:
        """Raise `RecordError` unless it was made for frames of (width, height)."""
        if size is not None and size != self.record.size:
            made = self.record.size
            raise RecordError(
                f"{self.path} was made for frames of {made[0]} x {made[1]}, these are {size[0]} x {size[1]}; "
                "capture at that resolution or calibrate again"
            )


class CalibratedGaze(GazeSource):
    """A `GazeSource` that corrects every sample of another source, which it starts and stops.

    drift: the correction learned since the start.
    """

    def __init__(
        self, source: GazeSource, calibration: GazeCalibration, *, learn: bool = True, age_s: float = math.inf
    ) -> None:
        """learn: correct drift from locked objects, see `learn_from_mask`. age_s: of the calibration.

        A new calibration is more accurate than the centre of an object, and is hardly changed by it.
        """
        self._source, self._size = source, calibration.view.size
        # The drift measured by the calibration decays like all drift, starting now.
        self._table, self._learn = GazeTable(replace(calibration, drift_deg=(0.0, 0.0))), learn
        sd_deg = (
            DriftCorrection(sd_deg=max(POINT_SD_DEG, min(calibration.radius_deg, SLIP_SD_DEG))).decay_to(age_s).sd_deg
        )
        self.drift = DriftCorrection(calibration.drift_deg, sd_deg, at_s=now_ns() / 1e9)
        self._last_object: int | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start the source; `on_gaze` receives pixels, with an error radius."""
        self._source.start(lambda sample: on_gaze(self.correct(sample)), on_event)

    def stop(self) -> None:
        """Stop the source."""
        self._source.stop()

    def status(self) -> SourceStatus:
        """Return the status of the source."""
        return self._source.status()

    def correct(self, sample: GazeSample) -> GazeSample:
        """Return the corrected sample; one far outside the frame, or not finite, stays unchanged."""
        x, y = sample.to_px(self._size)
        if not (math.isfinite(x + y) and max(abs(x), abs(y)) < MAX_DISTANCE_WIDTHS * max(self._size)):
            return sample
        at = self._table.correct(x, y)
        dx, dy = self.drift.decay_to(sample.received_ns / 1e9).offset_deg
        radius = max(at.radius_px, MIN_RADIUS_DEG * at.px_per_degree)
        x, y = at.x + dx * at.px_per_degree, at.y + dy * at.px_per_degree
        return replace(sample, x=x, y=y, unit="px", radius_px=radius, px_per_degree=at.px_per_degree)

    def learn_from_mask(self, message: MaskResult, now_ns: int) -> None:
        """Learn drift from a published mask, once per locked object, while its gaze is recent."""
        if not self._learn or message.mask is None or message.state != "locked" or message.carried_ms > MAX_GAZE_AGE_MS:
            return
        box, _, centroid = mask_shape(message.mask)
        if message.object == self._last_object or box is None or centroid is None:
            return
        self._last_object = message.object
        deg_px = self._table.correct(message.gaze.x, message.gaze.y).px_per_degree
        sd_deg = compute_object_sd_deg(max(box[2] - box[0], box[3] - box[1]) / deg_px)
        touches_border = min(box[:2]) <= 1 or box[2] >= message.frame.width - 1 or box[3] >= message.frame.height - 1
        if sd_deg is None or touches_border:  # at the border the centre is unknown
            return
        error = (centroid[0] - message.gaze.x) / deg_px, (centroid[1] - message.gaze.y) / deg_px
        self.drift = self.drift.update(now_ns / 1e9, error, sd_deg)
