"""How the pipeline is, said to a person in one line and to a program as JSON. Pure."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from realtime.comms import HealthMessage


def line(health: HealthMessage) -> str:
    """One line: state, rates, gaze to mask, keyframe age, drops."""
    rates, latency = health.rates, health.latency_ms
    parts = [
        health.state + (f": {health.reason}" if health.reason else ""),
        f"frames {rates.get('frames', 0):.0f}/s  gaze {rates.get('gaze', 0):.0f}/s  "
        f"masks {rates.get('masks', 0):.0f}/s  keyframes {rates.get('keyframes', 0):.1f}/s",
        f"gaze to mask {_percentiles(latency.get('gaze_to_mask'))}",
        f"keyframe age {_p50(latency.get('keyframe_age'))}",
        f"dropped {sum(n for name, n in health.dropped.items() if name != 'view.skipped')}",
    ]
    return "  |  ".join(parts)


def json_line(health: HealthMessage) -> str:
    """One JSON object with everything that `health` publishes."""
    return json.dumps(asdict(health), separators=(",", ":"))


def memory_mib() -> float:
    """Resident memory of this process, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _percentiles(values: dict[str, float] | None) -> str:
    if not values:
        return "-"
    return "/".join(f"{values[p]:.0f}" for p in ("p50", "p95", "p99")) + " ms"


def _p50(values: dict[str, float] | None) -> str:
    return f"{values['p50']:.0f} ms" if values else "-"
