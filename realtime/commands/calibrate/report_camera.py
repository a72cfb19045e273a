"""Builds the report of a camera calibration: verdict, findings, and the page. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.coverage import MIN_CORNERS_PER_CELL
from calibration.intrinsics import BoardView, IntrinsicsFit
from engines import Image
from realtime.commands.calibrate.report import ReportFinding, ReportPage, ReportPanel, sort_findings
from realtime.commands.calibrate.report_figures import (
    Floats,
    build_error_panels,
    create_image_axes,
    draw_bars,
    draw_cells,
    render_axes,
)
from realtime.media.chart import AMBER, BLUE, FAINT, VERMILLION, draw_dots

GOOD_RMS_PX, MAX_RMS_PX = 0.5, 1.5
GOOD_FOCAL_STD, MAX_FOCAL_STD = 0.005, 0.05
"""Standard deviation of the focal length, as a share of it."""
FULL_SHARE = 0.9995
"""Share of the picture from which the model counts as covering all of it."""


def assess_result(result: IntrinsicsFit, unseen: tuple[BoardView, ...] = ()) -> tuple[ReportFinding, ...]:
    """Return the findings, worst first. unseen: pictures without a board, with the reason."""
    return sort_findings([*_assess_fit(result), *_assess_coverage(result, unseen)]) or (
        ReportFinding(
            "pass", "Nothing is missing.", "Keep focus, zoom and resolution; the calibration holds only for these."
        ),
    )


def build_page(name: str, date: str, result: IntrinsicsFit, unseen: tuple[BoardView, ...] = ()) -> ReportPage:
    """Build the page of the report."""
    camera, findings = result.camera, assess_result(result, unseen)
    return ReportPage(
        title="Camera calibration",
        subtitle=f"{name}, {camera.size[0]} x {camera.size[1]} px, {result.lens}, {date}",
        verdict=findings[0].level,
        headline=f"{result.rms_px:.2f} px rms over {len(result.errors_px)} corners in {len(result.accepted_views)} "
        "views",
        facts=list_facts(result),
        panels=tuple(_build_panels(result)),
        findings=findings,
    )


def _build_panels(result: IntrinsicsFit) -> list[ReportPanel]:
    camera = result.camera
    measured = [view for view in result.views if not math.isnan(view.rms_px)]
    names, dropped = [view.name for view in measured], [view.name for view in measured if view.reason]
    bars = draw_bars(names, [view.rms_px for view in measured], unit="rms, px", dropped=dropped)
    cells = draw_cells(camera.size, result.coverage.counts, MIN_CORNERS_PER_CELL)
    caption = "Found minus projected. Neighbours that all point one way show an error of the lens model."
    covered = "The lens model is reliable only where corners were found."
    return [
        *build_error_panels(camera.size, result.points_px, result.errors_px, "projected", caption),
        ReportPanel("Each view", bars, "Outliers were rejected."),
        ReportPanel("Corners in each part of the picture", cells, covered),
        ReportPanel("Lens distortion", draw_lens(camera), "Straight lines in the world, 10 degrees apart."),
        ReportPanel("Corners found", _draw_corners(result), "Each dot is a corner of an accepted view."),
    ]


def list_facts(result: IntrinsicsFit) -> tuple[tuple[str, str], ...]:
    """Return (name, value with its unit and standard deviation) of every measurement."""
    camera, (rms_px, fx_px) = result.camera, result.before_rejection
    values = zip(result.std.items(), (camera.fx, camera.fy, camera.cx, camera.cy, *camera.coefficients), strict=True)
    return (
        ("rms", f"{result.rms_px:.3f} px in {len(result.accepted_views)} of {len(result.views)} views"),
        ("before outlier rejection", f"{rms_px:.3f} px, fx {fx_px:.1f} px"),
        *(
            (name, f"{value:.2f} ± {std:.2f} px" if name[0] in "fc" else f"{value:.5f} ± {std:.5f}")
            for (name, std), value in values
        ),
        ("field of view", _format_field_of_view(camera)),
        ("resolution at the centre", f"{camera.px_per_degree():.1f} px per degree"),
        ("far edge of the board", ", ".join(f"{tilt} {count}" for tilt, count in result.coverage.tilts.items())),
    )


def draw_lens(camera: CameraModel) -> Image:
    """Draw lines 10 degrees apart through the lens, and dots on pixels without a ray."""
    legend = {"10 degrees apart": BLUE, "the optical axis": AMBER, "not covered by the model": VERMILLION}
    axes = create_image_axes(camera.size, legend)
    points, has_ray = _find_rays(camera, 40)
    draw_dots(axes, points[~has_ray], VERMILLION, 1.5)
    reach = math.degrees(min(camera.max_angle_rad, math.radians(80)))
    along = np.radians(np.linspace(-reach, reach, 161))
    for degrees in range(-80, 81, 10):
        line = np.column_stack([np.full(161, math.tan(math.radians(degrees))), np.tan(along), np.ones(161)])
        for rays in (line, line[:, [1, 0, 2]]):
            # a pixel that is not finite interrupts the line
            axes.plot(*camera.project(rays).T, color=BLUE if degrees else AMBER, linewidth=1.2)
    return render_axes(axes)


def compute_known_share(camera: CameraModel) -> float:
    """Return the share, 0..1, of the image's pixels for which the model has a ray."""
    return float(_find_rays(camera, 60)[1].mean())


