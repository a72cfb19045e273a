"""Builds the report of a hand-eye calibration: verdict, findings, and the page. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.camera import CameraModel
from calibration.hand_eye import RECOMMENDED_POSES, HandEyeResult, HandEyeStation
from calibration.lens import Floats
from calibration.uncertain_transform import UncertainTransform
from engines import Image
from realtime.commands.calibrate.report import PANEL, ReportFinding, ReportPage, ReportPanel, sort_findings
from realtime.commands.calibrate.report_figures import draw_bars, draw_error_map, draw_histogram, render_axes
from realtime.media.chart import AMBER, BLUE, FAINT, GRID, SMALL, add_axes, add_legend, draw_dots, new_figure

GOOD_SIGMA_M, MAX_SIGMA_M = 0.002, 0.01
GOOD_RMS_M, MAX_RMS_M = 0.003, 0.015
GOOD_SECONDARY_ROTATION_RAD = math.radians(10)


@dataclass(frozen=True, slots=True, eq=False)
class StationImage:
    """Holds detected corners, and those predicted by robot poses and result: (N, 2) px each."""

    camera: CameraModel
    found_px: Floats
    predicted_px: Floats


def assess_result(result: HandEyeResult, skipped: Sequence[tuple[str, str]] = ()) -> tuple[ReportFinding, ...]:
    """Return the findings, worst first. skipped: (name, reason) of poses without a board."""
    found = [*_assess_errors(result), *_assess_poses(result)]
    found += [
        ReportFinding(
            "pass", f"{residual.name} was dropped: {residual.reason}.", "Let the robot stand still before each picture."
        )
        for residual in result.residuals
        if residual.reason
    ]
    if skipped:
        names = ", ".join(f"{name} ({reason})" for name, reason in skipped[:5]) + (" ..." if len(skipped) > 5 else "")
        found.append(
            ReportFinding("pass", f"Not used: {names}.", "Show the whole board, sharp and larger in the picture.")
        )
    if not found:
        found = [
            ReportFinding("pass", "Nothing is missing.", "Calibrate again when the camera or the board was touched.")
        ]
    return sort_findings(found)


def build_page(
    subtitle: str,
    result: HandEyeResult,
    stations: Sequence[HandEyeStation],
    pictured: StationImage | None = None,
    skipped: Sequence[tuple[str, str]] = (),
    compared: tuple[str, float, float] | None = None,
) -> ReportPage:
    """Build the page of the report. compared: another method and its distance from this result, m and rad."""
    findings = assess_result(result, skipped)
    names = [residual.name for residual in result.residuals]
    marked = [residual.name for residual in result.residuals if residual.reason]
    in_mm = draw_bars(names, [1000 * r.translation_m for r in result.residuals], unit="mm", marked=marked)
    in_deg = draw_bars(names, [math.degrees(r.rotation_rad) for r in result.residuals], unit="degrees", marked=marked)
    panels = [
        ReportPanel(
            "Each pose: position of the board",
            in_mm,
            "Distance of the board from the position that the result predicts.",
        ),
        ReportPanel(
            "Each pose: orientation of the board",
            in_deg,
            "Large here but small in position: the board was detected badly.",
        ),
        ReportPanel(
            "Rotations of the gripper",
            draw_rotations(stations),
            "Dots in all directions determine the result; dots on a line do not.",
        ),
        ReportPanel("Positions", draw_positions(result, stations), "Seen from above the base, in metres."),
    ]
    if pictured is not None:
        errors = pictured.found_px - pictured.predicted_px
        is_finite = np.isfinite(errors).all(1)
        step = max(1, int(is_finite.sum()) // 500)
        over = draw_error_map(pictured.camera.size, pictured.predicted_px[is_finite][::step], errors[is_finite][::step])
        sizes = np.hypot(*errors[is_finite].T)
        marks = ((float(np.median(sizes)), f"median {np.median(sizes):.2f}"),) if len(sizes) else ()
        panels += [
            ReportPanel("Error over the picture", over, "Detected corners minus those predicted by robot and result."),
            ReportPanel(
                "Distribution of the errors", draw_histogram(sizes, x_label="found minus predicted, px", marks=marks)
            ),
        ]
    return ReportPage(
        title=f"Hand-eye calibration, {result.setup.replace('-', ' ')}",
        subtitle=subtitle,
        verdict=findings[0].level,
        headline=f"{1000 * result.rms_m:.2f} mm, {math.degrees(result.rms_rad):.3f}° rms over "
        f"{len(result.accepted)} poses",
        facts=list_facts(result, compared),
        panels=tuple(panels),
        findings=findings,
    )


def list_facts(result: HandEyeResult, compared: tuple[str, float, float] | None = None) -> tuple[tuple[str, str], ...]:
    """Return (name, value with unit and standard deviation) of every measurement."""
    largest_deg, secondary_deg = math.degrees(result.max_rotation_rad), math.degrees(result.secondary_rotation_rad)
    rotations = f"{largest_deg:.0f}°, rms {secondary_deg:.0f}° about other axes"
    worst = max(result.accepted, key=lambda residual: residual.translation_m)
    rows = [
        *_list_transform(result.transform_names[0], result.x),
        ("poses", f"{len(result.accepted)} of {len(result.residuals)}, by {result.method}"),
        ("largest rotation", rotations),
        *_list_transform(result.transform_names[1], result.y),
        ("worst accepted pose", f"{worst.name}, {1000 * worst.translation_m:.2f} mm"),
    ]
    if compared is not None:
        rows.append((f"distance from {compared[0]}", f"{1000 * compared[1]:.2f} mm, {math.degrees(compared[2]):.3f}°"))
    return tuple(rows)


def draw_rotations(stations: Sequence[HandEyeStation]) -> Image:
    """Draw the gripper's rotations from the first pose: about x and y as position, about z as dot size."""
    first = stations[0].base_from_gripper.inverse()
    rotations = np.degrees([(first @ station.base_from_gripper).rotvec_rad for station in stations])
    reach = max(30.0, float(np.abs(rotations[:, :2]).max()) * 1.1)
    return _scatter(rotations[:, :2], reach, "about x, degrees", "about y, degrees", 2.5 + np.abs(rotations[:, 2]) / 25)


