"""What a gaze calibration says of itself: findings, and the page with its figures. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.gaze import (
    GazeCalibration,
    GazeFit,
    GazePairs,
    GazeValidation,
    TargetSamples,
    discarded_share,
    validate,
)
from calibration.gaze.matching import MUCH_DISCARDED
from calibration.gaze.quality import PASS_DEG, PASS_WORST_DEG
from engines import Image
from realtime.commands.calibrate.report import PANEL, ReportFinding, ReportPage, ReportPanel, Verdict
from realtime.commands.calibrate.report_figures import AMBER, BLUE, RED, FigureImage
from realtime.media.chart import FAINT, INK, PAPER, ChartAxes, ChartCanvas, Colour

Floats = NDArray[np.float64]
LILAC: Colour = (167, 121, 204)
LEVELS: tuple[tuple[float, Colour], ...] = (
    (0.5, (200, 120, 20)), (1.0, (190, 190, 60)), (1.5, (90, 190, 130)), (2.0, (40, 190, 235)), (3.0, (30, 110, 235)),
)  # fmt: skip
BEYOND: Colour = (110, 40, 170)
"""Colours of the error map by degrees: up to the level, and beyond the last; they are shown pale."""
_CELLS = (64, 40)
_DOTS = 400
_LITTLE_COVERED = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class GazeResult:
    """All that a calibration came to, for its page.

    fit, targets: None where an existing calibration was only judged. pairs, checks: what was collected to fit and to
    judge. before: the judgement of the same looks without the calibration. missed: names of targets that gave too
    little. picture: one of the scene.
    """

    calibration: GazeCalibration
    fit: GazeFit | None
    targets: TargetSamples | None
    pairs: Sequence[GazePairs]
    checks: Sequence[GazePairs]
    before: GazeValidation | None
    missed: tuple[str, ...]
    picture: Image
    source: str
    file: str


def uncalibrated(checks: Sequence[GazePairs], calibration: GazeCalibration) -> GazeValidation | None:
    """The error of the same looks as the tracker gave them."""
    return validate(checks, calibration.view, lambda look: look) if any(p.usable for p in checks) else None


def page(found: GazeResult, date: str) -> ReportPage:
    """The report's page."""
    calibration = found.calibration
    findings = judge(found)
    wide, high = calibration.view.size
    panels = [
        ReportPanel("Before: what the tracker says", *_looks(found, corrected=False)),
        ReportPanel("After: the same looks, calibrated", *_looks(found, corrected=True)),
        ReportPanel("Error over the picture", *_map(found)),
    ]
    if found.before is not None and calibration.validation is not None:
        panels.append(
            ReportPanel("Errors on the other targets", _histogram(found), "share of the looks, before and after")
        )
    return ReportPage(
        title="Gaze calibration" if found.fit is not None else "Gaze validation",
        subtitle=f"{found.source}, {wide} x {high} px, {date}",
        verdict=findings[0].level,
        headline=headline(calibration),
        facts=facts(found),
        panels=tuple(panels),
        findings=findings,
    )


def headline(calibration: GazeCalibration) -> str:
    """The result in one sentence."""
    if calibration.validation is not None:
        return calibration.validation.reason
    return f"{calibration.expected_deg:.2f} degrees expected; not validated on other targets"


