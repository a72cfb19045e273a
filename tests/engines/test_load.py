"""What is imported when; and settings."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineSettings, PromptError, load
from engines.graphs import BATCHES, EncoderGraph, bucket
from engines.letterbox import Letterbox
from engines.sam import batch_for
from engines.settings import default_cache_dir, default_threads

HEAVY = "{'torch', 'openvino', 'onnxruntime', 'nncf', 'onnx'}"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_engines_imports_nothing_heavy():
    assert run(f"import sys, engines; print({HEAVY} & set(sys.modules))") == "set()"


def test_a_cached_engine_opens_without_torch(weights_folder, engine_cache):
    pytest.importorskip("openvino")
    settings = EngineSettings("openvino", cache_dir=engine_cache)
    for half in load(settings, weights_folder, frame_size=(320, 180)):
        half.close()
    code = f"""
import sys
from pathlib import Path
from engines import EngineSettings, load
settings = EngineSettings('openvino', cache_dir=Path({str(engine_cache)!r}))
load(settings, Path({str(weights_folder)!r}), frame_size=(320, 180))
print('torch' in sys.modules, 'openvino' in sys.modules)
"""
    assert run(code) == "False True"


def test_threads_share_out_the_cores(monkeypatch):
    for cores, wanted in ((1, (1, 1)), (2, (1, 1)), (4, (3, 1)), (8, (6, 2)), (32, (28, 4)), (None, (1, 1))):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert default_threads() == wanted
        assert EngineSettings().encoder_threads == wanted[0]


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("GAZECAST_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path / "engines"


@given(st.integers(1, 100))
def test_batches_waste_less_than_they_save(count):
    done = 0
    while done < count:
        batch = batch_for(count - done)
        assert batch in BATCHES
        assert batch == 1 or min(batch, count - done) > batch // 2
        done += batch


def test_buckets_have_an_end():
    assert [bucket(count, (2, 4, 8), "points") for count in (1, 2, 3, 8)] == [2, 2, 4, 8]
    with pytest.raises(PromptError, match="at most 8"):
        bucket(9, (2, 4, 8), "points")


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_an_encoder_graph_holds_the_whole_picture_and_fills_one_side(width, height):
    letterbox = Letterbox(width, height)
    graph = EncoderGraph.of(letterbox)
    rows, columns = graph.tokens
    assert max(rows, columns) == 64
    assert 16 * (rows - 1) < graph.height <= 16 * rows
    assert 16 * (columns - 1) < graph.width <= 16 * columns
