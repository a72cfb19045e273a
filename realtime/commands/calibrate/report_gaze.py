"""Builds the report of a gaze calibration: findings, and the page with its figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.gaze.calibrated import GazeCalibration, TargetSamples
from calibration.gaze.mapping import GazeFit
from calibration.gaze.matching import MAX_DISCARDED_SHARE, GazePairs, compute_discarded_share
from calibration.gaze.quality import PASS_DEG, PASS_WORST_DEG, GazeValidation, validate_gaze
from calibration.lens import Floats
from engines import Image
from realtime.commands.calibrate.report import ReportFinding, ReportPage, ReportPanel, sort_findings
from realtime.commands.calibrate.report_figures import (
    PALENESS,
    create_axes,
    create_image_axes,
    draw_arrows,
    render_axes,
)
from realtime.media.chart import AMBER, BLUE, FAINT, INK, LILAC, PAPER, VERMILLION, add_legend, draw_dots, label, mix

LEVELS: tuple[tuple[float, str], ...] = (
    (0.5, "#1478c8"), (1.0, "#3cbebe"), (1.5, "#82be5a"), (2.0, "#ebbe28"), (3.0, "#eb6e1e"), (float("inf"), "#aa286e"),
)  # fmt: skip
"""(upper limit in degrees, colour) of the levels of the error map, which are drawn pale."""
_CELLS = (64, 40)
_MAX_DOTS = 400
_MIN_COVERED_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class GazeResult:
    """Holds the complete result of a calibration or validation.

    fit, targets: None for a validation only. pairs, checks: samples for the fit and for the validation. missed: names
    of targets with too few samples. picture: one scene frame.
    """

    calibration: GazeCalibration
    fit: GazeFit | None
    targets: TargetSamples | None
    pairs: Sequence[GazePairs]
    checks: Sequence[GazePairs]
    missed: tuple[str, ...]
    picture: Image
    source: str
    file: str

    @property
    def before(self) -> GazeValidation | None:
        """The validation of the same samples without the calibration; None without usable samples."""
        if not any(pairs.is_usable for pairs in self.checks):
            return None
        return validate_gaze(self.checks, self.calibration.view, lambda gaze_deg: gaze_deg)


def build_page(found: GazeResult, date: str) -> ReportPage:
    """Build the page of the report."""
    findings, checked = assess_result(found), found.calibration.validation
    wide, high = found.calibration.view.size
    expected = f"{found.calibration.expected_deg:.2f} degrees expected; not validated on other targets"
    panels = [
        ReportPanel("Before: gaze as the tracker reports it", *_draw_samples(found, corrected=False)),
        ReportPanel("After: the same samples, calibrated", *_draw_samples(found, corrected=True)),
        ReportPanel("Error over the picture", *_draw_expected_error(found)),
    ]
    if found.before is not None and checked is not None:
        caption = "share of the gaze samples, before and after"
        panels.append(ReportPanel("Errors on the other targets", _draw_error_shares(found), caption))
    return ReportPage(
        title="Gaze calibration" if found.fit is not None else "Gaze validation",
        subtitle=f"{found.source}, {wide} x {high} px, {date}",
        verdict=findings[0].level,
        headline=checked.reason if checked is not None else expected,
        facts=list_facts(found),
        panels=tuple(panels),
        findings=findings,
    )


def list_facts(found: GazeResult) -> tuple[tuple[str, str], ...]:
    """Return (name, value with unit) of every measurement; names are keys of the record's `facts`."""
    calibration, checked, before = found.calibration, found.calibration.validation, found.before
    deg_px = float(calibration.view.px_per_degree([[s / 2 for s in calibration.view.size]])[0])
    out: list[tuple[str, str]] = []
    if checked is not None:
        was = f"{before.accuracy_deg:.2f}° -> " if before is not None else ""
        bias = " -> ".join("({:+.2f}°, {:+.2f}°)".format(*one.bias_deg) for one in (before, checked) if one is not None)
        out += [
            ("accuracy on other targets", f"{was}{checked.accuracy_deg:.2f}°"),
            ("median, 95th percentile", f"{checked.median_deg:.2f}°, {checked.p95_deg:.2f}°"),
            ("worst target", f"{checked.worst.accuracy_deg:.2f}°, {checked.worst.name}"),
            ("bias right, down", bias),
            (f"precision, sample to sample at {checked.rate_hz:.0f} Hz", f"{checked.precision_deg:.2f}°"),
            ("precision, BCEA 68 %", f"{checked.bcea_deg2:.2f} square degrees"),
            ("samples lost", f"{checked.loss:.1%}"),
        ]
    out += [
        ("error radius of each look", f"{calibration.radius_deg:.2f}°, {calibration.radius_deg * deg_px:.1f} px"),
        ("one degree", f"{deg_px:.1f} px" + ("" if calibration.view.is_exact else ", guessed")),
        ("model", calibration.map.kind),
    ]
    if found.fit is not None and found.targets is not None:
        errors = found.fit.leave_one_out_deg.items()
        out += [
            ("left-out error, °", ", ".join(f"{kind} {error:.2f}" for kind, error in errors)),
            ("targets, samples", f"{int((found.fit.target_weights > 0).sum())}, {sum(found.targets.samples)}"),
            ("stray samples left out", f"{sum(found.targets.outliers)}"),
            ("samples without confidence", f"{compute_discarded_share(found.pairs):.1%}"),
        ]
    return tuple(out)


