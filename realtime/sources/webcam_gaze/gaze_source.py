"""Estimates gaze on a page's picture from pictures of the eyes, and calibrates it at targets on the page.

The pictures of the eyes come from the page's camera (`BrowserFrames`) or from one of this machine. They are looked at
on a thread of this source and forgotten: none is recorded, published or shown.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calibration.errors import CalibrationError
from calibration.gaze.drift import DriftCorrection
from calibration.gaze.eye_features import BlinkDetector, EyeFeatures, measure_eyes
from calibration.gaze.screen_calibration import ScreenCalibration
from calibration.gaze.table import GazeTable
from engines.landmarks.face_landmarker import LandmarkFinder
from realtime.infra.channels import Latest
from realtime.sources.base import ThreadedSource
from realtime.sources.browser import BrowserFrames
from realtime.sources.webcam_gaze.calibration_session import NO_FACE, CalibrationSession
from realtime.sources.webcam_gaze.calibration_store import CalibrationStore
from realtime.sources.webcam_gaze.screen_layout import ScreenLayout
from realtime.tracking.gaze.gaze_smoother import GazeSmoother
from realtime.types import Frame, FrameSource, GazeSample, GazeSource, OnEvent, OnGaze, SourceStatus

PX_MM = 25.4 / 96
"""Size of a browser's px, where the screen's width is unknown."""
NO_PAGE = "open the page: it shows the picture that is looked at"
UNCALIBRATED = "calibrate the eyes on the page: its button, or key E"
RATE_TOLERANCE = 0.9
"""Share of the interval after which a picture is due: cameras are not exact."""
CLICK_SD_DEG = 1.0
"""Distance of the eyes from a click, and the noise of the gaze then."""
MAX_CLICK_AGE_NS = 500_000_000
"""A click without newer gaze says nothing."""
CALIBRATING = "the eyes are being calibrated on the page"


@dataclass(frozen=True, slots=True)
class EyeGeometry:
    """Holds assumptions about camera and screen; 0 mm: a screen of 96 px per inch."""

    fov_deg: float = 60.0
    screen_width_mm: float = 0.0

    def px_mm(self, layout: ScreenLayout) -> float:
        """Return the size of the screen's px."""
        return self.screen_width_mm / layout.size[0] if self.screen_width_mm else PX_MM


