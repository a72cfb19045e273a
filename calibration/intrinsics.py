"""Fits a camera's intrinsics to board views, rejects outlier views and estimates standard deviations.

The fit is Zhang's (2000) in OpenCV. Residuals and standard deviations are computed here with `calibration.camera`, in
the same way for each model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards import MIN_CORNERS, BoardDetection
from calibration.camera import CameraModel, FisheyeCamera, PinholeCamera
from calibration.coverage import FieldCoverage, measure_coverage
from calibration.errors import CalibrationError
from calibration.lens import Floats
from calibration.pose import compute_pose_jacobian, compute_rms, project_board
from calibration.rigid import RigidTransform

LensModel = Literal["pinhole5", "pinhole8", "fisheye"]
MIN_VIEWS = 3
MAX_RMS_RATIO = 3.0
"""A view whose rms is over this many times the median is dropped: its corners were misdetected."""
_MIN_REJECTED_RMS_PX = 0.3
"""Below this no view is rejected."""
_MAX_TRIMS, _MIN_KEPT_SHARE = 4, 0.95
"""Rounds of removing corners outside the lens model's range, and the share of corners that must stay."""
PARAMETER_NAMES = {
    "pinhole5": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3"),
    "pinhole8": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}


@dataclass(frozen=True, slots=True, eq=False)
class BoardView:
    """Holds one picture's result in a fit. reason: of the rejection, or ""."""

    name: str
    corners: int
    rms_px: float
    worst_px: float
    reason: str = ""
    camera_from_board: RigidTransform | None = None


