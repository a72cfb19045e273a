"""Recordings of headsets: told from folders of pictures, played at their recorded times with their own gaze."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibration import PinholeCamera
from calibration.gaze.view import CameraView, FlatView
from realtime.commands.calibrate.gaze import load_view
from realtime.config.schema import RunConfig
from realtime.errors import SettingsError, SourceError
from realtime.session.inputs import open_frames, open_gaze
from realtime.session.run_inputs import open_run_inputs
from realtime.session.view import RunView
from realtime.sources.base import CameraSource
from realtime.sources.headset_recordings.detection import detect_recording
from realtime.sources.names import parse_source
from realtime.types import Frame, FrameSource, GazeSample
from tests.realtime.sources.headset_recordings import folders
from tests.realtime.sources.headset_recordings.folders import (
    GAZE,
    TIMES_S,
    add_neon_part,
    make_calibration_bin,
    make_cloud,
    make_core,
    make_neon,
    make_tobii,
    to_ns,
    write_pldata,
)
from tests.realtime.sources.video.clips import make_folder, number_in
from tests.realtime.waiting import eventually

Make = Callable[[Path], Path]
KINDS: dict[str, Make] = {"core": make_core, "companion": make_neon, "export": make_cloud, "tobii": make_tobii}


def played(spec: str, until: int = 0) -> tuple[list[Frame], list[GazeSample]]:
    """The frames and gaze of a recording, to its end or until so many samples."""
    frames = open_frames(spec)
    gaze = open_gaze(spec, frames)
    pictures: list[Frame] = []
    samples: list[GazeSample] = []
    gaze.start(samples.append)
    frames.start(pictures.append)
    eventually(lambda: len(samples) >= until if until else frames.status().state in ("ended", "failed"))
    gaze.stop()
    frames.stop()
    return pictures, samples


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_is_told_from_a_folder_of_pictures(tmp_path: Path, kind: str) -> None:
    assert detect_recording(KINDS[kind](tmp_path / "a recording")) == kind
    make_folder(tmp_path / "pictures", 2)
    (tmp_path / "pictures" / "info.json").write_text("{}")
    assert [detect_recording(path) for path in (tmp_path / "pictures", tmp_path / "none", tmp_path)] == [None] * 3
    with pytest.raises(SourceError, match=r"holds 1 recordings of a headset \(a recording\); name one of them"):
        open_frames(f"file:{tmp_path}")


@pytest.mark.parametrize("kind", ["core", "companion", "export"])
def test_frames_come_at_their_recorded_times_with_gaze_on_the_same_clock(tmp_path: Path, kind: str) -> None:
    folder = KINDS[kind](tmp_path / kind)
    pictures, samples = played(f"file:{folder}?realtime=0")
    assert [number_in(frame.image) for frame in pictures] == [0, 1, 2, 3, 4]
    assert [frame.timestamp for frame in pictures] == pytest.approx(TIMES_S, abs=1e-6)
    assert [(s.timestamp, s.x, s.y) for s in samples] == [pytest.approx(point, abs=1e-3) for point in GAZE[1:]]
    worn = 0.9 if kind == "core" else 0.0
    assert [s.confidence for s in samples] == pytest.approx([0.9 if kind == "core" else 1.0] * 3 + [worn])
    first_ns = pictures[0].captured_ns
    assert [(s.captured_ns - first_ns) / 1e9 for s in samples] == pytest.approx([at for at, _, _ in GAZE[1:]], abs=1e-4)


def test_a_video_with_its_own_times_is_played_with_its_gaze(tmp_path: Path) -> None:
    pictures, samples = played(f"file:{make_tobii(tmp_path / 'g3')}?realtime=0")
    assert [frame.timestamp for frame in pictures] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert [(s.timestamp, s.x, s.y) for s in samples] == [pytest.approx(point) for point in GAZE[1:4]]


def test_a_recording_is_played_in_real_time_and_again(tmp_path: Path) -> None:
    folder = make_neon(tmp_path / "neon")
    _, samples = played(f"file:{folder}?loop=1&hwaccel=none", until=9)
    period_s = TIMES_S[-1] + 0.04
    repeated = [(at + turn * period_s, x) for turn in range(3) for at, x, _ in GAZE[1:]]
    assert [(s.timestamp, s.x) for s in samples] == [pytest.approx(each, abs=1e-3) for each in repeated[: len(samples)]]
    assert parse_source(f"file:{folder}?loop=1").has_own_gaze
    assert parse_source(str(folder)).has_own_gaze


def test_parts_follow_each_other_with_the_gap_between_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_neon(tmp_path / "neon")
    add_neon_part(folder, 2, [5.0, 5.04])
    add_neon_part(folder, 10, [9.0])
    with caplog.at_level(logging.WARNING):
        pictures, _ = played(f"file:{folder}?realtime=0")
    assert [frame.timestamp for frame in pictures] == pytest.approx([*TIMES_S, 5.0, 5.04, 9.0], abs=1e-6)
    assert "has no frames from 0.2 to 5.0 s" in caplog.text
    core = make_core(tmp_path / "core")
    shutil.copy(core / "world.mp4", core / "world_001.mp4")
    np.save(core / "world_001_timestamps.npy", folders.CORE_S + 1 + np.array(TIMES_S))
    assert len(played(f"file:{core}?realtime=0")[0]) == 10


def test_a_part_that_cannot_be_played_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_neon(tmp_path / "neon")
    add_neon_part(folder, 2, [5.0, 5.04])
    broken = folder / "Neon Scene Camera v1 ps2.mp4"
    broken.write_bytes(broken.read_bytes()[:400])
    with caplog.at_level(logging.WARNING):
        assert len(played(f"file:{folder}?realtime=0")[0]) == 5
    assert "a part of the scene video is left out:" in caplog.text
    assert "ps2.mp4" in caplog.text


def test_frames_without_a_later_time_of_their_own_are_left_out(tmp_path: Path) -> None:
    """The first frame of some recordings of Invisible is later than the second; a video may outlast its times."""
    folder = make_neon(tmp_path / "neon", [0.1, 0.0, 0.04, 0.04, 0.08], camera="PI world v1")
    pictures, _ = played(f"file:{folder}?realtime=0")
    assert [number_in(frame.image) for frame in pictures] == [1, 2, 4]
    assert [frame.timestamp for frame in pictures] == pytest.approx([0, 0.04, 0.08], abs=1e-6)
    folder = make_neon(tmp_path / "longer")
    add_neon_part(folder, 1, TIMES_S[:3], frames=6)
    assert len(played(f"file:{folder}?realtime=0")[0]) == 3


# their reader leaves the files open
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_makers_own_reader_finds_the_same(tmp_path: Path) -> None:
    neon_recording = pytest.importorskip("pupil_labs.neon_recording", reason="the extra neon brings it")
    folder = make_neon(tmp_path / "neon")
    add_neon_part(folder, 2, [5.0, 5.04])
    pictures, samples = played(f"file:{folder}?realtime=0")
    with neon_recording.open(folder) as theirs:
        start_ns = int(theirs.scene.time[0])
        seconds = (np.asarray(theirs.scene.time) - start_ns) / 1e9
        gaze = [((int(g.time) - start_ns) / 1e9, *map(float, g.point)) for g in theirs.gaze]
        worn = np.asarray(theirs.worn.worn)
        means = [float(frame.bgr.mean()) for frame in theirs.scene]
    assert [frame.timestamp for frame in pictures] == pytest.approx(seconds, abs=1e-6)
    assert [(s.timestamp, s.x, s.y) for s in samples] == [pytest.approx(g, abs=1e-3) for g in gaze if g[0] >= 0]
    assert [s.confidence for s in samples] == (worn[1:] > 0).tolist()
    assert [float(frame.image.mean()) for frame in pictures] == pytest.approx(means, abs=2)


def test_blinks_dense_gaze_and_described_records_of_a_companion_app(tmp_path: Path) -> None:
    folder = make_neon(tmp_path / "neon")
    times = np.arange(0, 0.24, 0.005)
    np.array([(at, 7, 9) for at in times], [("x", "<f4"), ("y", "<f4"), ("extra", "<f8")]).tofile(
        folder / "gaze_200hz.raw"
    )
    (folder / "gaze.dtype").write_text("[('x', '<f4'), ('y', '<f4'), ('extra', '<f8')]")
    to_ns(list(times)).tofile(folder / "gaze_200hz.time")
    np.concatenate([to_ns([0.1, 0.15])]).tofile(folder / "blinks ps1.raw")
    to_ns([0.2]).tofile(folder / "blinks ps1.time")
    _, samples = played(f"file:{folder}?realtime=0")
    assert len(samples) == 48
    assert [s.y for s in samples] == [7] * 48
    closed = [s.timestamp for s in samples if not s.confidence]
    assert closed[:10] == pytest.approx(np.arange(0.1, 0.15, 0.005), abs=1e-6)
    assert all(at > 0.15 for at in closed[10:])  # the last sample of `worn` says that it was taken off


def test_gaze_that_was_mapped_or_exported_afterwards_is_read(tmp_path: Path) -> None:
    folder = make_core(tmp_path / "core", gaze=False)
    assert not parse_source(str(folder)).has_own_gaze
    export = folder / "exports" / "001"
    export.mkdir(parents=True)
    header = "gaze_timestamp,world_index,confidence,norm_pos_x,norm_pos_y\n"
    (export / "gaze_positions.csv").write_text(f"{header}{folders.CORE_S + 0.1},2,0.7,0.25,0.75\n")
    assert [(s.timestamp, s.x, s.y, s.confidence) for s in played(f"file:{folder}?realtime=0")[1]] == [
        pytest.approx((0.1, 16, 12, 0.7))
    ]
    write_pldata(folder / "offline_data" / "gaze-mappings" / "Default-1.pldata", [(0.05, 0.5, 0.5)])
    assert played(f"file:{folder}?realtime=0")[1][0].x == 32
    write_pldata(folder / "gaze.pldata", [])  # pupil detection was off
    assert played(f"file:{folder}?realtime=0")[1][0].x == 32


def test_a_recording_without_gaze_plays_with_gaze_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_neon(tmp_path / "neon")
    (folder / "gaze ps1.raw").unlink()
    with caplog.at_level(logging.WARNING):
        frames = open_frames(f"file:{folder}")
    assert "has no gaze of its own, only its scene video" in caplog.text
    assert not parse_source(str(folder)).has_own_gaze
    trace = tmp_path / "gaze.csv"
    trace.write_text(f"timestamp [ns],gaze x [px],gaze y [px]\n{to_ns([0.1])[0]},5,6\n")
    gaze = open_gaze(f"trace:{trace}", frames)  # of the headset's clock
    samples: list[GazeSample] = []
    gaze.start(samples.append)
    frames.start(lambda frame: None)
    eventually(lambda: samples)
    frames.stop()
    gaze.stop()
    assert samples[0].timestamp == pytest.approx(0.1, abs=1e-6)


MATRIX = np.array([[890.0, 0, 790], [0, 890, 610], [0, 0, 1]])
COEFFICIENTS = (-0.05, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_camera_of_the_recording_is_used(tmp_path: Path) -> None:
    folder = make_neon(tmp_path / "neon", [0.0, 0.04], size=(1600, 1200))
    make_calibration_bin(folder / "calibration.bin", MATRIX, COEFFICIENTS)
    frames = open_frames(f"file:{folder}?realtime=0")
    assert isinstance(frames, FrameSource)
    assert isinstance(frames, CameraSource)
    camera = PinholeCamera.from_matrix((1600, 1200), MATRIX, COEFFICIENTS)
    assert frames.camera_name == "Neon 123456 scene"
    assert frames.camera_model() == camera
    _, samples = played(f"file:{folder}?realtime=0")
    expected = [camera.px_per_degree((x, y)) for _, x, y in GAZE[1:2]]
    assert [s.px_per_degree for s in samples[:1]] == pytest.approx(expected, rel=1e-6)


def test_camera_of_tobii_glasses_is_used(tmp_path: Path) -> None:
    frames = open_frames(f"file:{make_tobii(tmp_path / 'g3')}")
    assert isinstance(frames, CameraSource)
    assert frames.camera_model() == PinholeCamera((64, 48), 90, 91, 31, 25, (-0.05, 0.05, 0.001, -0.002, -0.01))


def test_camera_of_the_recording_measures_degrees_of_a_calibration(tmp_path: Path) -> None:
    folder = make_neon(tmp_path / "neon", [0.0], size=(1600, 1200))
    assert isinstance(load_view(None, (1600, 1200), f"file:{folder}?loop=1"), FlatView)
    make_calibration_bin(folder / "calibration.bin", MATRIX, COEFFICIENTS)
    assert isinstance(load_view(None, (1600, 1200), f"file:{folder}?loop=1"), CameraView)
    assert isinstance(load_view(None, (1600, 1200), "camera:0"), FlatView)


def test_the_video_of_a_recording_is_not_mistaken_for_it(tmp_path: Path) -> None:
    folder = make_core(tmp_path / "core")
    assert not parse_source(f"file:{folder}/world.mp4?loop=1").has_own_gaze
    config = RunConfig(source=f"file:{folder}/world.mp4?loop=1")
    with ExitStack() as stack, pytest.raises(SettingsError, match=rf"--source file:{folder} plays it with its gaze"):
        open_run_inputs(config, Mock(spec=RunView), stack, window=False)


def test_a_camera_that_does_not_fit_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_core(tmp_path / "core")
    (folder / "world.intrinsics").write_bytes(b"\x81\xa7version\x01")
    with caplog.at_level(logging.WARNING):
        frames = open_frames(f"file:{folder}?realtime=0")
    assert not isinstance(frames, CameraSource)
    assert "the recording's camera model is not used:" in caplog.text


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("kind", "harm", "message"),
    [
        ("core", remove("world.mp4"), "Pupil Core without scene video: expected world.mp4"),
        ("core", remove("world_timestamps.npy"), "world_timestamps.npy is missing beside it"),
        ("core", write("world_timestamps.npy", b"x"), "cannot be read as a NumPy array"),
        ("core", write("world.mp4", b"x"), "world.mp4"),
        ("core", write("gaze.pldata", b""), "gaze.pldata holds no gaze; was Pupil Capture calibrated"),
        ("core", write("gaze.pldata", b"\xc1" * 9), "gaze.pldata holds no gaze"),
        ("companion", remove("Neon Scene Camera v1 ps1.mp4"), "without scene video: expected 'Neon Scene Camera v1"),
        ("companion", remove("Neon Scene Camera v1 ps1.time"), "ps1.time is missing beside it"),
        ("companion", write("Neon Scene Camera v1 ps1.time", b"123"), "ps1.time is empty"),
        ("companion", write("gaze ps1.raw", b"123"), "gaze ps1.raw is empty; nothing was recorded"),
        ("companion", remove("gaze ps1.time"), "has no gaze: expected 'gaze ps1.raw' and 'gaze ps1.time'"),
        ("companion", write("gaze.dtype", b"__import__('os')"), "gaze.dtype does not describe a record"),
        ("companion", write("gaze.dtype", b"'O'"), "gaze.dtype does not describe a record"),
        ("export", write("world_timestamps.csv", b"a,b\n1,2\n"), "no table of frame times"),
        ("export", write("other.mp4", b"x"), r"has 2 videos \(0f1e2d3c_0.0-0.24.mp4, other.mp4\)"),
        ("export", write("gaze.csv", b"a,b\n1,2\n"), "gaze.csv line 1 is 'a,b'; expected the header"),
        ("tobii", remove("scenevideo.mp4"), "without scenevideo.mp4"),
    ],
)  # fmt: skip
def test_what_is_missing_or_damaged_is_named(tmp_path: Path, kind: str, harm: Make, message: str) -> None:
    folder = KINDS[kind](tmp_path / "recording")
    harm(folder)
    with pytest.raises(SourceError, match=message):
        open_gaze(f"file:{folder}", open_frames(f"file:{folder}"))


def test_gaze_of_another_recording_or_too_low_is_refused(tmp_path: Path) -> None:
    folder = make_core(tmp_path / "core")
    with pytest.raises(SourceError, match=r"gaze.pldata has no confidence above 0.9, and gaze below 0.95 is ignored"):
        open_gaze(f"file:{folder}", open_frames(f"file:{folder}"), min_confidence=0.95)
    write_pldata(folder / "gaze.pldata", [(5000, 0.5, 0.5)])
    with pytest.raises(SourceError, match=r"gaze from 334517.25 to 334517.25 s and none during the video, from 329517"):
        open_gaze(f"file:{folder}", open_frames(f"file:{folder}"))
    other = make_neon(tmp_path / "neon")
    with pytest.raises(SourceError, match="is no gaze of the frames' own recording"):
        open_gaze(f"file:{other}", open_frames(f"file:{folder}"))
    with pytest.raises(SourceError, match="fps is for folders of pictures"):
        open_frames(f"file:{folder}?fps=10")


def test_damaged_gaze_is_read_up_to_the_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_core(tmp_path / "core")
    whole = (folder / "gaze.pldata").read_bytes()
    (folder / "gaze.pldata").write_bytes(whole[: len(whole) // 2] + b"\xc1\xc1")
    with caplog.at_level(logging.WARNING):
        _, samples = played(f"file:{folder}?realtime=0")
    assert 1 <= len(samples) < 4
    (folder / "gaze.pldata").write_bytes(whole + b"\x92\xa4gaze\xc4\x01\xc1")
    assert len(played(f"file:{folder}?realtime=0")[1]) == 4


SMALL = {
    "core": ("gaze.pldata", "world_timestamps.npy", "info.player.json"),
    "companion": (
        "gaze ps1.raw", "gaze ps1.time", "worn ps1.raw", "Neon Scene Camera v1 ps1.time", "blinks ps1.raw",
        "blinks ps1.time", "gaze.dtype", "calibration.bin", "info.json",
    ),
    "export": ("gaze.csv", "world_timestamps.csv", "scene_camera.json"),
    "tobii": ("gazedata", "recording.g3"),
}  # fmt: skip


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([(kind, name) for kind, names in SMALL.items() for name in names]), st.data())
def test_any_damage_of_a_recording_is_played_or_refused(
    tmp_path: Path, kind_and_name: tuple[str, str], data: st.DataObject
) -> None:
    kind, name = kind_and_name
    folder = tmp_path / kind
    if not folder.exists():
        KINDS[kind](folder)
    whole = (folder / name).read_bytes() if (folder / name).exists() else b""
    cut = data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(max_size=64))
    (folder / name).write_bytes(
        data.draw(st.sampled_from([whole[:cut] + noise, whole[:cut] + noise + whole[cut + len(noise) :]]))
    )
    try:
        with suppress(SourceError):
            frames = open_frames(f"file:{folder}?realtime=0")
            open_gaze(f"file:{folder}", frames)
    finally:
        (folder / name).unlink()
        if whole:
            (folder / name).write_bytes(whole)
