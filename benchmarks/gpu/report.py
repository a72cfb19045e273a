"""Formats results of `benchmarks.gpu` as JSON and as a table. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

ENCODER_GFLOP = 77.5
"""Of MobileSAM's encoder at 1024 x 1024; a multiplication with an addition is two operations."""
DECODER_GFLOP = 1.7
"""Of the decoder, per prompt."""
GATE = 0.98
"""Minimal mean IoU with the float32 masks."""
TARGETS = (
    ("encoder", "tensorrt", 1.0),
    ("encoder", "torch graph", 2.0),
    ("decoder, 1 prompt", "tensorrt", 0.35),
    ("decoder, 1 prompt", "torch graph", 0.7),
)
GAZE_TARGET_MS = 4.0
"""p99 from the arrival of a gaze sample to the publication of its mask at 60 frames a second."""


def gflop(work: str) -> float | None:
    """Compute the operations of one run of "encoder" or "decoder, N prompts"; None for other work."""
    if work == "encoder":
        return ENCODER_GFLOP
    prompts = re.fullmatch(r"decoder, (\d+) prompts?", work)
    return DECODER_GFLOP * int(prompts[1]) if prompts else None


def timing_row(
    work: str, by: str, times_ms: Sequence[float], ceiling_tflops: float | None, timer: str
) -> dict[str, Any]:
    """Format one line: median and 99th percentile, and the median as a share of the ceiling."""
    ordered = sorted(times_ms)
    median, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    out: dict[str, Any] = {
        "work": work, "by": by, "ms": round(median, 4), "p99_ms": round(late, 4), "runs": len(ordered), "timer": timer,
    }  # fmt: skip
    work_gflop = gflop(work)
    if work_gflop and median > 0:
        out["tflops"] = round(work_gflop / median, 2)
        if ceiling_tflops:
            out["share"] = round(work_gflop / median / ceiling_tflops, 4)
    return out


def assess_targets(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare each target with its measurement; `met` is None without one."""
    found = []
    for work, by, wanted in TARGETS:
        times = [each["ms"] for each in result["rows"] if each["work"] == work and each["by"] == by]
        found.append(_target(f"{work}, {by}", wanted, min(times) if times else None))
    late = [each["gaze_to_mask_ms"]["p99"] for each in result["path"] if each["fps"] == 60]
    found.append(_target("gaze to mask p99, 60 fps", GAZE_TARGET_MS, min(late) if late else None))
    return found


def _target(what: str, wanted: float, found: float | None) -> dict[str, Any]:
    return {"what": what, "wanted_ms": wanted, "found_ms": found, "met": None if found is None else found <= wanted}


def format_table(result: Mapping[str, Any]) -> str:
    """Format all results, with the parts that were left out."""
    gpu = result["gpu"]
    lines = [f"{gpu['name']}, {gpu['memory_gib']} GiB, driver {gpu['driver']}" if gpu else "no GPU"]
    lines.append(", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    if result["ceiling_tflops"]:
        lines.append(f"matrix products of 8192 in float16: {result['ceiling_tflops']:.0f} TFLOP/s")
    if result["rows"]:
        lines += ["", f"{'':26} {'by':22} {'ms':>9} {'p99':>9} {'TFLOP/s':>8} {'share':>7}"]
        for each in result["rows"]:
            rate = f"{each['tflops']:8.2f}" if "tflops" in each else f"{'':8}"
            share = f"{each['share']:7.1%}" if "share" in each else ""
            lines.append(f"{each['work']:26} {each['by']:22} {each['ms']:9.3f} {each['p99_ms']:9.3f} {rate} {share}")
    for each in result["gates"]:
        word = "passed" if each["passed"] else "FAILED"
        lines.append(f"gate {word}: {each['by']}, mean IoU {each['iou']:.4f} of {each['points']} masks (wanted {GATE})")
    for each in result["path"]:
        gaze, frame = each["gaze_to_mask_ms"], each["frame_to_mask_ms"]
        lines.append(
            f"{each['fps']:4} fps with {each['by']}: gaze to mask p50 {gaze['p50']:.2f} p99 {gaze['p99']:.2f} ms, "
            f"frame to mask p50 {frame['p50']:.2f} p99 {frame['p99']:.2f} ms, {each['masks_hz']:.0f} masks/s, encoding "
            f"{each['encode_ms']:.2f} ms"
        )
    lines += [f"memory, {name}: {mib:.0f} MiB" for name, mib in result["memory_mib"].items()]
    for each in assess_targets(result):
        if each["met"] is not None:
            word = "met" if each["met"] else "missed"
            lines.append(f"target {word}: {each['what']}: {each['found_ms']:.2f} ms, wanted {each['wanted_ms']:.2f}")
    lines += [f"left out: {reason}" for reason in result["left_out"]]
    return "\n".join(lines)


def file_name(gpu: str) -> str:
    """Return the path of gpu-<name>.json for a GPU's name."""
    plain = re.sub(r"[^a-z0-9]+", "-", gpu.lower().replace("nvidia", "")).strip("-")
    return f"gpu-{plain or 'unnamed'}.json"


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Compute p50, p95 and p99, to a hundredth; nan without values."""
    ordered = sorted(values)
    if not ordered:
        return dict.fromkeys(("p50", "p95", "p99"), float("nan"))
    places = {"p50": 50, "p95": 95, "p99": 99}
    return {name: round(ordered[min(len(ordered) - 1, len(ordered) * part // 100)], 2) for name, part in places.items()}