def draw_positions(result: HandEyeResult, stations: Sequence[HandEyeStation]) -> Image:
    """Draw camera and board from above, in the frame of the robot's base."""
    if result.setup == "eye-in-hand":
        places = np.array([(s.base_from_gripper @ result.x.pose).translation_m for s in stations])
        board = result.y.pose.translation_m
    else:
        places = np.array([(result.x.pose @ s.camera_from_board).translation_m for s in stations])
        board = result.x.pose.translation_m
    middle = np.append(places, board[None], axis=0)[:, :2].mean(0)
    reach = max(0.05, float(np.abs(np.append(places, board[None], axis=0)[:, :2] - middle).max()) * 1.15)
    names = ("camera", "board") if result.setup == "eye-in-hand" else ("board", "camera")
    return _scatter(
        places[:, :2],
        reach,
        "x of the base, m",
        "y of the base, m",
        np.full(len(places), 3.5),
        middle,
        board[:2],
        names,
    )


def _scatter(
    points: Floats,
    reach: float,
    x_label: str,
    y_label: str,
    radii: Floats,
    middle: Floats | None = None,
    target: Floats | None = None,
    names: tuple[str, str] = ("", ""),
) -> Image:
    """Draw dots with radii in px in a square of +-`reach` around the middle, and a larger one at the target."""
    x, y = (0.0, 0.0) if middle is None else (float(middle[0]), float(middle[1]))
    side = PANEL[1] - 92
    axes = add_axes(new_figure(*PANEL), (PANEL[0] - side) / 2, 36, side, side, x_label=x_label, x_bins=5)
    axes.set_ylabel(y_label, size=SMALL, color=FAINT, loc="top")
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
    axes.grid(visible=True, color=GRID, linewidth=1)
    draw_dots(axes, points, BLUE, radii, 0.75)
    if target is not None:
        draw_dots(axes, target, AMBER, 7)
        add_legend(axes, {names[0]: BLUE, names[1]: AMBER})
    return render_axes(axes)


def _list_transform(name: str, known: UncertainTransform) -> list[tuple[str, str]]:
    return [
        (f"{name}, mm", "  ".join(f"{1000 * value:.2f}" for value in known.pose.translation_m)),
        ("  standard deviations", _format_deviations(known)),
        ("  quaternion x y z w", "  ".join(f"{value:.5f}" for value in known.pose.quaternion_xyzw)),
    ]


def _format_deviations(known: UncertainTransform) -> str:
    deviations = np.sqrt(np.diag(known.covariance))
    places = "  ".join(f"{1000 * value:.2f}" for value in deviations[:3])
    return f"{places} mm, {math.degrees(float(np.linalg.norm(deviations[3:]))):.3f}°"


def _assess_errors(result: HandEyeResult) -> list[ReportFinding]:
    found, sigma = [], result.x.sigma_m
    if result.rms_m > GOOD_RMS_M:
        found.append(
            ReportFinding(
                "refuse" if result.rms_m > MAX_RMS_M else "warn",
                f"The poses disagree by {1000 * result.rms_m:.1f} mm; good is {1000 * GOOD_RMS_M:g} mm.",
                "Check the setup (camera on the gripper, or beside the robot) and the board's measures, that "
                "quaternions are x y z w and poses base_from_gripper, and that pose and picture are simultaneous.",
            )
        )
    if sigma > GOOD_SIGMA_M:
        found.append(
            ReportFinding(
                "refuse" if sigma > MAX_SIGMA_M else "warn",
                f"{result.transform_names[0]} has a standard deviation of {1000 * sigma:.1f} mm; "
                f"good is {1000 * GOOD_SIGMA_M:g} mm.",
                "Record more poses, nearer to the board and with larger rotations.",
            )
        )
    return found


def _assess_poses(result: HandEyeResult) -> list[ReportFinding]:
    found = []
    if len(result.accepted) < RECOMMENDED_POSES:
        found.append(
            ReportFinding(
                "warn",
                f"{len(result.accepted)} poses are few; good are {RECOMMENDED_POSES} to 15.",
                "Record more.",
            )
        )
    if result.secondary_rotation_rad < GOOD_SECONDARY_ROTATION_RAD:
        found.append(
            ReportFinding(
                "warn",
                f"The gripper rotated mostly about one axis, by {math.degrees(result.secondary_rotation_rad):.0f}° "
                "across it.",
                "Turn it by 30 degrees and more about a second axis, too.",
            )
        )
    return found
