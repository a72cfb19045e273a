"""Writes the report of what was learned as one HTML page: figures before and after, and pictures of changed choices."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines import Image, Mask
from realtime.correction.loop_metrics import LoopMetrics
from realtime.learning.adapter import AdapterInfo
from realtime.learning.gate import CHANCE, GateVerdict
from realtime.learning.looks import LabelledLook
from realtime.tracking.candidate_ranker import FEATURES, CandidateRanker, Matrix

BEFORE, AFTER, RIGHT = (0, 94, 213), (178, 114, 0), (255, 255, 255)
"""BGR: vermillion, blue and white, which colour-blind readers can tell apart."""
MAX_PICTURES = 24
PANEL_PX, GAP_PX = 300, 8
CONTEXT = 1.4
"""Sides of what is drawn of a picture, in sides of the masks on it."""
OUTSIDE = (220, 220, 220)
SAME_IOU = 0.02
"""A mask that changes by less is the same one to look at."""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #282c34 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { text-align: left; padding: .3rem 1rem .3rem 0 }
td { border-top: 1px solid #e1e5ea; font-variant-numeric: tabular-nums }
.looks { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1.5rem 1rem }
figure { margin: 0 } img { width: 100%; height: auto } figcaption { font-size: .85rem }
.before { color: #d55e00 } .after { color: #0072b2 } .worse { font-weight: bold }
@media (prefers-color-scheme: dark) { body { background: #16191d; color: #e6e8eb } td { border-color: #3a404a }
  .before { color: #ff8a3d } .after { color: #56b4e9 } }
"""


@dataclass(frozen=True, slots=True, eq=False)
class ChangedLook:
    """Holds a look whose chosen hypothesis is another one after learning, by a ranker that had not seen it."""

    look: LabelledLook
    before: int
    after: int

    @property
    def gain(self) -> float:
        """By how much the overlap with the right mask grew; of a dropped mask, by how much it fell."""
        difference = float(self.look.overlap[self.after] - self.look.overlap[self.before])
        return -difference if self.look.answer == "dropped" else difference


def find_changes(looks: Sequence[LabelledLook], before: Sequence[Matrix], after: Sequence[Matrix]) -> list[ChangedLook]:
    """Find the looks of which another hypothesis is chosen, one a visit: what changed most is first."""
    rows = zip(looks, before, after, strict=True)
    changed = [ChangedLook(look, int(np.argmax(old)), int(np.argmax(new))) for look, old, new in rows]
    changed = [each for each in changed if each.before != each.after]
    by_visit = {each.look.visit: each for each in sorted(changed, key=lambda each: abs(each.gain))}
    return sorted(by_visit.values(), key=lambda each: -abs(each.gain))


def compare_masks(before: Sequence[LabelledLook], after: Sequence[LabelledLook]) -> list[ChangedLook]:
    """Compare the shown masks of the same looks, as two decoders made them: what changed most is first."""
    changed = []
    for old, new in zip(before, after, strict=True):
        masks = np.stack([old.choice.masks[0], new.choice.masks[0]])
        overlap = np.array([old.overlap[0], new.overlap[0]], np.float32)
        changed.append(ChangedLook(replace(old, choice=replace(old.choice, masks=masks), overlap=overlap), 0, 1))
    return sorted((each for each in changed if abs(each.gain) >= SAME_IOU), key=lambda each: -abs(each.gain))


def write_report(
    info: AdapterInfo, verdict: GateVerdict, changes: Sequence[ChangedLook], metrics: LoopMetrics,
    rankers: tuple[CandidateRanker, CandidateRanker] | None,
) -> str:  # fmt: skip
    """Write the page. rankers: before and after, for the table of weights."""
    outcome = f"Refused, and nothing was written: {verdict.reason}." if verdict.reason else "Accepted."
    better, worse = sum(each.gain > 0 for each in changes), sum(each.gain < 0 for each in changes)
    drawn = list({each.look.visit: each for each in reversed(changes)}.values())[::-1][:MAX_PICTURES]
    answers = ", ".join(f"{count} {name}" for name, count in sorted(info.answers.items()))
    figures = "".join(_show_change(each) for each in drawn)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>gazecast learn: {html.escape(info.part)}</title><style>{_STYLE}</style>
<h1>What was learned: {html.escape(info.part)}</h1>
<p><strong>{html.escape(outcome)}</strong> {info.looks} looks of {info.visits} visits ({html.escape(answers)}),
model {html.escape(info.model)}, {html.escape(info.made)}.</p>
<h2>Before and after</h2>
<p>Own looks are tested by what was learned from the others; the program's pictures are never learned from.</p>
{_show_figures(verdict)}
<p>Chance alone would make your own looks so much better in {verdict.chance:.3f} of cases, and {
        CHANCE:.2f} are allowed.</p>
{_show_metrics(metrics)}
{_show_weights(*rankers) if rankers is not None else ""}
<h2>Changed masks</h2>
<p>{len(changes)} of these looks would show another mask: {better} a better one, {worse} a worse one. Of
{len(drawn)} answers that look is drawn that changes most: left what was shown <span class="before">before</span>, right
<span class="after">after</span>, and outlined in white the right mask, where it is known.</p>
<div class="looks">{figures}</div>
<h2>Learned from</h2>
<table><tr><th>source<th>hash</tr>{
        "".join(f"<tr><td>{html.escape(name)}<td>{html.escape(value)}</tr>" for name, value in info.sources.items())
    }</table>
