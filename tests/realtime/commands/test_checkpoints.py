"""A checkpoint with the published names goes through the whole program: pulled, segmented with, and run on a clip."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import fetch, weights
from engines.fetch import RemoteFile
from engines.model_registry import REGISTRY, UrlSource
from engines.models import onnx_graphs, weight_arrays
from engines.models.sam_vit_graph import VitShape
from realtime.commands.main import main
from realtime.recording.reader import RecordingReader
from tests.realtime import scene

pytest.importorskip("torch")
pytest.importorskip("openvino")

from tests.engines.networks.published import build_published, write_checkpoint

SMALL = VitShape(width=32, depth=2, heads=2, global_blocks=(1,))
"""An encoder with the names of ViT-B's weights that takes a hundredth of its time."""
FILE = "sam_vit_b_01ec64.pth"
MODEL = ("--model", "sam_vit_b")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the checkpoint, serve it, and register it in the place of sam_vit_b."""
    served = tmp_path / "served"
    served.mkdir()
    file = served / FILE
    write_checkpoint(build_published(SMALL), file)
    for module in (weight_arrays, onnx_graphs):
        monkeypatch.setitem(module.SHAPES, "sam_vit_b", SMALL)
    remote = RemoteFile(FILE, file.stat().st_size, fetch.sha256(file))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as server:
        source = UrlSource(f"http://127.0.0.1:{server.server_address[1]}/{FILE}", (remote,))
        known = tuple(replace(entry, sources=(source,)) if entry.name == "sam_vit_b" else entry for entry in REGISTRY)
        monkeypatch.setattr(weights, "list_models", lambda: known)
        monkeypatch.setenv("GAZECAST_CACHE", str(tmp_path / "cache"))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield file
        server.shutdown()
        thread.join(60)


def test_a_checkpoint_goes_through_the_whole_program(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # which a user of checkpoints does not need
    assert main(["models", "pull", "sam_vit_b"]) == 0
    folder = tmp_path / "cache" / "models" / "sam_vit_b"
    assert capsys.readouterr().out.strip() == str(folder)
    assert (folder / FILE).read_bytes() == checkpoint.read_bytes()

    picture = tmp_path / "frame.png"
    assert cv2.imwrite(str(picture), np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8))
    assert main(["segment", str(picture), *MODEL, "--point", "40,45", "--out", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "frame.json").read_text())
    assert written["info"]["model"] == "sam_vit_b"
    assert written["info"]["picture_side"] == 1024

    clip, trace = scene.write_clip(tmp_path, 12)
    recording = tmp_path / "run.mcap"
    flags = ("--publish", "tcp://127.0.0.1:0", "--record", str(recording))
    settings = ("--set", "engine.model=sam_vit_b", "--set", "engine.picture_side=256")
    assert main(["run", "--source", f"file:{clip}?realtime=0", "--gaze", f"trace:{trace}", *flags, *settings]) == 0
    assert any(RecordingReader(recording).read_entries(("mask",)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda body: body[:-1000], r"has [\d,]+ bytes, expected [\d,]+, in .*; fetch it again: gazecast models pull"),
        (lambda body: body[:-1000] + bytes(1000), r"has SHA-256 [0-9a-f]{64}, expected .* gazecast models pull"),
    ],
    ids=["cut off", "other bytes"],
)
def test_a_damaged_checkpoint_is_refused_with_the_remedy(
    damage: Callable[[bytes], bytes], message: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = weights.pull_model("sam_vit_b")
    (folder / FILE).write_bytes(damage(checkpoint.read_bytes()))
    assert main(["models", "path", "sam_vit_b"]) == 2
    assert re.search(message, capsys.readouterr().err)
