"""What a hand-eye calibration says of itself: verdict, findings, and the page. Pure."""

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
from realtime.commands.calibrate.report import PANEL, ReportFinding, ReportPage, ReportPanel, Verdict
from realtime.commands.calibrate.report_figures import draw_bars, draw_error_map, draw_histogram, render_axes
from realtime.media.chart import AMBER, BLUE, FAINT, GRID, SMALL, add_axes, add_legend, draw_dots, new_figure

GOOD_SIGMA_M, MOST_SIGMA_M = 0.002, 0.01
GOOD_RMS_M, MOST_RMS_M = 0.003, 0.015
GOOD_SECOND_TURN_RAD = math.radians(10)


@dataclass(frozen=True, slots=True, eq=False)
class StationImage:
    """Corners as the camera found them, and as the robot's poses and the result predict them: (N, 2) px each."""

    camera: CameraModel
    found_px: Floats
    predicted_px: Floats


def assess_result(result: HandEyeResult, skipped: Sequence[tuple[str, str]] = ()) -> tuple[ReportFinding, ...]:
    """What was found and what to do, the worst first. skipped: (name, reason) of poses without a board."""
    found = [*_errors(result), *_poses(result)]
    found += [
        ReportFinding(
            "pass", f"{residual.name} was dropped: {residual.reason}.", "Let the robot stand before each picture."
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
    order: list[Verdict] = ["refuse", "warn", "pass"]
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def build_page(
    subtitle: str,
    result: HandEyeResult,
    stations: Sequence[HandEyeStation],
    pictured: StationImage | None = None,
    skipped: Sequence[tuple[str, str]] = (),
    compared: tuple[str, float, float] | None = None,
) -> ReportPage:
    """The report's page. compared: another method, and how far its result is from this one, m and rad."""
    findings = assess_result(result, skipped)
    names = [residual.name for residual in result.residuals]
    marked = [residual.name for residual in result.residuals if residual.reason]
    in_mm = draw_bars(names, [1000 * r.translation_m for r in result.residuals], unit="mm", marked=marked)
    in_deg = draw_bars(names, [math.degrees(r.rotation_rad) for r in result.residuals], unit="degrees", marked=marked)
    panels = [
        ReportPanel("Each pose: place of the board", in_mm, "How far the board was from where the result puts it."),
        ReportPanel("Each pose: direction of the board", in_deg, "Large turns with small places: a badly seen board."),
        ReportPanel(
            "How the gripper turned", draw_rotations(stations), "Dots all round fix the result; dots on a line do not."
        ),
        ReportPanel("Where the camera was", draw_positions(result, stations), "Seen from above the base, in metres."),
    ]
    if pictured is not None:
        errors = pictured.found_px - pictured.predicted_px
        seen = np.isfinite(errors).all(1)
        step = max(1, int(seen.sum()) // 500)
        over = draw_error_map(pictured.camera.size, pictured.predicted_px[seen][::step], errors[seen][::step])
        sizes = np.hypot(*errors[seen].T)
        marks = ((float(np.median(sizes)), f"median {np.median(sizes):.2f}"),) if len(sizes) else ()
        panels += [
            ReportPanel(
                "Error over the picture", over, "Corners found, minus where robot and result say that they are."
            ),
            ReportPanel(
                "How large the errors are", draw_histogram(sizes, x_label="found minus predicted, px", marks=marks)
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
    """(name, value with unit and standard deviation) of what was measured."""
    largest_deg, secondary_deg = math.degrees(result.max_rotation_rad), math.degrees(result.secondary_rotation_rad)
    turns = f"{largest_deg:.0f}°, rms {secondary_deg:.0f}° about other axes"
    worst = max(result.accepted, key=lambda residual: residual.translation_m)
    rows = [
        *_transform(result.transform_names[0], result.x),
        ("poses", f"{len(result.accepted)} of {len(result.residuals)}, by {result.method}"),
        ("largest turn", turns),
        *_transform(result.transform_names[1], result.y),
        ("worst pose that was kept", f"{worst.name}, {1000 * worst.translation_m:.2f} mm"),
    ]
    if compared is not None:
        rows.append((f"away from {compared[0]}", f"{1000 * compared[1]:.2f} mm, {math.degrees(compared[2]):.3f}°"))
    return tuple(rows)


def draw_rotations(stations: Sequence[HandEyeStation]) -> Image:
    """The gripper's turns against the first pose: about its x and y axes as place, about z as the size of the dot."""
    first = stations[0].base_from_gripper.inverse()
    turns = np.degrees([(first @ station.base_from_gripper).rotvec_rad for station in stations])
    reach = max(30.0, float(np.abs(turns[:, :2]).max()) * 1.1)
    return _scatter(turns[:, :2], reach, "about x, degrees", "about y, degrees", 2.5 + np.abs(turns[:, 2]) / 25)


def draw_positions(result: HandEyeResult, stations: Sequence[HandEyeStation]) -> Image:
    """The camera and the board from above: in the base's frame for eye in hand, in the camera's for eye to hand."""
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
    """Draw dots of so many px in a square of +-`reach` around the middle, and a larger one at the target."""
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


def _transform(name: str, known: UncertainTransform) -> list[tuple[str, str]]:
    return [
        (f"{name}, mm", "  ".join(f"{1000 * value:.2f}" for value in known.pose.translation_m)),
        ("  standard deviations", _sigmas(known)),
        ("  quaternion x y z w", "  ".join(f"{value:.5f}" for value in known.pose.quaternion_xyzw)),
    ]


def _sigmas(known: UncertainTransform) -> str:
    deviations = np.sqrt(np.diag(known.covariance))
    places = "  ".join(f"{1000 * value:.2f}" for value in deviations[:3])
    return f"{places} mm, {math.degrees(float(np.linalg.norm(deviations[3:]))):.3f}°"


def _errors(result: HandEyeResult) -> list[ReportFinding]:
    found, sigma = [], result.x.sigma_m
    if result.rms_m > GOOD_RMS_M:
        found.append(
            ReportFinding(
                "refuse" if result.rms_m > MOST_RMS_M else "warn",
                f"The poses disagree by {1000 * result.rms_m:.1f} mm; good is {1000 * GOOD_RMS_M:g} mm.",
                "Check the setup (camera on the gripper, or beside the robot) and the board's measures, that "
                "quaternions are x y z w and poses base_from_gripper, and that picture and pose are of one moment.",
            )
        )
    if sigma > GOOD_SIGMA_M:
        found.append(
            ReportFinding(
                "refuse" if sigma > MOST_SIGMA_M else "warn",
                f"{result.transform_names[0]} is known to {1000 * sigma:.1f} mm; good is {1000 * GOOD_SIGMA_M:g} mm.",
                "Take more poses, nearer to the board and turned more.",
            )
        )
    return found


def _poses(result: HandEyeResult) -> list[ReportFinding]:
    found = []
    if len(result.accepted) < RECOMMENDED_POSES:
        found.append(
            ReportFinding(
                "warn",
                f"{len(result.accepted)} poses are few; good are {RECOMMENDED_POSES} to 15.",
                "Take more of them.",
            )
        )
    if result.secondary_rotation_rad < GOOD_SECOND_TURN_RAD:
        found.append(
            ReportFinding(
                "warn",
                f"The gripper turned mostly about one axis, by {math.degrees(result.secondary_rotation_rad):.0f}° "
                "across it.",
                "Turn it by 30 degrees and more about a second axis, too.",
            )
        )
    return found
