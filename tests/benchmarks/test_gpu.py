"""`benchmarks.gpu` as far as a machine without a GPU can try it: its ways out, its report, its pipeline."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu import __main__, report
from engines.fake import open_fake

torch = pytest.importorskip("torch")


def result(**more):
    empty = __main__.GpuRun("cuda", 1, 1.0).result
    gpu_part = {"name": "NVIDIA Fake 9000", "memory_gib": 24, "driver": "580", "compute": "8.9"}
    return {**empty, "gpu": gpu_part, "ceiling_tflops": 100.0, **more}


def test_without_a_gpu_it_prints_why_and_writes_nothing(tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    file = tmp_path / "out.json"
    assert __main__.main(["--out", str(file)]) == 1
    assert not file.exists()
    printed = capsys.readouterr().out
    assert "left out: everything: " in printed
    assert "GPU" in printed


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--out", "nowhere/x.json"], "--out: there is no folder nowhere"),
        (["--seconds", "0"], "--seconds must be more than 0, got 0.0"),
    ],
)
def test_wrong_flags_are_refused_before_the_measurement(flags, error, capsys):
    with pytest.raises(SystemExit):
        __main__.main([*flags, "--rehearse"])
    assert error in capsys.readouterr().err


def test_a_gate_without_masks_is_left_out(monkeypatch, picture):
    """A mean of nothing is no figure, and no failure either."""
    from benchmarks.gpu import engines

    monkeypatch.setattr(engines, "_torch_engine", lambda *args: open_fake())
    run = __main__.GpuRun("cpu", 1, 1.0)
    engines._gate(run, None, "fake", open_fake(), [np.zeros_like(picture)])
    assert run.result["gates"] == []
    assert "the gate for fake: ValueError: no mask on these pictures" in run.result["left_out"][0]
    engines._gate(run, None, "fake", open_fake(), [picture])
    assert run.result["gates"][0]["iou"] == 1.0


def test_a_pipeline_without_masks_is_no_figure():
    from benchmarks.gpu.pipeline_latency import measure_pipeline

    with pytest.raises(RuntimeError, match=r"no mask of a gaze sample was published in 0 s; give it more --seconds"):
        measure_pipeline(open_fake(), "fake", 30, 0.001)


def test_a_part_that_fails_is_left_out_with_its_reason():
    run = __main__.GpuRun("cpu", 2, 1.0)
    with run.part("dividing"):
        raise ZeroDivisionError("by nothing\nat all")
    with run.part("the next"):
        run.add("encoder", "another", run.host_ms(lambda: None), "host")
    assert run.result["left_out"] == ["dividing: ZeroDivisionError: by nothing"]
    assert len(run.result["rows"]) == 1


def test_an_interrupted_run_keeps_its_results(tmp_path):
    run = __main__.GpuRun("cpu", 2, 1.0)
    run.file = tmp_path / "gpu-x.json"
    with run.part("one"):
        run.add("encoder", "another", [1.0])
    with pytest.raises(KeyboardInterrupt), run.part("two"):
        raise KeyboardInterrupt
    assert json.loads(run.file.read_text())["rows"][0]["ms"] == 1.0


def test_a_row_has_its_share_of_the_ceiling():
    row = report.timing_row("encoder", "tensorrt", [1.0, 0.9, 5.0], 100.0, "device")
    assert (row["ms"], row["p99_ms"], row["tflops"], row["share"]) == (1.0, 5.0, 77.5, 0.775)
    row = report.timing_row("decoder, 4 prompts", "torch graph", [0.5], None, "device")
    assert row["tflops"] == 13.6
    assert "share" not in row
    assert "tflops" not in report.timing_row("frame up", "copy", [0.5], 100.0, "device")


def test_targets_are_compared_with_measurements():
    rows = [
        report.timing_row("encoder", "tensorrt", [0.8], 100.0, "device"),
        report.timing_row("encoder", "torch graph", [2.5], 100.0, "device"),
    ]
    quantiles = {"p50": 2.0, "p95": 3.0, "p99": 3.5}
    path = {
        "by": "torch graph", "fps": 60, "gaze_to_mask_ms": quantiles, "frame_to_mask_ms": quantiles, "masks_hz": 60.0,
        "encode_ms": 2.5,
    }  # fmt: skip
    measured = result(rows=rows, path=[path], gates=[{"by": "tensorrt", "iou": 0.97, "points": 40, "passed": False}])
    met = {each["what"]: each["met"] for each in report.assess_targets(measured)}
    assert met == {
        "encoder, tensorrt": True, "encoder, torch graph": False, "decoder, 1 prompt, tensorrt": None,
        "decoder, 1 prompt, torch graph": None, "gaze to mask p99, 60 fps": True,
    }  # fmt: skip
    table = report.format_table(measured)
    for part in (
        "96.88",
        "96.9%",
        "gate FAILED",
        "target met: encoder, tensorrt",
        "target missed: encoder, torch",
    ):
        assert part in table
    json.dumps(measured)


def test_skipped_parts_are_shown():
    assert "left out: TensorRT: not installed" in report.format_table(result(left_out=["TensorRT: not installed"]))


@pytest.mark.parametrize(
    ("gpu_name", "file"),
    [
        ("NVIDIA H200", "gpu-h200.json"),
        ("NVIDIA GeForce RTX 4070 Ti", "gpu-geforce-rtx-4070-ti.json"),
        ("", "gpu-unnamed.json"),
    ],
)
def test_results_are_named_for_the_gpu(gpu_name, file):
    assert report.file_name(gpu_name) == file


@given(st.lists(st.floats(0, 1e4), max_size=300))
def test_percentiles_are_in_order(values):
    found = report.percentiles(values)
    if not values:
        assert all(math.isnan(value) for value in found.values())
    else:
        assert min(values) - 0.01 <= found["p50"] <= found["p95"] <= found["p99"] <= max(values) + 0.01


def test_the_pipeline_runs_on_simulated_frames_and_gaze():
    from benchmarks.gpu.pipeline_latency import measure_pipeline

    found = {}
    for seconds in (3.0, 30.0, 120.0):  # a busy machine may make no mask in the shortest, which is an error
        with contextlib.suppress(RuntimeError):
            found = measure_pipeline(open_fake(), "fake", 30, seconds)
            break
    assert found["masks_hz"] > 0
    assert 0 < found["gaze_to_mask_ms"]["p50"] <= found["gaze_to_mask_ms"]["p99"]
    assert found["frame_to_mask_ms"]["p50"] > 0
    assert found["encode_ms"] > 0


def test_engines_are_compared_mask_by_mask(picture):
    from benchmarks.gpu.engines import mean_agreement

    agreement, points = mean_agreement(open_fake(), open_fake(), [picture])
    assert agreement == 1.0
    assert points > 0
    assert math.isnan(mean_agreement(open_fake(), open_fake(), [np.zeros_like(picture)])[0])


@pytest.fixture
def picture():
    rng = np.random.default_rng(1)
    out = np.full((180, 320, 3), 60, np.uint8)
    for column in range(5):
        for row in range(3):
            x, y = 64 * column + 12, 60 * row + 10
            out[y : y + 40, x : x + 40] = rng.integers(90, 255, 3)
    return out
