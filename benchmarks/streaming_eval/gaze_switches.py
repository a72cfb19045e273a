"""Scores switches of the gaze to another object, on clips with two of them.

A mask *sits on* the object that holds most of its pixels, if that is at least half of them; it is *right* when its IoU
with the fixated object is at least 0.5. The landing of the gaze on another object begins a stay. Counted are

    stale       from REACTION_S after the landing on, the share of frames at whose end the mask seen sits on the object
                that is not fixated
    elsewhere   of the same frames the share with no mask, or one that sits on neither object
    strays      how often, per stay, the mask then goes from the fixated object to the other while the gaze stays
    renamed     how often, per stay, the published object id changes while the mask sits on the fixated object
    recalled    of returns to an object, the share with the id that it had at the end of the last stay on it
    first_right from the landing to the first mask received that is right in the frame then on show; infinite if none
                comes before the gaze leaves again

REACTION_S is what the best one could do: two frames of 24 fps to see the landing and show the mask, and the 100 to
150 ms that a fixation has to last before it is accepted.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.streaming_eval.playback import (
    GazeDwell,
    MaskArrival,
    PlaybackLog,
    ScoredMoment,
    SentFrame,
    newest_arrivals,
)
from benchmarks.streaming_eval.scoring import iou, percentiles, round_or_none
from engines import Mask

REACTION_S = 0.25
RIGHT_IOU = 0.5
NOTHING = -1


@dataclass(slots=True)
class SwitchScore:
    """Holds raw observations, so that runs can be added up. timeline: of the first clip, see `state_timeline`."""

    first_right_ms: list[float] = field(default_factory=list)
    stale: list[bool] = field(default_factory=list)
    elsewhere: list[bool] = field(default_factory=list)
    strays: list[int] = field(default_factory=list)
    renamed: list[int] = field(default_factory=list)
    recalled: list[bool] = field(default_factory=list)
    timeline: dict[str, Any] = field(default_factory=dict)


def is_on_object(mask: Mask | None, objects: Sequence[Mask]) -> int:
    """Find the number of the object that a mask sits on; NOTHING for no mask, an empty one, or one mostly elsewhere."""
    area = int(np.count_nonzero(mask)) if mask is not None else 0
    if mask is None or not area:
        return NOTHING
    on = [int(np.count_nonzero(mask & one)) for one in objects]
    best = int(np.argmax(on))
    return best if 2 * on[best] >= area else NOTHING


def score_switches(played: PlaybackLog, arrivals: Sequence[MaskArrival]) -> SwitchScore:
    """Score one run; empty where no clip has two objects."""
    out = SwitchScore()
    frames = list(played.sent.values())
    names: dict[tuple[int, int], int] = {}  # (play, object) -> the id that it had last
    for stay in played.dwells:
        moments = [m for m in played.moments if m.play == stay.play and stay.landed_s <= m.at_s < stay.until_s]
        if not moments or len(moments[0].clip.objects) < 2:
            continue
        seen = [newest_arrivals(arrivals, moment.at_s) for moment in moments]
        on = [_seated(arrival, moment) for arrival, moment in zip(seen, moments, strict=True)]
        ids = [a.object if a else None for a in seen]
        _count(out, stay, [m.at_s for m in moments], on, ids)
        last = [name for name, number in zip(ids, on, strict=True) if name is not None and number == stay.object_index]
        known = names.get((stay.play, stay.object_index))
        if known is not None and last:
            out.recalled.append(known == last[-1])
        if last:
            names[stay.play, stay.object_index] = last[-1]
        if not stay.first:
            out.first_right_ms.append(1e3 * _first_right(stay, arrivals, frames))
    out.timeline = state_timeline(played, arrivals)
    return out


def _count(
    out: SwitchScore, stay: GazeDwell, at_s: Sequence[float], on: Sequence[int], ids: Sequence[int | None]
) -> None:
    arrived = False
    strays = renamed = 0
    held: int | None = None
    for k, (when_s, number) in enumerate(zip(at_s, on, strict=True)):
        other = number not in (NOTHING, stay.object_index)
        if not stay.first and when_s - stay.landed_s >= REACTION_S:
            out.stale.append(other)
            out.elsewhere.append(number == NOTHING)
        if number == stay.object_index:
            arrived = True
            renamed += held is not None and ids[k] is not None and ids[k] != held
            held = ids[k] if ids[k] is not None else held
        elif other and k and on[k - 1] != number and arrived:
            strays += 1
    out.strays.append(strays)
    out.renamed.append(renamed)


def _first_right(stay: GazeDwell, arrivals: Sequence[MaskArrival], frames: Sequence[SentFrame]) -> float:
    """Compute the seconds from the landing to the first right mask."""
    begin = bisect_left(arrivals, stay.landed_s, key=lambda arrival: arrival.at_s)
    for arrival in arrivals[begin:]:
        if arrival.at_s >= stay.until_s:
            break
        newest = bisect_right(frames, arrival.at_s, key=lambda sent: sent.at_s) - 1
        if (
            newest >= 0
            and _overlap(arrival, frames[newest].clip.objects[stay.object_index][frames[newest].number]) >= RIGHT_IOU
        ):
            return arrival.at_s - stay.landed_s
    return math.inf


def _seated(arrival: MaskArrival | None, moment: ScoredMoment) -> int:
    return is_on_object(arrival.mask if arrival else None, [masks[moment.number] for masks in moment.clip.objects])


def _overlap(arrival: MaskArrival | None, truth: Mask) -> float:
    """Compute the IoU; 0 without a mask or with one of another size."""
    mask = arrival.mask if arrival else None
    return iou(mask, truth) if mask is not None and mask.shape == truth.shape else 0.0


def state_timeline(played: PlaybackLog, arrivals: Sequence[MaskArrival]) -> dict[str, Any]:
    """List per scored frame of the first clip with two objects: fixated object, covered object, IoU with the former."""
    first = next((m.play for m in played.moments if len(m.clip.objects) > 1), None)
    moments = [m for m in played.moments if m.play == first]
    if not moments:
        return {}
    seen = [newest_arrivals(arrivals, moment.at_s) for moment in moments]
    begin_s = moments[0].at_s
    return {
        "clip": moments[0].clip.name,
        "at_s": [round_or_none(m.at_s - begin_s) for m in moments],
        "looked_at": [m.object_index for m in moments],
        "sits_on": [_seated(a, m) for a, m in zip(seen, moments, strict=True)],
        "iou": [round_or_none(_overlap(a, m.truth)) for a, m in zip(seen, moments, strict=True)],
    }


def pool_switches(runs: Sequence[SwitchScore]) -> dict[str, Any]:
    """Summarize several runs for JSON; the timeline is the first run's."""

    def mean(name: str) -> float | None:
        return mean_of([value for run in runs for value in getattr(run, name)])

    waits = [ms for run in runs for ms in run.first_right_ms]
    return {
        "saccades": len(waits),
        "first_right_ms": percentiles(waits, (50, 95)),
        "first_right_ms_each": [round_or_none(ms, 1) for ms in waits if math.isfinite(ms)],
        "never_right": mean_of([float(math.isinf(ms)) for ms in waits]),
        "stale": mean("stale"),
        "elsewhere": mean("elsewhere"),
        "strays": mean("strays"),
        "renamed": mean("renamed"),
        "recalled": mean("recalled"),
        "timeline": runs[0].timeline if runs else {},
    }


def mean_of(values: Sequence[float]) -> float | None:
    """Compute the mean; None without values."""
    return round_or_none(np.mean(values)) if len(values) else None