def facts(found: GazeResult) -> tuple[tuple[str, str], ...]:
    """(name, value with unit) of what was measured."""
    calibration, checked, before = found.calibration, found.calibration.validation, found.before
    deg_px = float(calibration.view.px_per_degree([[s / 2 for s in calibration.view.size]])[0])
    out: list[tuple[str, str]] = []
    if checked is not None:
        was = f"{before.accuracy_deg:.2f}° -> " if before is not None else ""
        bias = f"({before.bias_deg[0]:+.2f}°, {before.bias_deg[1]:+.2f}°) -> " if before is not None else ""
        out += [
            ("accuracy on other targets", f"{was}{checked.accuracy_deg:.2f}°"),
            ("median, 95th percentile", f"{checked.median_deg:.2f}°, {checked.p95_deg:.2f}°"),
            ("worst target", f"{checked.worst.accuracy_deg:.2f}°, {checked.worst.name}"),
            ("bias right, down", f"{bias}({checked.bias_deg[0]:+.2f}°, {checked.bias_deg[1]:+.2f}°)"),
            (f"precision, sample to sample at {checked.rate_hz:.0f} Hz", f"{checked.precision_deg:.2f}°"),
            ("precision, BCEA 68 %", f"{checked.bcea_deg2:.2f} square degrees"),
            ("samples lost", f"{checked.loss:.1%}"),
        ]
    out += [
        ("error radius of each look", f"{calibration.radius_deg:.2f}°, {calibration.radius_deg * deg_px:.1f} px"),
        ("one degree", f"{deg_px:.1f} px" + ("" if calibration.view.exact else ", guessed")),
        ("model", calibration.map.kind),
    ]
    if found.fit is not None and found.targets is not None:
        errors = ", ".join(f"{kind} {error:.2f}" for kind, error in found.fit.left_out_deg.items())
        out += [
            ("left-out error, °", errors),
            ("targets, samples", f"{int((found.fit.trust > 0).sum())}, {sum(found.targets.samples)}"),
            ("stray samples left out", f"{sum(found.targets.strays)}"),
            ("looks without confidence", f"{discarded_share(found.pairs):.1%}"),
        ]
    return tuple(out)


def judge(found: GazeResult) -> tuple[ReportFinding, ...]:
    """What was found and what to do, the worst first."""
    out = [*_verdict(found), *_targets(found), *_tracker(found), *_place(found)]
    if not any(finding.level == "refuse" for finding in out):
        use = f"gazecast run --source {found.source} --calibration {found.file}"
        out.append(ReportFinding("pass", f"Use it: {use}", "When the headset has slipped: gazecast calibrate drift"))
    order: list[Verdict] = ["refuse", "warn", "pass"]
    return tuple(sorted(out, key=lambda finding: order.index(finding.level)))


def _verdict(found: GazeResult) -> list[ReportFinding]:
    checked = found.calibration.validation
    if checked is None:
        return [
            ReportFinding(
                "warn", "Nobody has measured this calibration on other targets.", "gazecast calibrate validate"
            )
        ]
    if checked.verdict == "refuse":
        return [ReportFinding("refuse", f"Gaze is {checked.reason}.", "Adjust the eye cameras, then calibrate again.")]
    out: list[ReportFinding] = []
    if checked.worst.accuracy_deg > PASS_WORST_DEG:
        what = f"At {checked.worst.name} gaze is off by {checked.worst.accuracy_deg:.1f}°."
        out.append(ReportFinding("warn", what, "Repeat the targets near it; look at the middle of each marker."))
    if checked.accuracy_deg > PASS_DEG:
        what = f"{checked.accuracy_deg:.1f}° is more than {PASS_DEG:g}°; choose larger things, or nearer ones."
        out.append(
            ReportFinding(
                "warn", what, "Adjust the headset so that the eye cameras see the pupils, and calibrate again."
            )
        )
    return out


def _targets(found: GazeResult) -> list[ReportFinding]:
    out: list[ReportFinding] = []
    if found.fit is not None and found.targets is not None:
        off = [name for name, trust in zip(found.targets.names, found.fit.trust, strict=True) if trust == 0]
        if off:
            out.append(
                ReportFinding("warn", f"Not looked at, it seems: {', '.join(off)}. Left out.", "Repeat with key r.")
            )
    if found.missed:
        out.append(
            ReportFinding(
                "warn", f"Too few samples at: {', '.join(found.missed)}.", "Keep them in the picture, and look."
            )
        )
    return out


def _tracker(found: GazeResult) -> list[ReportFinding]:
    share = discarded_share([*found.pairs, *found.checks])
    if share <= MUCH_DISCARDED:
        return []
    what = f"The tracker was not sure of {share:.0%} of the looks."
    return [ReportFinding("warn", what, "Adjust the eye cameras; keep direct sun off the eyes; clean the lenses.")]


def _place(found: GazeResult) -> list[ReportFinding]:
    out: list[ReportFinding] = []
    view = found.calibration.view
    if not view.exact:
        what = "No camera calibration was given: a degree is taken to be 1 % of the picture's width."
        out.append(ReportFinding("warn", what, "gazecast calibrate camera, then calibrate gaze with --camera FILE."))
    hull = _hull_px(found.calibration)
    covered = float(cv2.contourArea(hull.astype(np.float32))) / (view.size[0] * view.size[1])
    if covered < _LITTLE_COVERED:
        what = f"The targets cover {covered:.0%} of the picture; beyond them gaze is extrapolated."
        out.append(ReportFinding("warn", what, "Come nearer to the screen, or calibrate with --method head."))
    return out