def assess_result(found: GazeResult) -> tuple[ReportFinding, ...]:
    """Return the findings with advice, worst first."""
    out = [*_assess_accuracy(found), *_assess_samples(found), *_assess_coverage(found)]
    if not any(finding.level == "refuse" for finding in out):
        use = f"gazecast run --source {found.source} --calibration {found.file}"
        out.append(ReportFinding("pass", f"Use it: {use}", "When the headset has slipped: gazecast calibrate drift"))
    return sort_findings(out)


def _assess_accuracy(found: GazeResult) -> Iterator[ReportFinding]:
    checked = found.calibration.validation
    if checked is None:
        message = "This calibration was not validated on other targets."
        yield ReportFinding("warn", message, "gazecast calibrate validate")
    elif checked.verdict == "refuse":
        yield ReportFinding("refuse", f"Gaze is {checked.reason}.", "Adjust the eye cameras, then calibrate again.")
    else:
        if checked.worst.accuracy_deg > PASS_WORST_DEG:
            message = f"At {checked.worst.name} gaze is off by {checked.worst.accuracy_deg:.1f}°."
            yield ReportFinding("warn", message, "Repeat the targets near it; fixate the centre of each marker.")
        if checked.accuracy_deg > PASS_DEG:
            message = f"{checked.accuracy_deg:.1f}° is more than {PASS_DEG:g}°; choose larger or nearer objects."
            advice = "Adjust the headset so that the eye cameras see the pupils, and calibrate again."
            yield ReportFinding("warn", message, advice)


def _assess_samples(found: GazeResult) -> Iterator[ReportFinding]:
    if found.fit is not None and found.targets is not None:
        off = [name for name, trust in zip(found.targets.names, found.fit.target_weights, strict=True) if trust == 0]
        if off:
            yield ReportFinding("warn", f"Probably not fixated, left out: {', '.join(off)}.", "Repeat with key r.")
    if found.missed:
        message = f"Too few samples at: {', '.join(found.missed)}."
        yield ReportFinding("warn", message, "Keep them in the picture, and fixate each.")
    share = compute_discarded_share([*found.pairs, *found.checks])
    if share > MAX_DISCARDED_SHARE:
        message = f"The tracker's confidence was too low in {share:.0%} of the samples."
        advice = "Adjust the eye cameras; keep direct sun off the eyes; clean the lenses."
        yield ReportFinding("warn", message, advice)


def _assess_coverage(found: GazeResult) -> Iterator[ReportFinding]:
    view = found.calibration.view
    if not view.is_exact:
        message = "No camera calibration was given: one degree is assumed to be 1 % of the picture's width."
        yield ReportFinding("warn", message, "gazecast calibrate camera, then calibrate gaze with --camera FILE.")
    hull = _hull_px(found.calibration)
    covered = float(cv2.contourArea(hull.astype(np.float32))) / (view.size[0] * view.size[1])
    if covered < _MIN_COVERED_SHARE:
        message = f"The targets cover {covered:.0%} of the picture; beyond them gaze is extrapolated."
        yield ReportFinding("warn", message, "Come nearer to the screen, or calibrate with --method head.")


