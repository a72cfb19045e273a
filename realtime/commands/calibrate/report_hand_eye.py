"""Builds the report of a hand-eye calibration: verdict, findings, and the page. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from calibration.hand_eye import RECOMMENDED_POSES, HandEyeResult, HandEyeStation
from calibration.lens import Floats
from calibration.uncertain_transform import UncertainTransform
from engines import Image
from realtime.commands.calibrate.report import PANEL, ReportFinding, ReportPage, ReportPanel, sort_findings
from realtime.commands.calibrate.report_figures import build_error_panels, draw_bars, render_axes
from realtime.media.chart import AMBER, BLUE, FAINT, GRID, SMALL, add_axes, add_legend, draw_dots, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD_SIGMA_M, MAX_SIGMA_M = 0.002, 0.01
GOOD_RMS_M, MAX_RMS_M = 0.003, 0.015
GOOD_SECONDARY_ROTATION_RAD = math.radians(10)


def assess_result(result: HandEyeResult, skipped: Sequence[tuple[str, str]] = ()) -> tuple[ReportFinding, ...]:
    """Return the findings, worst first. skipped: (name, reason) of poses without a board."""
    return sort_findings([*_assess_errors(result), *_assess_poses(result, skipped)]) or (
        ReportFinding("pass", "Nothing is missing.", "Calibrate again when the camera or the board was touched."),
    )


def build_page(
    subtitle: str,
    result: HandEyeResult,
    stations: Sequence[HandEyeStation],
    corner_errors: Sequence[ReportPanel] = (),
    skipped: Sequence[tuple[str, str]] = (),
    compared: tuple[str, float, float] | None = None,
) -> ReportPage:
    """Build the page of the report.

    corner_errors: as of `draw_corner_errors`. compared: another method and its distance from this result, m and rad.
    """
    findings = assess_result(result, skipped)
    return ReportPage(
        title=f"Hand-eye calibration, {result.setup.replace('-', ' ')}",
        subtitle=subtitle,
        verdict=findings[0].level,
        headline=f"{1000 * result.rms_m:.2f} mm, {math.degrees(result.rms_rad):.3f}° rms over "
        f"{len(result.accepted)} poses",
        facts=list_facts(result, compared),
        panels=(*_build_panels(result, stations), *corner_errors),
        findings=findings,
    )


def _build_panels(result: HandEyeResult, stations: Sequence[HandEyeStation]) -> list[ReportPanel]:
    residuals = result.residuals
    names, dropped = [r.name for r in residuals], [r.name for r in residuals if r.reason]
    in_mm = draw_bars(names, [1000 * r.translation_m for r in residuals], unit="mm", dropped=dropped)
    in_deg = draw_bars(names, [math.degrees(r.rotation_rad) for r in residuals], unit="degrees", dropped=dropped)
    position = "Distance of the board from the position that the result predicts."
    orientation = "Large here but small in position: the board was detected badly."
    rotations = "Dots in all directions determine the result; dots on a line do not."
    return [
        ReportPanel("Each pose: position of the board", in_mm, position),
        ReportPanel("Each pose: orientation of the board", in_deg, orientation),
        ReportPanel("Rotations of the gripper", draw_rotations(stations), rotations),
        ReportPanel("Positions", draw_positions(result, stations), "Seen from above the base, in metres."),
    ]


def draw_corner_errors(size: tuple[int, int], found_px: Floats, predicted_px: Floats) -> list[ReportPanel]:
    """Draw the (N, 2) detected corners minus those predicted by robot poses and result."""
    caption = "Detected corners minus those predicted by robot and result."
    return build_error_panels(size, predicted_px, found_px - predicted_px, "predicted", caption)


def list_facts(result: HandEyeResult, compared: tuple[str, float, float] | None = None) -> tuple[tuple[str, str], ...]:
    """Return (name, value with unit and standard deviation) of every measurement."""
    largest_deg, secondary_deg = math.degrees(result.max_rotation_rad), math.degrees(result.secondary_rotation_rad)
    worst = max(result.accepted, key=lambda residual: residual.translation_m)
    rows = [
        *_list_transform(result.transform_names[0], result.x),
        ("poses", f"{len(result.accepted)} of {len(result.residuals)}, by {result.method}"),
        ("largest rotation", f"{largest_deg:.0f}°, rms {secondary_deg:.0f}° about other axes"),
        *_list_transform(result.transform_names[1], result.y),
        ("worst accepted pose", f"{worst.name}, {1000 * worst.translation_m:.2f} mm"),
    ]
    if compared is not None:
        method, metres, radians = compared
        rows.append((f"distance from {method}", f"{1000 * metres:.2f} mm, {math.degrees(radians):.3f}°"))
    return tuple(rows)


def draw_rotations(stations: Sequence[HandEyeStation]) -> Image:
    """Draw the gripper's rotations from the first pose. About x and y as position, about z as dot size."""
    first = stations[0].base_from_gripper.inverse()
    rotations = np.degrees([(first @ station.base_from_gripper).rotvec_rad for station in stations])
    reach = max(30.0, float(np.abs(rotations[:, :2]).max()) * 1.1)
    axes = _create_square_axes("about x, degrees", "about y, degrees", np.zeros(2), reach)
    draw_dots(axes, rotations[:, :2], BLUE, 2.5 + np.abs(rotations[:, 2]) / 25, 0.75)
    return render_axes(axes)