# -- figures ----------------------------------------------------------------------------------------------------------


def _looks(found: GazeResult, *, corrected: bool) -> tuple[Image, str]:
    """Targets and the looks at them in the picture, and how to read it."""
    calibration = found.calibration
    wide, high = calibration.view.size
    picture = FigureImage((wide, high), found.picture)
    shown = [(pairs, colour) for pairs, colour in _all_pairs(found) if len(pairs)]
    offsets = [(calibration.apply(p.look_px).px if corrected else p.look_px) - p.target_px for p, _ in shown]
    grow = magnified(offsets, 0.025 * wide) if corrected else 1
    for (pairs, colour), offset in zip(shown, offsets, strict=True):
        x, y = (float(value) for value in np.median(pairs.target_px, axis=0))
        picture.dot(x, y, INK, 5.5, 0.75)
        picture.dot(x, y, PAPER, 4.0)
        reach = 0.07 * wide / np.maximum(grow * np.linalg.norm(offset, axis=1), 1e-9)
        at = (x, y) + grow * offset * (np.minimum(reach, 1.0)[:, None] if corrected else 1.0)
        for px, py in at[:: max(1, len(at) // _DOTS)]:
            picture.dot(float(px), float(py), colour, 1.5, 0.45)
        if corrected:  # the ring again, on top of the looks
            picture.dot(x, y, INK, 3.0)
            picture.dot(x, y, PAPER, 1.8)
        if not corrected:
            mx, my = (float(value) for value in np.median(at, axis=0))
            picture.line([(mx, my), (x, y)], AMBER, 1.4)
    entries = [(BLUE, "looks it was calibrated with")] if found.pairs else []
    entries += [(LILAC, "looks at other targets")] if found.checks else []
    picture.legend(entries if corrected else [*entries, (AMBER, "error")])
    caption = "a dot is a look, a ring its target"
    return _cropped(picture, high), f"{caption}; errors drawn {grow} times as large" if grow > 1 else caption


def _all_pairs(found: GazeResult) -> list[tuple[GazePairs, Colour]]:
    return [*((pairs, BLUE) for pairs in found.pairs), *((pairs, LILAC) for pairs in found.checks)]


def magnified(offsets: Sequence[Floats], wanted_px: float) -> int:
    """By how much to enlarge (N, 2) offsets so that most of them come to about so many pixels: 1, 2, 5, 10 or 20."""
    sizes = [np.linalg.norm(offset, axis=-1).ravel() for offset in offsets]
    typical = float(np.percentile(np.concatenate(sizes), 80)) if sizes else wanted_px
    return next((grow for grow in (20, 10, 5, 2) if grow * typical <= wanted_px), 1)


def _cropped(picture: FigureImage, high: int) -> Image:
    """The panel without the room that a wide picture leaves below its legend."""
    return picture.finished()[: min(PANEL[1], round(picture.at(0, high - 1)[1] + 40))]


def _map(found: GazeResult) -> tuple[Image, str]:
    """The expected error all over the picture, the hull, what was found at the other targets; and how to read it."""
    calibration = found.calibration
    wide, high = calibration.view.size
    xs, ys = np.linspace(0, wide - 1, _CELLS[0]), np.linspace(0, high - 1, _CELLS[1])
    places = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    # Where the eyes are, not where the tracker says so: a step back along the correction is near enough for a map.
    raw = 2 * places - calibration.apply(places).px
    applied = calibration.apply(raw)
    degrees = (applied.radius_px / calibration.view.px_per_degree(applied.px)).reshape(_CELLS[1], _CELLS[0])
    tint = np.full((*degrees.shape, 3), BEYOND, np.uint8)
    for level, colour in reversed(LEVELS):
        tint[degrees <= level] = colour
    large = cv2.resize(tint, (wide, high), interpolation=cv2.INTER_NEAREST)
    picture = FigureImage((wide, high), np.asarray(large, np.uint8))
    hull = _hull_px(calibration)
    _dashed(picture, [(float(x), float(y)) for x, y in [*hull, hull[0]]], 0.012 * wide)
    checked = calibration.validation
    targets = checked.targets if checked is not None else ()
    ends = [calibration.view.pixels(np.cumsum([t.place_deg, t.offset_deg], axis=0)) for t in targets]
    grow = magnified([to - at for at, to in ends], 0.06 * wide)
    for target, (at, to) in zip(targets, ends, strict=True):
        (x, y), (dx, dy) = at.tolist(), (grow * (to - at)).tolist()
        picture.dot(x, y, INK, 3.5)
        picture.arrow(x, y, dx, dy, RED, 1.8)
        picture.text(x, y + (0.06 if dy < 0 else -0.04) * high, f"{target.accuracy_deg:.2f} deg", INK, 8)
    used = degrees.max()
    last = next((n for n, (level, _) in enumerate(LEVELS, 1) if used <= level), len(LEVELS) + 1)
    first = sum(level < degrees.min() for level, _ in LEVELS)
    shown = [*((colour, f"to {level:g} deg") for level, colour in LEVELS), (BEYOND, "more")]
    picture.legend([(_pale(colour), text) for colour, text in shown[first:last]])
    caption = "what to expect where; extrapolated outside the dashed line"
    return _cropped(picture, high), f"{caption}; arrows {grow} times as long" if targets and grow > 1 else caption


def _histogram(found: GazeResult) -> Image:
    """Shares of the looks at the other targets by their error, before and after."""
    view = found.calibration.view
    both: list[Floats] = []
    for correct in (lambda look: look, found.calibration.corrected_deg):
        each = [view.between_deg(correct(view.degrees(p.look_px)), view.degrees(p.target_px)) for p in found.checks]
        both.append(np.concatenate(each))
    top = max(2.0, float(np.percentile(np.concatenate(both), 99)) * 1.15)
    edges = np.linspace(0, top, 41)
    shares = [100 * np.histogram(np.minimum(e, top), edges)[0] / len(e) for e in both]
    most = max(float(s.max()) for s in shares) * 1.15
    canvas = ChartCanvas(*PANEL)
    axes = ChartAxes(54, 46, PANEL[0] - 76, PANEL[1] - 112, (0, top), (0, most))
    axes.draw(canvas, title="", x_label="degrees", y_label="% of the looks", y_ticks=4)
    for share, colour, inset in zip(shares, (AMBER, BLUE), (0.0, 1.5), strict=True):
        for part, left, right in zip(share, edges[:-1], edges[1:], strict=True):
            (x0, y0), (x1, y1) = axes.at(left, float(part)), axes.at(right, 0)
            if part:
                canvas.box(x0 + inset, y0, x1 - x0 - 0.5 - 2 * inset, max(1.0, y1 - y0), colour)
    x, bottom = axes.at(PASS_DEG, 0)
    canvas.line([(x, axes.top), (x, bottom)], FAINT, 1.2)
    canvas.text(x + 5, axes.top + 10, f"good: {PASS_DEG:g}", height=8, colour=FAINT)
    for number, (colour, name, errors) in enumerate(zip((AMBER, BLUE), ("before", "after"), both, strict=True)):
        canvas.dot(axes.left + 5 + 200 * number, axes.top - 18, colour, 5)
        text = f"{name}: median {np.median(errors):.2f} deg"
        canvas.text(axes.left + 15 + 200 * number, axes.top - 14, text, height=8, colour=INK)
    return canvas.finished()


def _hull_px(calibration: GazeCalibration) -> Floats:
    """(H, 2) px: what the targets covered, where the eyes were."""
    return calibration.view.pixels(calibration.corrected_deg(calibration.map.hull_deg))


def _pale(colour: Colour) -> Colour:
    """As a background's colour comes out on a `FigureImage`."""
    blue, green, red = (round(0.45 * part + 0.55 * 255) for part in colour)
    return blue, green, red


def _dashed(picture: FigureImage, points: Sequence[tuple[float, float]], dash_px: float) -> None:
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        pieces = max(1, round(np.hypot(x1 - x0, y1 - y0) / dash_px))
        for piece in range(0, pieces, 2):
            a, b = piece / pieces, min(1.0, (piece + 1) / pieces)
            start, end = (x0 + a * (x1 - x0), y0 + a * (y1 - y0)), (x0 + b * (x1 - x0), y0 + b * (y1 - y0))
            picture.line([start, end], INK, 1.4)