class WebcamGaze(ThreadedSource, GazeSource):
    """A `GazeSource` of a webcam in front of the person.

    camera: the source of its pictures; started and stopped with this one. max_rate_hz: of the pictures that are
    evaluated. on_report: receives what pages show of it, on this source's thread or the caller's.
    """

    def __init__(
        self,
        finder: LandmarkFinder,
        camera: FrameSource,
        store: CalibrationStore,
        geometry: EyeGeometry,
        max_rate_hz: float = 30.0,
    ) -> None:
        super().__init__(NO_PAGE)
        self.camera, self.max_rate_hz = camera, max_rate_hz
        self._due_ns = -1
        self.on_report: Callable[[Mapping[str, Any]], None] = lambda fields: None
        self._finder, self._store, self._geometry = finder, store, geometry
        self._pending: Latest[Frame] = Latest()
        self._on_gaze: OnGaze = lambda sample: None
        self._lock = threading.RLock()  # of all below, which pages change from the thread of their server
        self._layout: ScreenLayout | None = None
        self._session: CalibrationSession | None = None
        self._calibration: ScreenCalibration | None = None
        self._table: GazeTable | None = None
        self._note = ""
        self._blinks, self._smoother = BlinkDetector(), GazeSmoother()
        self._drift = DriftCorrection()
        self._place: tuple[float, float] | None = None
        self._placed_ns = 0
        self._features: EyeFeatures | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start the camera, and the thread that looks at its pictures."""
        self._on_gaze = on_gaze
        self._start_threads(on_event, **{"gaze webcam": self._run})
        self.camera.start(self._offer)

    def stop(self) -> None:
        """Stop within a second."""
        self.camera.stop()
        self._pending.close()
        super().stop()

    def status(self) -> SourceStatus:
        """Return state and counts; the camera's own state while it gives no pictures."""
        found, camera = self._monitor.status(), self.camera.status()
        dropped = {**{f"eyes {name}": count for name, count in camera.dropped.items()}, **found.dropped}
        if self._pending.dropped:
            dropped["eyes superseded"] = self._pending.dropped
        shown = camera if camera.state != "running" and found.state != "failed" else found
        return SourceStatus(shown.state, shown.reason, found.received, dropped)

    # -- called by the page's server ---------------------------------------------------------------------------------

    def set_layout(self, layout: ScreenLayout | None) -> None:
        """Set where the page is; another size of screen has a calibration of its own. None: no page is open."""
        with self._lock:
            size = self._layout.size if self._layout else None
            self._layout = layout
            if layout is None:
                self._session = None
            elif layout.size != size:
                self._session = None
                self._load(layout.size)
            self._report()

    def start_calibration(self) -> None:
        """Begin a calibration at targets; the present one stays in use until the new one is complete."""
        with self._lock:
            self._session, self._note = CalibrationSession(), ""
            self._report()

    def cancel_calibration(self) -> None:
        """End a calibration without a result."""
        with self._lock:
            self._session = None
            self._report()

    def correct_drift(self, x: float, y: float, now_ns: int) -> None:
        """Correct the gaze by a click at (x, y) px of the screen, as people look where they click.

        That gaze and clicks coincide is what WebGazer relies on (Papoutsaki et al., IJCAI 2016). The correction is
        bounded and decays, see `calibration.gaze.drift`.
        """
        with self._lock:
            if self._calibration is None or self._place is None or now_ns - self._placed_ns > MAX_CLICK_AGE_NS:
                return
            degree_px = self._calibration.degree_px
            error_deg = (x - self._place[0]) / degree_px, (y - self._place[1]) / degree_px
            self._drift = self._drift.update(now_ns / 1e9, error_deg, CLICK_SD_DEG)

    def state_fields(self) -> dict[str, Any]:
        """Return what a page shows of the eyes: face, target, calibration and its error."""
        with self._lock:
            return self._describe(None)

    # -- the source's thread -----------------------------------------------------------------------------------------

    def _offer(self, frame: Frame) -> None:
        """Queue a picture, on the camera's thread, unless it comes before its time.

        A page keeps the rate itself, and waits for an answer to each of its pictures.
        """
        interval_ns = round(RATE_TOLERANCE * 1e9 / self.max_rate_hz)
        if isinstance(self.camera, BrowserFrames) or not 0 < self._due_ns - frame.captured_ns <= interval_ns:
            self._due_ns = frame.captured_ns + interval_ns
            self._pending.put(frame)

    def _run(self) -> None:
        while (frame := self._pending.get()) is not None:
            self._process(frame)

    def _process(self, frame: Frame) -> None:
        self._monitor.count_received()
        found = self._finder.find(frame.image)
        features = None
        if found is not None:
            features = measure_eyes(found.points, found.irises, found.eyes, frame.size, self._geometry.fov_deg)
        is_closed = features is not None and self._blinks.is_closed(features.opening)
        self._monitor.count_dropped("no face", features is None)
        with self._lock:
            self._features = features
            if self._session is not None and self._layout is not None:
                self._calibrate(self._session, self._layout, frame, is_closed)
            sample = self._make_sample(frame, is_closed)
        if sample is not None:
            self._on_gaze(sample)
        with self._lock:
            self._report(frame, is_closed)

    def _calibrate(self, session: CalibrationSession, layout: ScreenLayout, frame: Frame, is_closed: bool) -> None:
        time_s = frame.captured_ns / 1e9
        session.add(time_s, self._features, layout, closed=is_closed)
        if session.target(time_s, has_face=True, closed=False) is not None:
            return
        self._session = None
        try:
            calibration = session.finish(layout.size, self._geometry.px_mm(layout))
        except CalibrationError as error:
            self._note = f"Calibration failed: {error}."
            return
        self._use(calibration)
        self._note = self._store.save(calibration)

    def _make_sample(self, frame: Frame, is_closed: bool) -> GazeSample | None:
        """Make the gaze sample of a picture, with confidence 0 for closed eyes and without a face."""
        layout, calibration, table = self._layout, self._calibration, self._table
        if layout is None or layout.picture is None:
            self._monitor.set_state("idle", NO_PAGE)
        elif calibration is None or table is None or self._session is not None:
            self._monitor.set_state("idle", UNCALIBRATED if self._session is None else CALIBRATING)
        else:
            return self._locate(frame, layout, calibration, table, is_closed)
        return None

    def _locate(
        self, frame: Frame, layout: ScreenLayout, calibration: ScreenCalibration, table: GazeTable, is_closed: bool
    ) -> GazeSample | None:
        features, degree_px, scale = self._features, calibration.degree_px, layout.frame_scale
        radius_px, confidence = calibration.error_px, 0.0
        if features is None:
            self._monitor.set_state("waiting", NO_FACE)
        else:
            self._monitor.set_state("running")
        if features is not None and not is_closed:
            corrected = table.correct(*calibration.to_reported_px(features))
            at_s = frame.captured_ns / 1e9
            x, y = self._smoother.update(corrected.x / degree_px, corrected.y / degree_px, at_s)
            dx, dy = self._drift.decay_to(at_s).offset_deg
            x, y, self._placed_ns = x + dx, y + dy, frame.captured_ns
            self._place, radius_px, confidence = (x * degree_px, y * degree_px), corrected.radius_px, 1.0
        place = layout.place_in_picture(*self._place) if self._place else None
        if place is None:
            return None
        x, y = map(float, place)
        return GazeSample(
            x, y, "norm", confidence, frame.timestamp, frame.captured_ns, frame.received_ns,
            float(radius_px) * scale, degree_px * scale,
        )  # fmt: skip

    # -- under the lock ----------------------------------------------------------------------------------------------

    def _load(self, size: tuple[int, int]) -> None:
        self._calibration = self._table = self._place = None
        self._note = ""
        try:
            found = self._store.load(size)
        except CalibrationError as error:
            self._note = f"{error}."
            return
        if found is not None:
            self._use(found)

    def _use(self, calibration: ScreenCalibration) -> None:
        self._calibration, self._table = calibration, GazeTable(calibration.gaze)
        self._smoother, self._place, self._drift = GazeSmoother(), None, DriftCorrection()

    def _report(self, frame: Frame | None = None, is_closed: bool = False) -> None:
        self.on_report(self._describe(frame, is_closed))

    def _describe(self, frame: Frame | None, is_closed: bool = False) -> dict[str, Any]:
        calibration, validation = self._calibration, None
        if calibration is not None:
            validation = calibration.gaze.validation
        has_face, target = self._features is not None, None
        if self._session is not None and frame is not None:
            target = self._session.target(frame.captured_ns / 1e9, has_face=has_face, closed=is_closed)
        result = None
        if calibration is not None and validation is not None:
            result = {
                "error_px": round(calibration.error_px, 1), "error_deg": round(calibration.gaze.radius_deg, 2),
                "precision_deg": round(validation.precision_deg, 2), "rate_hz": round(validation.rate_hz, 1),
                "distance_mm": round(calibration.distance_mm), "checks": len(validation.targets),
            }  # fmt: skip
        return {
            "index": frame.index if frame is not None else None, "face": has_face, "closed": is_closed,
            "drift_deg": round(math.hypot(*self._drift.offset_deg), 1),
            "calibrating": self._session is not None, "target": asdict(target) if target is not None else None,
            "result": result, "note": self._note,
        }  # fmt: skip