def _draw_samples(found: GazeResult, *, corrected: bool) -> tuple[Image, str]:
    """Draw targets and their gaze samples over the picture; also return the caption."""
    calibration = found.calibration
    wide = calibration.view.size[0]
    roles = ((found.pairs, "samples of the fit", BLUE), (found.checks, "samples at other targets", LILAC))
    legend = {text: color for samples, text, color in roles if samples} | ({} if corrected else {"error": AMBER})
    axes = create_image_axes(calibration.view.size, legend, found.picture, is_cropped=True)
    drawn = [(pairs, color) for samples, _, color in roles for pairs in samples if len(pairs)]
    offsets = [(calibration.apply(p.gaze_px).px if corrected else p.gaze_px) - p.target_px for p, _ in drawn]
    grow = choose_magnification(offsets, 0.025 * wide) if corrected else 1
    for (pairs, color), offset in zip(drawn, offsets, strict=True):
        target = np.median(pairs.target_px, axis=0)
        reach = 0.07 * wide / np.maximum(grow * np.linalg.norm(offset, axis=1), 1e-9)
        at = target + grow * offset * (np.minimum(reach, 1.0)[:, None] if corrected else 1.0)
        draw_dots(axes, at[:: max(1, len(at) // _MAX_DOTS)], color, 1.6, 0.5)
        axes.plot(*target, "o", markersize=5 if corrected else 8, color=PAPER, markeredgecolor=INK)
        if not corrected:
            axes.plot(*np.column_stack([np.median(at, axis=0), target]), color=AMBER, linewidth=1.8)
    caption = "each dot is a gaze sample, each ring its target"
    return render_axes(axes), f"{caption}; errors drawn {grow} times as large" if grow > 1 else caption


def choose_magnification(offsets: Sequence[Floats], wanted_px: float) -> int:
    """Choose a factor, 1 to 20, for which most (N, 2) offsets stay within `wanted_px`."""
    sizes = [np.linalg.norm(offset, axis=-1).ravel() for offset in offsets]
    typical = float(np.percentile(np.concatenate(sizes), 80)) if sizes else wanted_px
    return next((grow for grow in (20, 10, 5, 2) if grow * typical <= wanted_px), 1)


def _draw_expected_error(found: GazeResult) -> tuple[Image, str]:
    """Draw expected error, hull and validated targets; also return the caption."""
    calibration, view = found.calibration, found.calibration.view
    grid = np.meshgrid(*(np.linspace(0, side - 1, cells) for side, cells in zip(view.size, _CELLS, strict=True)))
    places = np.stack(grid, -1).reshape(-1, 2)
    # Cells are true gaze positions; one step back along the correction approximates the tracker's raw gaze.
    applied = calibration.apply(2 * places - calibration.apply(places).px)
    degrees = (applied.radius_px / view.px_per_degree(applied.px)).reshape(_CELLS[::-1])
    level = np.searchsorted([limit for limit, _ in LEVELS], degrees)
    tints = np.array([tuple(bytes.fromhex(color[1:]))[::-1] for _, color in LEVELS], np.uint8)
    legend = {
        f"to {limit:g}°" if limit < float("inf") else "more": mix(color, PALENESS)
        for limit, color in LEVELS[level.min() : level.max() + 1]
    }
    axes = create_image_axes(view.size, legend, tints[level], is_cropped=True)
    hull = _hull_px(calibration)
    axes.plot(*np.append(hull, hull[:1], axis=0).T, color=INK, linewidth=1.4, linestyle="--")
    targets = calibration.validation.targets if calibration.validation is not None else ()
    ends = [view.to_pixels(np.cumsum([t.place_deg, t.offset_deg], axis=0)) for t in targets]
    grow = choose_magnification([to - at for at, to in ends], 0.06 * view.size[0])
    for target, (at, to) in zip(targets, ends, strict=True):
        axes.plot(*at, "o", markersize=7, color=INK)
        draw_arrows(axes, at[None], grow * (to - at)[None], VERMILLION, 2.2)
        side = -1 if to[1] < at[1] else 1
        label(axes, at[0], at[1], f"{target.accuracy_deg:.2f}°", xytext=(0, 16 * side), ha="center", va="center")
    caption = "expected error; extrapolated outside the dashed line"
    return render_axes(axes), f"{caption}; arrows {grow} times as long" if targets and grow > 1 else caption


def _draw_error_shares(found: GazeResult) -> Image:
    """Draw the distribution of errors at the other targets, before and after."""
    view = found.calibration.view
    gaze_deg = view.to_degrees(np.concatenate([pairs.gaze_px for pairs in found.checks]))
    target_deg = view.to_degrees(np.concatenate([pairs.target_px for pairs in found.checks]))
    both = [view.angles_between_deg(gaze, target_deg) for gaze in (gaze_deg, found.calibration.correct_deg(gaze_deg))]
    top = max(2.0, float(np.percentile(np.concatenate(both), 99)) * 1.15)
    edges = np.linspace(0, top, 41)
    shares = [100 * np.histogram(np.minimum(e, top), edges)[0] / len(e) for e in both]
    axes = create_axes(x_label="error, degrees", y_label="% of the samples")
    for share, color in zip(shares, (AMBER, BLUE), strict=True):
        axes.stairs(share, edges, fill=True, color=color, alpha=0.75)
    axes.set(xlim=(0, top), ylim=(0, max(float(share.max()) for share in shares) * 1.15))
    axes.axvline(PASS_DEG, color=FAINT, linewidth=1.2)
    label(axes, PASS_DEG, axes.get_ylim()[1], f"good: {PASS_DEG:g}°", color=FAINT, xytext=(5, -12))
    medians = [float(np.median(errors)) for errors in both]
    add_legend(axes, {f"before: median {medians[0]:.2f}°": AMBER, f"after: median {medians[1]:.2f}°": BLUE})
    return render_axes(axes)


def _hull_px(calibration: GazeCalibration) -> Floats:
    """Return the (H, 2) px hull of the targets in corrected gaze."""
    return calibration.view.to_pixels(calibration.correct_deg(calibration.map.hull_deg))
