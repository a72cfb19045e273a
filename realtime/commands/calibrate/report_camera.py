"""Builds the report of a camera calibration: verdict, findings, and the page. Pure."""

from __future__ import annotations

import math

import numpy as np

from calibration.camera import CameraModel
from calibration.coverage import MIN_CORNERS_PER_CELL
from calibration.intrinsics import BoardView, IntrinsicsFit
from engines import Image
from realtime.commands.calibrate.report import ReportFinding, ReportPage, ReportPanel, sort_findings
from realtime.commands.calibrate.report_figures import (
    create_image_axes,
    draw_bars,
    draw_cells,
    draw_error_map,
    draw_histogram,
    render_axes,
)
from realtime.media.chart import AMBER, BLUE, FAINT, VERMILLION, draw_dots

GOOD_RMS_PX, MAX_RMS_PX = 0.5, 1.5
GOOD_FOCAL_STD, MAX_FOCAL_STD = 0.005, 0.05
"""Standard deviation of the focal length, as a share of it."""
FULL_SHARE = 0.9995
"""Share of the picture from which the model counts as covering all of it."""
_MAX_ARROWS = 600


def assess_result(result: IntrinsicsFit, unseen: tuple[BoardView, ...] = ()) -> tuple[ReportFinding, ...]:
    """Return the findings, worst first. unseen: pictures without a board, with the reason."""
    found = [*_assess_fit(result), *_assess_views(result, unseen), *_assess_field(result)]
    if not found:
        found = [
            ReportFinding(
                "pass", "Nothing is missing.", "Keep focus, zoom and resolution; the calibration holds only for these."
            )
        ]
    return sort_findings(found)


