"""Progress is kept for `health` while it is shown."""

from realtime.infra.progress import ObservedProgress, PreparationStep, ProgressReporter


def test_the_present_step_is_kept_for_health():
    clock = iter([0.0, 10.0, 15.0, 20.0]).__next__
    progress = ObservedProgress(ProgressReporter(), clock)
    assert progress.step == PreparationStep()
    progress.show_line("compiling")
    assert progress.step == PreparationStep("compiling")
    progress.show_bytes(0, 40, "encoder.onnx")
    assert progress.step == PreparationStep("encoder.onnx", 0.0, None)
    progress.show_bytes(10, 40, "encoder.onnx")
    assert progress.step == PreparationStep("encoder.onnx", 0.25, 15.0)
    progress.show_steps(3, 0, "building")
    assert progress.step == PreparationStep("building")
