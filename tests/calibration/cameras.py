"""Provides cameras for tests: one of each kind, as they come in the field."""

from __future__ import annotations

from calibration.camera import CameraModel, FisheyeCamera, PinholeCamera

WEBCAM = PinholeCamera((640, 480), 536.07, 536.01, 342.37, 235.54, (-0.26512, -0.04662, 0.00183, -0.00031, 0.25218))
NEON = PinholeCamera(
    (1600, 1200), 888.41, 888.36, 805.10, 618.64,
    (-0.130192, 0.108496, 7.663e-05, -0.0001986, 3.54e-05, 0.169733, 0.052193, 0.024934),
)  # fmt: skip
CORE_WIDE = FisheyeCamera((1920, 1080), 794.3, 793.9, 956.7, 545.2, (-0.0305, 0.0102, -0.0201, 0.0051))
IDEAL = PinholeCamera((1280, 720), 900.0, 900.0, 639.5, 359.5)
VERY_WIDE = FisheyeCamera((1000, 1000), 280.0, 280.0, 499.5, 499.5, (0.02, -0.004, 0.0003, 0.0))
"""The rays of its picture's corners point backwards."""

CAMERAS: dict[str, CameraModel] = {
    "webcam": WEBCAM, "neon": NEON, "core wide": CORE_WIDE, "ideal": IDEAL, "very wide": VERY_WIDE,
}  # fmt: skip