def build_page(name: str, date: str, result: IntrinsicsFit, unseen: tuple[BoardView, ...] = ()) -> ReportPage:
    """Build the page of the report."""
    camera, findings = result.camera, assess_result(result, unseen)
    wide, high = camera.size
    sizes = np.hypot(*result.errors_px.T)
    step = max(1, len(sizes) // _MAX_ARROWS)
    measured = [view for view in result.views if view.rms_px == view.rms_px]
    median = float(np.median(sizes))
    return ReportPage(
        title="Camera calibration",
        subtitle=f"{name}, {wide} x {high} px, {result.lens}, {date}",
        verdict=findings[0].level,
        headline=f"{result.rms_px:.2f} px rms over {len(sizes)} corners in {len(result.accepted_views)} views",
        facts=list_facts(result),
        panels=(
            ReportPanel(
                "Error over the picture",
                draw_error_map(camera.size, result.points_px[::step], result.errors_px[::step]),
                "Found minus projected. Neighbours that all point one way show an error of the lens model.",
            ),
            ReportPanel(
                "Distribution of the errors",
                draw_histogram(
                    sizes,
                    x_label="found minus projected, px",
                    marks=((median, f"median {median:.2f}"), (float(np.percentile(sizes, 95)), "95 % are smaller")),
                ),
            ),
            ReportPanel(
                "Each view",
                draw_bars(
                    [view.name for view in measured],
                    [view.rms_px for view in measured],
                    unit="rms, px",
                    marked=[view.name for view in measured if view.reason],
                ),
                "Outliers were rejected.",
            ),
            ReportPanel(
                "Corners in each part of the picture",
                draw_cells(camera.size, result.coverage.counts, MIN_CORNERS_PER_CELL, unit="corners"),
                "The lens model is reliable only where corners were found.",
            ),
            ReportPanel("Lens distortion", draw_lens(camera), "Straight lines in the world, 10 degrees apart."),
            ReportPanel("Corners found", _draw_corners(result), "Each dot is a corner of an accepted view."),
        ),
        findings=findings,
    )


def list_facts(result: IntrinsicsFit) -> tuple[tuple[str, str], ...]:
    """Return (name, value with its unit and standard deviation) of every measurement."""
    camera, std = result.camera, result.std
    rows = [
        ("rms", f"{result.rms_px:.3f} px in {len(result.accepted_views)} of {len(result.views)} views"),
        ("before outlier rejection", f"{result.before_rejection[0]:.3f} px, fx {result.before_rejection[1]:.1f} px"),
    ]
    numbers = (camera.fx, camera.fy, camera.cx, camera.cy, *camera.coefficients)
    for (name, sigma), value in zip(std.items(), numbers, strict=True):
        rows.append((name, f"{value:.2f} ± {sigma:.2f} px" if name[0] in "fc" else f"{value:.5f} ± {sigma:.5f}"))
    tilts = ", ".join(f"{tilt} {count}" for tilt, count in result.coverage.tilts.items())
    rows += [
        ("field of view", _format_field_of_view(camera)),
        ("resolution at the centre", f"{camera.px_per_degree():.1f} px per degree"),
        ("far edge of the board", tilts),
    ]
    return tuple(rows)


def draw_lens(camera: CameraModel) -> Image:
    """Draw lines 10 degrees apart as the camera images them, and dots on pixels without a ray."""
    legend = {"10 degrees apart": BLUE, "the optical axis": AMBER, "not covered by the model": VERMILLION}
    axes = create_image_axes(camera.size, legend)
    draw_dots(axes, _grid(camera, 40)[~_has_ray(camera, 40)], VERMILLION, 1.5)
    reach = math.degrees(min(camera.max_angle_rad, math.radians(80)))
    along = np.radians(np.linspace(-reach, reach, 161))
    for degrees in range(-80, 81, 10):
        line = np.column_stack([np.full(161, math.tan(math.radians(degrees))), np.tan(along), np.ones(161)])
        for points in (line, line[:, [1, 0, 2]]):
            # a pixel that is not finite interrupts the line
            axes.plot(*camera.project(points).T, color=BLUE if degrees else AMBER, linewidth=1.2)
    axes.set(xlim=(-0.5, camera.size[0] - 0.5), ylim=(camera.size[1] - 0.5, -0.5))
    return render_axes(axes)


def compute_known_share(camera: CameraModel) -> float:
    """Return the share, 0..1, of the image's pixels for which the model has a ray."""
    return float(_has_ray(camera, 60).mean())


def _assess_fit(result: IntrinsicsFit) -> list[ReportFinding]:
    found = []
    if result.rms_px > MAX_RMS_PX:
        found.append(
            ReportFinding(
                "refuse",
                f"The reprojection error is {result.rms_px:.2f} px rms.",
                "Check the board's columns and rows, that it is flat, and that pictures are sharp; "
                "for a wide lens try --lens pinhole8 or --lens fisheye.",
            )
        )
    elif result.rms_px > GOOD_RMS_PX:
        found.append(
            ReportFinding(
                "warn",
                f"The reprojection error is {result.rms_px:.2f} px rms; good is {GOOD_RMS_PX}.",
                "Use a stiff, flat board and hold it still; for a wide lens try --lens pinhole8 or fisheye.",
            )
        )
    share = max(result.std["fx"] / result.camera.fx, result.std["fy"] / result.camera.fy)
    if share > GOOD_FOCAL_STD:
        found.append(
            ReportFinding(
                "refuse" if share > MAX_FOCAL_STD else "warn",
                f"The focal length has a deviation of {100 * share:.1f} %; good is {100 * GOOD_FOCAL_STD:g} %.",
                "Take more views with the board leaning by 20 to 40 degrees, left, right, up and down.",
            )
        )
    return found


def _assess_views(result: IntrinsicsFit, unseen: tuple[BoardView, ...]) -> list[ReportFinding]:
    found = []
    for view in result.rejected_views:
        advice = "Repeat it, sharper and nearer, if possible." if math.isfinite(view.rms_px) else "Leave it out."
        found.append(ReportFinding("pass", f"{view.name} was dropped: {view.reason}.", advice))
    if unseen:
        names = ", ".join(view.name for view in unseen[:6]) + (" ..." if len(unseen) > 6 else "")
        found.append(
            ReportFinding(
                "pass",
                f"No board in {len(unseen)} picture{'s' * (len(unseen) > 1)}: {names}.",
                "A chessboard must be seen whole; a ChArUco board needs 6 corners.",
            )
        )
    cover = result.coverage
    if cover.next_instruction:
        found.append(
            ReportFinding(
                "warn",
                f"The views cover {100 * cover.share:.0f} % of the required positions and tilts.",
                f"Next: {cover.next_instruction}.",
            )
        )
    return found


def _assess_field(result: IntrinsicsFit) -> list[ReportFinding]:
    share = compute_known_share(result.camera)
    if share > FULL_SHARE:
        return []
    return [
        ReportFinding(
            "pass" if share > 0.98 else "warn",
            f"The model covers {100 * share:.1f} % of the picture; the rest is invalid.",
            "Take views with the board in the corners of the picture, or try another --lens.",
        )
    ]


def _format_field_of_view(camera: CameraModel) -> str:
    wide, high = camera.size
    ends = [(-0.5, camera.cy), (wide - 0.5, camera.cy), (camera.cx, -0.5), (camera.cx, high - 0.5)]
    rays = camera.unproject(ends)
    angles = np.degrees(np.arctan2(np.hypot(rays[:, 0], rays[:, 1]), rays[:, 2]))
    across, down = float(angles[0] + angles[1]), float(angles[2] + angles[3])
    return " x ".join(f"{angle:.1f}°" if math.isfinite(angle) else "unknown" for angle in (across, down))


def _draw_corners(result: IntrinsicsFit) -> Image:
    legend = {f"{len(result.points_px)} corners": BLUE, "empty parts: the model is extrapolated": FAINT}
    axes = create_image_axes(result.camera.size, legend)
    draw_dots(axes, result.points_px, BLUE, 2.0, 0.5)
    return render_axes(axes)


def _grid(camera: CameraModel, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    wide, high = camera.size
    x, y = np.meshgrid(np.linspace(-0.5, wide - 0.5, count), np.linspace(-0.5, high - 0.5, count))
    return np.column_stack([x.ravel(), y.ravel()])


def _has_ray(camera: CameraModel, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(np.isfinite(camera.unproject(_grid(camera, count))).all(1))