</html>
"""


def _show_figures(verdict: GateVerdict) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td>{old.visits}<td>{old.right:.3f}<td>{verdict.after[name].right:.3f}"
        f"<td>{old.iou:.3f}<td>{verdict.after[name].iou:.3f}<td>{old.best:.3f}</tr>"
        for name, old in verdict.before.items()
    )
    heads = ("looks", "visits", "right before", "after", "mean IoU before", "after", "any candidate right")
    return f"<table><tr>{''.join(f'<th>{head}' for head in heads)}</tr>{rows}</table>"


def _show_metrics(metrics: LoopMetrics) -> str:
    title = "<h2>The loop so far</h2>"
    if not metrics.masks:
        return f"{title}<p>No mask of a recording was accepted or corrected yet.</p>"
    rows = f"""<tr><td>masks answered<td>{metrics.masks}</tr>
<tr><td>seconds a mask<td>{metrics.seconds_a_mask:.1f}</tr>
<tr><td>corrections a mask<td>{metrics.corrections_a_mask:.2f}</tr>
<tr><td>share accepted as it was<td>{metrics.accepted_share:.2f}</tr>
<tr><td>objects dropped<td>{metrics.dropped}</tr>"""
    return f"{title}<table>{rows}</table>"


def _show_weights(before: CandidateRanker, after: CandidateRanker) -> str:
    rows = "".join(
        f"<tr><td>{name.replace('_', ' ')}<td>{old * spread:+.2f}<td>{new * spread:+.2f}</tr>"
        for (name, spread), old, new in zip(FEATURES.items(), before.weights, after.weights, strict=True)
    )
    return f"""<h2>Weights</h2><p>Of each measure, log-odds by its usual spread.</p>
<table><tr><th>measure<th>before<th>after</tr>{rows}</table>"""


def _show_change(change: ChangedLook) -> str:
    look = change.look
    overlap = f"{look.overlap[change.before]:.2f} to {look.overlap[change.after]:.2f}"
    about = "IoU with the dropped mask" if look.answer == "dropped" else "IoU"
    picture = cv2.imencode(".jpg", draw_change(change), [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    kind = "better" if change.gain > 0 else "worse" if change.gain < 0 else "as good"
    text = f"{kind}: {about} {overlap} ({look.answer})"
    data = base64.b64encode(picture).decode()
    return (
        f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption class="{kind}">{text}</figcaption>'
        "</figure>"
    )


def draw_change(change: ChangedLook) -> Image:
    """Draw the mask before and the one after side by side, each over the part of the look's picture that matters."""
    choice, right = change.look.choice, change.look.right
    masks = [choice.masks[change.before], choice.masks[change.after]]
    height, width = masks[0].shape
    decoded = cv2.imdecode(np.frombuffer(choice.picture, np.uint8), cv2.IMREAD_COLOR) if choice.picture else None
    image = np.full((height, width, 3), 96, np.uint8) if decoded is None else np.asarray(decoded, np.uint8)
    matrix = _fit_panel(np.any([*masks, *([right] if right is not None else [])], axis=0))
    panels = []
    for mask, colour in zip(masks, (BEFORE, AFTER), strict=True):
        to_mask = np.diag([width / image.shape[1], height / image.shape[0], 1.0])
        panel = np.asarray(
            cv2.warpAffine(image, (matrix @ to_mask)[:2], (PANEL_PX, PANEL_PX), borderValue=OUTSIDE), np.uint8
        )
        inside = _draw_mask(mask, matrix)
        panel[inside] = (0.5 * panel[inside] + 0.5 * np.array(colour)).astype(np.uint8)
        _outline(panel, inside, colour, 2)
        if right is not None:
            _outline(panel, _draw_mask(right, matrix), RIGHT, 2)
        panels.append(panel)
    gap = np.full((PANEL_PX, GAP_PX, 3), 255, np.uint8)
    return np.asarray(np.hstack([panels[0], gap, panels[1]]), np.uint8)


def _fit_panel(mask: Mask) -> Matrix:
    """Compute the (3, 3) matrix from the grid of masks to a square panel round one of them."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        rows, columns = np.array([0, mask.shape[0] - 1]), np.array([0, mask.shape[1] - 1])
    x, y = (float(each.min() + each.max() + 1) / 2 for each in (columns, rows))
    side = CONTEXT * max(int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1, max(mask.shape) // 8)
    zoom = PANEL_PX / side
    return np.array([[zoom, 0, PANEL_PX / 2 - zoom * x], [0, zoom, PANEL_PX / 2 - zoom * y], [0, 0, 1]])


def _draw_mask(mask: Mask, matrix: Matrix) -> Mask:
    drawn = cv2.warpAffine(mask.astype(np.float32), matrix[:2], (PANEL_PX, PANEL_PX), flags=cv2.INTER_LINEAR)
    return np.asarray(drawn > 0.5)


def _outline(image: Image, mask: Mask, colour: tuple[int, int, int], width: int) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, colour, width, cv2.LINE_AA)