def draw_positions(result: HandEyeResult, stations: Sequence[HandEyeStation]) -> Image:
    """Draw camera and board from above, in the frame of the robot's base."""
    x = result.x.pose
    if result.setup == "eye-in-hand":
        poses, names = [*(s.base_from_gripper @ x for s in stations), result.y.pose], ("camera", "board")
    else:
        poses, names = [*(x @ s.camera_from_board for s in stations), x], ("board", "camera")
    places = np.array([pose.translation_m for pose in poses])[:, :2]
    middle = places.mean(0)
    reach = max(0.05, float(np.abs(places - middle).max()) * 1.15)
    axes = _create_square_axes("x of the base, m", "y of the base, m", middle, reach)
    draw_dots(axes, places[:-1], BLUE, 3.5, 0.75)
    draw_dots(axes, places[-1], AMBER, 7)
    add_legend(axes, dict(zip(names, (BLUE, AMBER), strict=True)))
    return render_axes(axes)


def _create_square_axes(x_label: str, y_label: str, middle: Floats, reach: float) -> Axes:
    """Create a panel with a square of +-`reach` around the (2,) middle."""
    (x, y), side = middle, PANEL[1] - 92
    axes = add_axes(new_figure(*PANEL), (PANEL[0] - side) / 2, 36, side, side, x_label=x_label, x_bins=5)
    axes.set_ylabel(y_label, size=SMALL, color=FAINT, loc="top")
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
    axes.grid(visible=True, color=GRID, linewidth=1)
    return axes


def _list_transform(name: str, known: UncertainTransform) -> list[tuple[str, str]]:
    deviations = np.sqrt(np.diag(known.covariance))
    in_mm = "  ".join(f"{1000 * value:.2f}" for value in deviations[:3])
    return [
        (f"{name}, mm", "  ".join(f"{1000 * value:.2f}" for value in known.pose.translation_m)),
        ("  standard deviations", f"{in_mm} mm, {math.degrees(float(np.linalg.norm(deviations[3:]))):.3f}°"),
        ("  quaternion x y z w", "  ".join(f"{value:.5f}" for value in known.pose.quaternion_xyzw)),
    ]


def _assess_errors(result: HandEyeResult) -> Iterator[ReportFinding]:
    if result.rms_m > GOOD_RMS_M:
        yield ReportFinding(
            "refuse" if result.rms_m > MAX_RMS_M else "warn",
            f"The poses disagree by {1000 * result.rms_m:.1f} mm; good is {1000 * GOOD_RMS_M:g} mm.",
            "Check the setup (camera on the gripper, or beside the robot) and the board's measures, that quaternions "
            "are x y z w and poses base_from_gripper, and that pose and picture are simultaneous.",
        )
    sigma_m = result.x.sigma_m
    if sigma_m > GOOD_SIGMA_M:
        yield ReportFinding(
            "refuse" if sigma_m > MAX_SIGMA_M else "warn",
            f"{result.transform_names[0]} has a standard deviation of {1000 * sigma_m:.1f} mm; "
            f"good is {1000 * GOOD_SIGMA_M:g} mm.",
            "Record more poses, nearer to the board and with larger rotations.",
        )


def _assess_poses(result: HandEyeResult, skipped: Sequence[tuple[str, str]]) -> Iterator[ReportFinding]:
    if len(result.accepted) < RECOMMENDED_POSES:
        message = f"{len(result.accepted)} poses are few; good are {RECOMMENDED_POSES} to 15."
        yield ReportFinding("warn", message, "Record more.")
    if result.secondary_rotation_rad < GOOD_SECONDARY_ROTATION_RAD:
        across = f"{math.degrees(result.secondary_rotation_rad):.0f}° across it"
        message = f"The gripper rotated mostly about one axis, by {across}."
        yield ReportFinding("warn", message, "Turn it by 30 degrees and more about a second axis, too.")
    for residual in result.residuals:
        if residual.reason:
            message = f"{residual.name} was dropped: {residual.reason}."
            yield ReportFinding("pass", message, "Let the robot stand still before each picture.")
    if skipped:
        names = ", ".join(f"{name} ({reason})" for name, reason in skipped[:5]) + (" ..." if len(skipped) > 5 else "")
        advice = "Show the whole board, sharp and larger in the picture."
        yield ReportFinding("pass", f"Not used: {names}.", advice)