def _assess_fit(result: IntrinsicsFit) -> Iterator[ReportFinding]:
    error = f"The reprojection error is {result.rms_px:.2f} px rms"
    if result.rms_px > MAX_RMS_PX:
        advice = "Check the board's columns and rows, that it is flat, and that pictures are sharp; "
        yield ReportFinding("refuse", f"{error}.", f"{advice}for a wide lens try --lens pinhole8 or --lens fisheye.")
    elif result.rms_px > GOOD_RMS_PX:
        advice = "Use a stiff, flat board and hold it still; for a wide lens try --lens pinhole8 or fisheye."
        yield ReportFinding("warn", f"{error}; good is {GOOD_RMS_PX}.", advice)
    share = max(result.std["fx"] / result.camera.fx, result.std["fy"] / result.camera.fy)
    if share > GOOD_FOCAL_STD:
        yield ReportFinding(
            "refuse" if share > MAX_FOCAL_STD else "warn",
            f"The focal length has a deviation of {100 * share:.1f} %; good is {100 * GOOD_FOCAL_STD:g} %.",
            "Take more views with the board leaning by 20 to 40 degrees, left, right, up and down.",
        )


def _assess_coverage(result: IntrinsicsFit, unseen: tuple[BoardView, ...]) -> Iterator[ReportFinding]:
    for view in result.rejected_views:
        advice = "Repeat it, sharper and nearer, if possible." if math.isfinite(view.rms_px) else "Leave it out."
        yield ReportFinding("pass", f"{view.name} was dropped: {view.reason}.", advice)
    if unseen:
        names = ", ".join(view.name for view in unseen[:6]) + (" ..." if len(unseen) > 6 else "")
        message = f"No board in {len(unseen)} picture{'s' * (len(unseen) > 1)}: {names}."
        yield ReportFinding("pass", message, "A chessboard must be seen whole; a ChArUco board needs 6 corners.")
    cover = result.coverage
    if cover.next_instruction:
        message = f"The views cover {100 * cover.share:.0f} % of the required positions and tilts."
        yield ReportFinding("warn", message, f"Next: {cover.next_instruction}.")
    share = compute_known_share(result.camera)
    if share <= FULL_SHARE:
        yield ReportFinding(
            "pass" if share > 0.98 else "warn",
            f"The model covers {100 * share:.1f} % of the picture; the rest is invalid.",
            "Take views with the board in the corners of the picture, or try another --lens.",
        )


def _format_field_of_view(camera: CameraModel) -> str:
    wide, high = camera.size
    ends = [(-0.5, camera.cy), (wide - 0.5, camera.cy), (camera.cx, -0.5), (camera.cx, high - 0.5)]
    x, y, z = camera.unproject(ends).T
    across_down = np.degrees(np.arctan2(np.hypot(x, y), z)).reshape(2, 2).sum(1)
    return " x ".join(f"{angle:.1f}°" if math.isfinite(angle) else "unknown" for angle in across_down)


def _draw_corners(result: IntrinsicsFit) -> Image:
    legend = {f"{len(result.points_px)} corners": BLUE, "empty parts: the model is extrapolated": FAINT}
    axes = create_image_axes(result.camera.size, legend)
    draw_dots(axes, result.points_px, BLUE, 2.0, 0.5)
    return render_axes(axes)


def _find_rays(camera: CameraModel, count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return (N, 2) pixels of a grid over the image, and for which of them the model has a ray."""
    grid = np.meshgrid(*(np.linspace(-0.5, side - 0.5, count) for side in camera.size))
    points = np.stack(grid, -1).reshape(-1, 2)
    return points, np.asarray(np.isfinite(camera.unproject(points)).all(1))