@dataclass(frozen=True, slots=True, eq=False)
class IntrinsicsFit:
    """Holds a calibrated camera and the quality of its fit.

    rms_px: over the corners of the accepted views. std: standard deviation of each parameter, px for the first four.
    before_rejection: (rms_px, fx) of the fit to all views, before any rejection.
    points_px, errors_px: (N, 2) corners of the accepted views, and detected minus projected.
    """

    camera: CameraModel
    lens: LensModel
    rms_px: float
    std: dict[str, float]
    views: tuple[BoardView, ...]
    before_rejection: tuple[float, float]
    coverage: FieldCoverage
    points_px: Floats
    errors_px: Floats

    @property
    def accepted_views(self) -> tuple[BoardView, ...]:
        """The views that the fit uses."""
        return tuple(view for view in self.views if not view.reason)

    @property
    def rejected_views(self) -> tuple[BoardView, ...]:
        """The views that the fit does not use, with their reasons."""
        return tuple(view for view in self.views if view.reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    views: tuple[BoardDetection, ...]
    camera: CameraModel
    poses: tuple[RigidTransform, ...]
    errors_px: tuple[Floats, ...]

    @property
    def rms_px(self) -> float:
        return compute_rms(np.concatenate(self.errors_px))


def calibrate_camera(
    detections: Sequence[BoardDetection], *, lens: LensModel = "pinhole5", reject_outliers: bool = True
) -> IntrinsicsFit:
    """Fit a camera to views of one board, all of one picture size.

    reject_outliers: reject views whose rms is over `MAX_RMS_RATIO` times the median, the worst first, at most a third.
    Raises `CalibrationError` for too few views or views that do not determine the camera.
    """
    if lens not in get_args(LensModel):
        raise CalibrationError(f"{lens!r} is no lens; expected one of {', '.join(get_args(LensModel))}")
    views, other_sizes = _split_by_size(detections)
    if len(views) < MIN_VIEWS:
        raise CalibrationError(
            f"{len(views)} views of the board are too few; expected {MIN_VIEWS} at least, and better 12, "
            "tilted and in every part of the picture"
        )
    fit = first = _fit_and_trim(views, lens)
    rejected: list[BoardView] = []
    if reject_outliers:
        views, fit, rejected = _reject_outliers(views, first, lens, len(detections) // 3)
    summaries = [_summarize_view(view, fit, index) for index, view in enumerate(views)] + rejected + other_sizes
    return IntrinsicsFit(
        camera=fit.camera,
        lens=lens,
        rms_px=fit.rms_px,
        std=dict(zip(PARAMETER_NAMES[lens], _standard_deviations(fit).tolist(), strict=True)),
        views=tuple(sorted(summaries, key=lambda view: view.name)),
        before_rejection=(first.rms_px, first.camera.fx),
        coverage=measure_coverage(views, fit.camera.size),
        points_px=np.concatenate([view.points_px for view in fit.views]),
        errors_px=np.concatenate(fit.errors_px),
    )


def _reject_outliers(
    views: list[BoardDetection], fit: _Fit, lens: LensModel, most: int
) -> tuple[list[BoardDetection], _Fit, list[BoardView]]:
    """Reject at most `most` views; returns the others, their fit, and the rejected ones with the reason."""
    rejected: list[BoardView] = []
    while len(views) > MIN_VIEWS and len(rejected) < most:
        rms_by_view = [compute_rms(errors) for errors in fit.errors_px]
        worst, median = int(np.argmax(rms_by_view)), float(np.median(rms_by_view))
        if rms_by_view[worst] <= max(MAX_RMS_RATIO * median, _MIN_REJECTED_RMS_PX):
            break
        reason = (
            f"{rms_by_view[worst]:.2f} px, {rms_by_view[worst] / median:.0f} times the median: corners found in the "
            "wrong place, or a board that is bent, blurred or too far away"
        )
        rejected.append(_summarize_view(views[worst], fit, worst, reason))
        views = [view for index, view in enumerate(views) if index != worst]
        fit = _fit_and_trim(views, lens)
    return views, fit, rejected


def _split_by_size(detections: Sequence[BoardDetection]) -> tuple[list[BoardDetection], list[BoardView]]:
    """Split off the views that do not have the most common size, with the reason."""
    if not detections:
        return [], []
    size = Counter(detection.size for detection in detections).most_common(1)[0][0]
    others = [
        BoardView(
            d.name,
            len(d.ids),
            math.nan,
            math.nan,
            f"{d.size[0]} x {d.size[1]}, where most are {size[0]} x {size[1]}: another camera or resolution",
        )
        for d in detections
        if d.size != size
    ]
    return [detection for detection in detections if detection.size == size], others


def _summarize_view(detection: BoardDetection, fit: _Fit, index: int, reason: str = "") -> BoardView:
    errors = fit.errors_px[index]
    worst = float(np.hypot(*errors.T).max())
    return BoardView(detection.name, len(detection.ids), compute_rms(errors), worst, reason, fit.poses[index])


def _fit_and_trim(views: Sequence[BoardDetection], lens: LensModel) -> _Fit:
    """Fit without the few corners where the polynomial no longer increases, as in a wide lens's corners."""
    total, fit = sum(len(view.ids) for view in views), _fit_once(views, lens)
    for _ in range(_MAX_TRIMS):
        valid = [np.asarray(np.isfinite(error).all(1)) for error in fit.errors_px]
        if all(mask.all() for mask in valid):
            return fit
        trimmed = [_select_corners(view, mask) for view, mask in zip(fit.views, valid, strict=True)]
        counts = [len(view.ids) for view in trimmed]
        if sum(counts) < _MIN_KEPT_SHARE * total or min(counts) < MIN_CORNERS:
            break
        fit = _fit_once(trimmed, lens)
    raise CalibrationError(
        f"the {lens} camera that fits best folds inside the picture; take more views at its edges, or try a lens "
        "with other coefficients"
    )


def _select_corners(view: BoardDetection, mask: NDArray[np.bool_]) -> BoardDetection:
    return replace(view, ids=view.ids[mask], object_points=view.object_points[mask], points_px=view.points_px[mask])


def _fit_once(views: Sequence[BoardDetection], lens: LensModel) -> _Fit:
    # One row of points each: OpenCV 5's fisheye accepts no column.
    objects = [view.object_points.astype(np.float32)[None] for view in views]
    points_px = [view.points_px.astype(np.float32)[None] for view in views]
    size, count = views[0].size, len(PARAMETER_NAMES[lens]) - 4
    camera_class: type[CameraModel] = PinholeCamera
    calibrate: Any = cv2.calibrateCamera
    flags = cv2.CALIB_RATIONAL_MODEL if lens == "pinhole8" else 0
    if lens == "fisheye":
        camera_class, calibrate = FisheyeCamera, cv2.fisheye.calibrate
        flags = _fisheye_flag("CALIB_RECOMPUTE_EXTRINSIC") | _fisheye_flag("CALIB_FIX_SKEW")
    try:
        _, matrix, coefficients, rotvecs, translations = calibrate(
            objects, points_px, size, np.eye(3), np.zeros(count), flags=flags
        )
    except cv2.error as error:
        raise CalibrationError(
            f"OpenCV finds no {lens} camera for these views ({error.err}); take views that lean more, and in other "
            "parts of the picture, or try another lens"
        ) from None
    camera = camera_class.from_matrix(size, matrix, coefficients.ravel()[:count])
    poses = tuple(map(RigidTransform.from_rotvec, rotvecs, translations))
    errors = tuple(
        view.points_px - project_board(camera, pose, view.object_points)
        for view, pose in zip(views, poses, strict=True)
    )
    return _Fit(tuple(views), camera, poses, errors)


def _fisheye_flag(name: str) -> int:
    """Get a fisheye flag, whose place differs between OpenCV 4 and 5."""
    return int(getattr(cv2.fisheye, name) if hasattr(cv2.fisheye, name) else getattr(cv2, name))


def _standard_deviations(fit: _Fit) -> Floats:
    """Compute the (P,) standard deviations from the normal matrix without the views' poses (Schur complement)."""
    camera = fit.camera
    parameters = np.array([camera.fx, camera.fy, camera.cx, camera.cy, *camera.coefficients])
    normal = np.zeros((len(parameters), len(parameters)))
    for view, pose in zip(fit.views, fit.poses, strict=True):
        intrinsic = _intrinsic_jacobian(camera, parameters, pose, view.object_points)
        extrinsic = compute_pose_jacobian(camera, pose, view.object_points)
        cross = intrinsic.T @ extrinsic
        normal += intrinsic.T @ intrinsic - cross @ np.linalg.pinv(extrinsic.T @ extrinsic) @ cross.T
    residual = np.concatenate(fit.errors_px)
    degrees_of_freedom = max(1, residual.size - len(parameters) - 6 * len(fit.views))
    scales = np.sqrt(np.maximum(np.diag(normal), 1e-300))  # the parameters differ by a factor of 1000
    inverse = np.linalg.pinv(normal / np.outer(scales, scales), rcond=1e-13, hermitian=True)
    variance = float((residual**2).sum()) / degrees_of_freedom * np.diag(inverse) / scales**2
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def _intrinsic_jacobian(camera: CameraModel, parameters: Floats, pose: RigidTransform, objects: Floats) -> Floats:
    """Compute the (2 N, P) Jacobian of the pixels by the camera's parameters, by finite differences."""
    columns = []
    for step in np.diag([*(1e-4 * np.abs(parameters[:4])), *[1e-6] * (len(parameters) - 4)]):
        pixels = []
        for shifted in (parameters + step, parameters - step):
            fx, fy, cx, cy, *coefficients = shifted.tolist()
            shifted_camera = type(camera)(camera.size, fx, fy, cx, cy, tuple(coefficients))
            pixels.append(project_board(shifted_camera, pose, objects))
        columns.append(((pixels[0] - pixels[1]) / (2 * step.sum())).ravel())
    return np.column_stack(columns)
