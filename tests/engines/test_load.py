"""Tests when libraries are imported, and settings."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineSettings, ModelError, PromptError, load
from engines.graphs import BATCHES, EncoderGraph, bucket
from engines.letterbox import Letterbox
from engines.sam import batch_size_for
from engines.settings import default_cache_dir, default_threads, picture_side

HEAVY = "{'torch', 'openvino', 'onnxruntime', 'onnx'}"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
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
from dataclasses import replace
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


def test_a_user_without_a_home_folder_is_reported(monkeypatch):
    for name in ("GAZECAST_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", Mock(side_effect=RuntimeError("Could not determine home directory.")))
    with pytest.raises(ModelError, match="set GAZECAST_CACHE to a folder"):
        default_cache_dir()


@given(st.integers(1, 100))
def test_batches_waste_less_than_they_save(count):
    done = 0
    while done < count:
        batch = batch_size_for(count - done)
        assert batch in BATCHES
        assert batch == 1 or min(batch, count - done) > batch // 2
        done += batch


def test_buckets_have_an_end():
    assert [bucket(count, (2, 4, 8), "points") for count in (1, 2, 3, 8)] == [2, 2, 4, 8]
    with pytest.raises(PromptError, match="at most 8"):
        bucket(9, (2, 4, 8), "points")


@pytest.mark.parametrize(("threads", "side"), [(1, 512), (2, 512), (3, 672), (7, 896), (15, 1024)])
def test_fewer_threads_see_coarser_pictures(threads, side):
    settings = EngineSettings(encoder_threads=threads)
    assert picture_side(settings) == side
    assert picture_side(settings, on_gpu=True) == 1024
    assert picture_side(replace(settings, model="sam_vit_b")) == 1024  # it attends to the whole square anyway
    assert picture_side(replace(settings, picture_side=640), on_gpu=True) == 640


@pytest.mark.parametrize("side", [-1, 100, 1025])
def test_a_picture_larger_than_the_square_or_tiny_is_refused(side):
    with pytest.raises(ValueError, match="picture_side must be"):
        EngineSettings(picture_side=side)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([512, 672, 1024]))
def test_an_encoder_graph_holds_the_whole_picture_and_fills_one_side(width, height, side):
    letterbox = Letterbox(width, height, picture_side=side)
    graph = EncoderGraph.of(letterbox)
    rows, columns = graph.tokens
    assert max(rows, columns) == side // 16
    assert 16 * (rows - 1) < graph.height <= 16 * rows
    assert 16 * (columns - 1) < graph.width <= 16 * columns
