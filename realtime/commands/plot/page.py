"""The picture of a recording: lateness, states, objects, gaze, rates and drops, one below the other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engines import Image
from realtime.commands.plot.command import RecordingSummary, StateSpan, TimeSeries, name_of
from realtime.commands.plot.figures import TICKS, ceiling, columns_of, heated, lanes_of, runs, windows
from realtime.comms import STATES
from realtime.infra.metrics import percentiles
from realtime.media.chart import FAINT, GRID, ChartAxes, ChartCanvas, Colour, plain, text_width, ticks
from realtime.media.overlay import COLOURS
from realtime.recording.labels import ObjectLabel

# blue, vermillion, green, purple, sky (after Okabe & Ito, 2008), blue-green-red
INKS: tuple[Colour, ...] = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (233, 180, 86))
LATE = (("gaze_to_mask", "Gaze to mask"), ("frame_to_mask", "Frame to mask"), ("keyframe_age", "Keyframe age"))
WIDTH, LEFT, RIGHT = 1180, 170, 1000
LANE = 22
MAP_WIDTH = 560
MINUTES_FROM_S = 600.0
PALE = 0.78


def drawn(story: RecordingSummary, labels: Mapping[int, ObjectLabel], notes: Sequence[str]) -> Image:
    """(H, 1180, 3) BGR. notes: lines below the title; the first says what the recording is."""
    lanes = lanes_of(story.spans)
    bands: list[tuple[int, Callable[[ChartCanvas, float], None]]] = [
        (70 + 18 * len(notes), lambda canvas, top: _title(canvas, top, notes)),
        (430 if story.timed else 50, lambda canvas, top: _lateness(canvas, top, story)),
        (96, lambda canvas, top: _states(canvas, top, story)),
        (78 + LANE * max(1, len(lanes)), lambda canvas, top: _objects(canvas, top, story, lanes, labels)),
        (_map_height(story) + 90, lambda canvas, top: _gaze(canvas, top, story)),
    ]
    canvas = ChartCanvas(WIDTH, sum(height for height, _ in bands) + 20)
    top = 0.0
    for height, band in bands:
        band(canvas, top)
        top += height
    return canvas.finished()


def _title(canvas: ChartCanvas, top: float, notes: Sequence[str]) -> None:
    canvas.text(40, top + 40, "gazecast plot", height=13, bold=True)
    for number, note in enumerate(notes):
        room = int(len(note) * min(1.0, (WIDTH - 80) / max(1.0, text_width(plain(note), 8.5))))
        said = note if room >= len(note) else note[: room - 3] + "..."
        canvas.text(40, top + 64 + 18 * number, plain(said), height=8.5, colour=FAINT)


# -- lateness ---------------------------------------------------------------------------------------------------------


def _lateness(canvas: ChartCanvas, top: float, story: RecordingSummary) -> None:
    if not story.timed:
        canvas.text(40, top + 22, "The run took its frames at any speed: how late masks were means nothing.", height=9)
        return
    for x, name in ((RIGHT + 50, "p50"), (RIGHT + 100, "p95"), (RIGHT + 150, "p99")):
        canvas.text(x, top + 14, name, height=8, colour=FAINT, anchor="right")
    for number, (key, title) in enumerate(LATE):
        _late(canvas, top + 30 + 130 * number, story, key, title, INKS[number], last=number == len(LATE) - 1)


def _late(
    canvas: ChartCanvas, top: float, story: RecordingSummary, key: str, title: str, ink: Colour, *, last: bool
) -> None:
    points = story.late_ms.get(key, [])
    found = windows(points, story.span_s)
    axes = _axes(story, top, 84, ceiling([parts["p99"] for _, parts in found]))
    _frame(canvas, axes, story, title, "ms", numbers=last)
    if not found:
        canvas.text(LEFT + 10, top + 46, "there was no such mask", height=8.5, colour=FAINT)
    gap_s = 1.5 * max(0.5, story.span_s / 60)
    for run in runs([(at_s, parts) for at_s, parts in found], gap_s):
        line = {name: [axes.at(at_s, parts[name]) for at_s, parts in run] for name in ("p50", "p95", "p99")}
        if len(run) == 1:
            for name in ("p50", "p95", "p99"):
                canvas.dot(*line[name][0], ink if name == "p50" else _paler(ink), 2.5)
            continue
        canvas.area([*line["p50"], *reversed(line["p95"])], _paler(ink))
        canvas.line(line["p99"], _paler(ink, 0.45), 1)
        canvas.line(line["p50"], ink, 2)
    whole = percentiles([value for _, value in points]) if points else {}
    for x, name in ((RIGHT + 50, "p50"), (RIGHT + 100, "p95"), (RIGHT + 150, "p99")):
        canvas.text(x, top + 48, f"{whole[name]:.0f}" if whole else "-", height=9.5, anchor="right")
    if last:
        canvas.text(LEFT, top + 84 + 33, "line: median; band: up to p95; thin line: p99", height=8, colour=FAINT)


# -- states and objects -----------------------------------------------------------------------------------------------


def _states(canvas: ChartCanvas, top: float, story: RecordingSummary) -> None:
    canvas.text(LEFT, top + 14, "States", height=10, bold=True)
    shown = sum(span.end_s - span.start_s for span in story.spans)
    x = LEFT + 90.0
    for state in STATES:
        share = sum(span.end_s - span.start_s for span in story.spans if span.state == state) / max(1e-9, shown)
        canvas.box(x, top + 4, 11, 11, COLOURS[state])
        words = f"{state} {100 * share:.0f} %"
        canvas.text(x + 17, top + 14, words, height=8.5)
        x += 17 + text_width(words, 8.5) + 28
    axes = _axes(story, top + 28, 24, 1.0)
    canvas.box(axes.left, axes.top, axes.width, axes.height, GRID)
    _strip(canvas, axes, story.spans, axes.top, axes.height)
    _times(canvas, axes, story)


def _objects(
    canvas: ChartCanvas, top: float, story: RecordingSummary, lanes: Sequence[tuple[tuple[int, ...], list[StateSpan]]],
    labels: Mapping[int, ObjectLabel],
) -> None:  # fmt: skip
    canvas.text(LEFT, top + 14, "Objects", height=10, bold=True)
    canvas.text(RIGHT + 150, top + 14, "seconds", height=8, colour=FAINT, anchor="right")
    axes = _axes(story, top + 26, LANE * max(1, len(lanes)), 1.0)
    if not lanes:
        canvas.text(LEFT, top + 42, "Nothing was looked at long enough to be shown.", height=9, colour=FAINT)
    for number, (things, spans) in enumerate(lanes):
        y = axes.top + LANE * number
        canvas.line([(axes.left, y + LANE - 2), (RIGHT, y + LANE - 2)], GRID, 1)
        words = name_of(things[0], labels) if len(things) == 1 else f"{len(things)} others"
        canvas.text(LEFT - 10, y + LANE - 8, _short(plain(words), LEFT - 50), height=8.5, anchor="right")
        _strip(canvas, axes, spans, y + 3, LANE - 8)
        seconds = sum(span.end_s - span.start_s for span in spans)
        canvas.text(RIGHT + 150, y + LANE - 8, f"{seconds:.1f}", height=8.5, anchor="right")
    _times(canvas, axes, story)


def _strip(canvas: ChartCanvas, axes: ChartAxes, spans: Sequence[StateSpan], top: float, height: float) -> None:
    """What states there were when; where several share a column, each has its share of the height."""
    for x, shares in columns_of(spans, axes.x_range[1], round(axes.width)):
        y = top
        for state in STATES:
            if (share := shares.get(state, 0.0)) > 0:
                canvas.box(axes.left + x, y, 1, share * height, COLOURS[state])
                y += share * height


# -- gaze, rates and drops --------------------------------------------------------------------------------------------


def _map_height(story: RecordingSummary) -> int:
    if story.picture is None:
        return 300
    share = float(story.picture.shape[0] / story.picture.shape[1])
    return min(760, max(300, round(MAP_WIDTH * share)))


def _gaze(canvas: ChartCanvas, top: float, story: RecordingSummary) -> None:
    canvas.text(40, top + 14, "Where the eyes were", height=10, bold=True)
    if story.picture is None:
        canvas.text(40, top + 44, "There is no frame that can be shown.", height=9, colour=FAINT)
    else:
        height, width = story.picture.shape[:2]
        scale = min(MAP_WIDTH / width, _map_height(story) / height)
        shown = max(1, round(width * scale)), max(1, round(height * scale))
        canvas.image(40, round(top + 26), *shown, heated(story))
        below = top + 26 + shown[1]
        said = f"{story.samples} sure looks of the eyes, {story.outside} of them outside the picture"
        canvas.text(40, below + 17, said, height=8, colour=FAINT)
        if story.gaze is not None:
            width_px = story.radius * width / story.gaze.shape[1]
            said = f"each a Gaussian as wide as the gaze's error radius, {width_px:.0f} px; over the middle frame"
            canvas.text(40, below + 33, said, height=8, colour=FAINT)
    left = 40 + MAP_WIDTH + 70.0
    if story.timed:
        _lines(canvas, story, (left, top), "Rates", "Hz", [item for item in story.rates.items() if item[0] != "gaze"])
        _lines(canvas, story, (left, top + 165), "Dropped in a second", "", list(story.dropped.items()))


def _lines(
    canvas: ChartCanvas,
    story: RecordingSummary,
    place: tuple[float, float],
    title: str,
    unit: str,
    found: list[tuple[str, TimeSeries]],
) -> None:
    """A chart of several things over time, the largest first, at most as many as there are inks."""
    left, top = place
    shown = sorted(found, key=lambda item: -sum(value for _, value in item[1]))[: len(INKS)]
    high = ceiling([value for _, points in shown for _, value in points])
    axes = ChartAxes(left, top + 26, WIDTH - 40 - left, 84, (0.0, _scale(story)[0]), (0.0, high))
    _frame(canvas, axes, story, title, unit, numbers=True, x_ticks=6)
    x, y = left, top + 26 + 84 + 34.0
    for ink, (name, points) in zip(INKS, shown, strict=False):
        for run in runs(points, 3.0):
            corners = [axes.at(at_s, value) for at_s, value in run]
            canvas.line(corners, ink, 1.6)
            if len(run) == 1:
                canvas.dot(*corners[0], ink, 2)
        words = plain(name) if unit else f"{plain(name)} {sum(value for _, value in points):.0f}"
        if x + 14 + text_width(words, 8) > WIDTH - 40:
            x, y = left, y + 16
        canvas.dot(x + 4, y - 4, ink, 3.5)
        canvas.text(x + 12, y, words, height=8)
        x += 12 + text_width(words, 8) + 18
    if not shown:
        canvas.text(left, y, "nothing" if not unit else "no health was recorded", height=8, colour=FAINT)


# -- parts ------------------------------------------------------------------------------------------------------------


def _axes(story: RecordingSummary, top: float, height: float, high: float) -> ChartAxes:
    return ChartAxes(LEFT, top, RIGHT - LEFT, height, (0.0, _scale(story)[0]), (0.0, high))


def _scale(story: RecordingSummary) -> tuple[float, float, str]:
    """The end of the time axis, s; how many seconds its unit has; the unit."""
    minutes = story.span_s >= MINUTES_FROM_S
    return max(0.5, story.span_s), 60.0 if minutes else 1.0, "min" if minutes else "s"


def _frame(
    canvas: ChartCanvas,
    axes: ChartAxes,
    story: RecordingSummary,
    title: str,
    unit: str,
    *,
    numbers: bool,
    x_ticks: int = 10,
) -> None:
    canvas.text(axes.left, axes.top - 10, f"{title}, {unit}" if unit else title, height=9, bold=True)
    for value in ticks(*axes.y_range, TICKS):
        _, y = axes.at(0, value)
        canvas.line([(axes.left, y), (axes.left + axes.width, y)], GRID, 1)
        canvas.text(axes.left - 8, y + 4, f"{value:g}", height=8, colour=FAINT, anchor="right")
    if numbers:
        _times(canvas, axes, story, x_ticks)


def _times(canvas: ChartCanvas, axes: ChartAxes, story: RecordingSummary, about: int = 10) -> None:
    """The numbers below a time axis."""
    end_s, unit_s, unit = _scale(story)
    bottom = axes.top + axes.height
    canvas.line([(axes.left, bottom), (axes.left + axes.width, bottom)], FAINT, 1)
    for value in ticks(0.0, end_s / unit_s, about):
        x, _ = axes.at(value * unit_s, 0)
        canvas.line([(x, bottom), (x, bottom + 4)], FAINT, 1)
        canvas.text(x, bottom + 16, f"{value:g} {unit}" if value == 0 else f"{value:g}", height=8, colour=FAINT,
                    anchor="centre")  # fmt: skip


def _paler(ink: Colour, share: float = PALE) -> Colour:
    """A colour mixed with paper."""
    blue, green, red = (round(part + (255 - part) * share) for part in ink)
    return blue, green, red


def _short(text: str, width: float) -> str:
    while len(text) > 4 and text_width(text, 8.5) > width:
        text = text[:-4] + "..." if text.endswith("...") else text[:-3] + "..."
    return text
