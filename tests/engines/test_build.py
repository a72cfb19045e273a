import cv2
import numpy as np
import pytest

from engines import EngineSettings, EngineUnavailable, ModelError, Prompt, PromptError, load
from engines.acceptance import AcceptanceRefused
from engines.build import build_engine, list_engines, verify_engine
from engines.pictures import read_pictures, resize_and_crop, sample_evenly

FRAME = (320, 180)


def test_pictures_are_read_evenly_from_a_folder(tmp_path):
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((4, 6, 3), index * 10, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes(b"no picture either")
    assert [picture[0, 0, 0] for picture in read_pictures(tmp_path, limit=5)] == [0, 20, 40, 60, 80]


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_a_place_without_pictures_is_refused(tmp_path, what):
    with pytest.raises(PromptError, match=r"does not exist|no picture"):
        read_pictures(tmp_path if what == "empty" else tmp_path / "missing")


def test_even_sampling_returns_at_most_all_items():
    assert sample_evenly([1, 2, 3], 5) == [1, 2, 3]
    assert sample_evenly(range(100), 4) == [0, 25, 50, 75]
    assert sample_evenly([], 4) == []


@pytest.mark.parametrize("shape", [(100, 100), (50, 400), (400, 50), (1, 1)])
def test_pictures_are_cut_from_the_middle(shape):
    picture = np.zeros((*shape, 3), np.uint8)
    assert resize_and_crop(picture, FRAME).shape == (180, 320, 3)


@pytest.fixture(scope="module")
def pictures():
    """Draw scenes of discs and boxes, enough for the points of the acceptance check to find objects."""
    rng = np.random.default_rng(3)
    out = []
    for _ in range(2):
        ground = cv2.resize(rng.integers(40, 215, (5, 8, 3)).astype(np.uint8), FRAME, interpolation=cv2.INTER_CUBIC)
        for column in range(5):
            for row in range(3):
                middle = (32 + 64 * column, 30 + 60 * row)
                colour = tuple(int(value) for value in rng.integers(0, 255, 3))
                cv2.circle(ground, middle, int(rng.integers(14, 26)), colour, -1)
        out.append(ground)
    return out


def test_an_engine_is_built_judged_and_listed(weights_folder, engine_cache, pictures):
    lines: list[str] = []
    settings = EngineSettings("openvino", precision="f32", cache_dir=engine_cache, picture_side=512)
    built = build_engine(settings, weights_folder, FRAME, pictures, report=lines.append)
    assert built["gate"]["passed"]
    assert built["gate"]["best"] > 0.98
    assert built["picture_side"] == 512
    assert any("comparing" in line for line in lines)
    listed = {entry["name"]: entry for entry in list_engines(engine_cache)}
    assert listed["mobile_sam-openvino-f32-320x180"]["gate"]["passed"]


def test_an_engine_whose_masks_differ_is_refused(weights_folder, engine_cache, pictures, monkeypatch):
    class ShiftedDecoder:
        def __init__(self, inside):
            self.inside, self.info, self.close = inside, inside.info, inside.close

        def decode(self, embedding, prompts):
            found = self.inside.decode(embedding, prompts)
            for candidates in found:
                candidates.logits[:] = np.roll(candidates.logits, 6, 2)
            return found

    def load_shifted(*args, **more):
        encoder, decoder = load(*args, **more)
        return encoder, ShiftedDecoder(decoder)

    monkeypatch.setattr("engines.build.load", load_shifted)
    settings = EngineSettings("openvino", precision="f32", cache_dir=engine_cache)
    with pytest.raises(AcceptanceRefused, match="best-of-four IoU"):
        verify_engine(settings, weights_folder, FRAME, pictures[:1])


def test_int8_that_was_not_built_is_not_pretended(weights_folder, engine_cache):
    settings = EngineSettings("openvino", precision="int8", cache_dir=engine_cache)
    with pytest.raises(EngineUnavailable, match=r"gazecast engine build --precision int8"):
        load(settings, weights_folder, frame_size=FRAME)


def test_int8_is_openvinos_alone(weights_folder, engine_cache, pictures):
    settings = EngineSettings("onnxruntime", precision="int8", cache_dir=engine_cache)
    with pytest.raises(EngineUnavailable, match="choose backend openvino"):
        build_engine(settings, weights_folder, FRAME, pictures)


def test_int8_is_judged_once_for_all_shapes(weights_folder, tmp_path, pictures):
    settings = EngineSettings("openvino", precision="int8", cache_dir=tmp_path)
    lines = []
    built = build_engine(settings, weights_folder, FRAME, pictures, report=lines.append)
    assert sum("reading the weights" in line for line in lines) == 1
    assert built["gate"]["passed"]
    assert built["gate"]["best"] > 0.94
    assert built["gate"]["time_ratio"] > 0
    encoder, decoder = load(settings, weights_folder, frame_size=(120, 160))
    assert encoder.info.precision == decoder.info.precision == "int8"
    again = build_engine(settings, weights_folder, FRAME, [])
    assert again["gate"] == built["gate"]


def test_an_engine_of_one_mask_is_not_compared_with_four(weights_folder, tmp_path, pictures):
    settings = EngineSettings("stock", cache_dir=tmp_path)
    try:
        load(settings, weights_folder)
    except ModelError as error:
        pytest.skip(str(error))
    with pytest.raises(EngineUnavailable, match="gives one mask for a prompt"):
        build_engine(settings, weights_folder, FRAME, pictures)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_graph_too_large_for_memory_leaves_no_file(weights_folder, tmp_path, monkeypatch, picture, backend):
    monkeypatch.setattr("engines.graph_store.MAX_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = EngineSettings(backend, precision="f32", picture_side=256, cache_dir=tmp_path / "cache")
    encoder, decoder = load(settings, weights_folder)
    assert decoder.decode(encoder.encode(picture), [Prompt.click(100, 90)])[0].logits.any()
    assert not list(tmp_path.glob("gazecast-*"))


@pytest.mark.parametrize("precision", ["f16", "fp8"])
def test_precisions_of_gpus_are_refused_on_a_cpu(weights_folder, engine_cache, precision):
    settings = EngineSettings("openvino", precision=precision, cache_dir=engine_cache)
    with pytest.raises(EngineUnavailable, match=f"{precision} is for GPUs"):
        load(settings, weights_folder)


@pytest.mark.parametrize(
    ("time", "is_chosen"),
    [({"time_ratio": 0.7}, True), ({"time_ratio": 0.98}, False), ({"time_ratio": 1.4}, False), ({}, False)],
)
def test_int8_is_chosen_where_it_is_faster(weights_folder, tmp_path, time, is_chosen):
    from engines import cache
    from engines.backends.openvino import OpenVinoRuntime
    from engines.graph_store import GraphStore

    store = GraphStore(weights_folder, "mobile_sam", tmp_path, lambda line: None)
    root, name, key = OpenVinoRuntime(store, EngineSettings("openvino")).int8_verdict()
    gate = {"passed": True, **time}
    cache.write_note(cache.file_path(root, name, key, ".json"), name, key, gate=gate)
    runtime = OpenVinoRuntime(store, EngineSettings("openvino"))
    assert (runtime.precision == "int8") is is_chosen
