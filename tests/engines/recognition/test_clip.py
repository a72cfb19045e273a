"""CLIP's tokens and graphs are those of OpenAI's own code, and its files are read safely."""

import importlib.metadata
import importlib.util
import threading

import numpy as np
import pytest

from engines import weights
from engines.base import ModelError, PromptError
from engines.models.clip_graph import (
    ClipShape,
    build_picture_graph,
    build_text_graph,
    embed_tokens,
    interpolate_positions,
)
from engines.models.safetensors import read_safetensors
from engines.recognition.clip_tokenizer import ClipTokenizer
from engines.recognition.coco_names import NAMES
from tests.engines.recognition.clip_files import FILE, PUBLISHED, make_clip, pack_header, write_clip, write_safetensors

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from engines.openvino_core import compile_for_latency, open_core
from engines.recognition.clip import ClipRecognizer

MIN_COSINE = 0.999


def load_openai(module):
    """Load a module of OpenAI's package without the others, which need torchvision."""
    try:
        file = importlib.metadata.distribution("openai-clip").locate_file(f"clip/{module}.py")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("openai-clip is not installed")
    spec = importlib.util.spec_from_file_location(f"openai_clip_{module}", file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_known_texts_have_their_tokens():
    tokenizer = ClipTokenizer()
    assert tokenizer.tokenize("a photo of a cat", 77) == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer.tokenize("", 77) == [49406, 49407]
    cut = tokenizer.tokenize("mug " * 100, 77)
    assert (len(cut), cut[0], cut[-1]) == (77, 49406, 49407)


def test_tokens_are_those_of_openais_tokenizer():
    ours, theirs = ClipTokenizer(), load_openai("simple_tokenizer").SimpleTokenizer()
    words = [
        "mug", "Tasse", "café", "naïve", "don't", "it's", "2nd_floor", "3.14", "hello-world", "ÄÖÜ", "straße", "猫",
        "マグ", "cafe\u0301", "🐱", "under_score", "!?", "co2", "I'LL", "½", "'tis", "supercalifragilistic", "(left)",
        "A/B", "<b>",
    ]  # fmt: skip
    random = np.random.default_rng(0)
    for count in (1, *random.integers(1, 9, 300)):
        text = "  ".join(random.choice(words, count))
        assert ours.tokenize(text, 77)[1:-1] == theirs.encode(text)[:75], text


def run_graph(graph, *inputs):
    core = open_core()
    network = core.read_model(graph.SerializeToString())
    request = compile_for_latency(core, network, 1, INFERENCE_PRECISION_HINT="f32").create_infer_request()
    request.infer(list(inputs))
    return np.array(request.get_output_tensor(0).data)


def least_cosine(found, wanted):
    lengths = np.linalg.norm(found, axis=-1) * np.linalg.norm(wanted, axis=-1)
    return float(((found * wanted).sum(-1) / lengths).min())


@pytest.fixture(scope="module")
def reference():
    """Return OpenAI's network with random weights, and these as arrays."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    arrays = make_clip(3, patch_px=8, grid=4)
    clip = load_openai("model").CLIP(32, 32, 2, 128, 8, 77, 49408, 64, 1, 2).eval()
    clip.load_state_dict({name: torch.as_tensor(array) for name, array in arrays.items()})
    return torch, clip, arrays


def test_sizes_are_read_off_the_weights(reference):
    assert ClipShape.of(reference[2]) == ClipShape(8, 4, 2, 2, 64, 77, 32)
    with pytest.raises(ModelError, match="not the weights of a CLIP"):
        ClipShape.of(reference[2] | {"visual.positional_embedding": np.zeros((18, 128), np.float32)})


@pytest.mark.parametrize(("model", "patch_px", "grid"), [("clip-b32", 32, 7), ("clip-b16", 16, 14)])
def test_the_published_file_has_the_size_of_these_names_and_arrays(model, patch_px, grid):
    arrays = make_clip(None, patch_px=patch_px, grid=grid, **PUBLISHED)
    assert ClipShape.of(arrays) == ClipShape(patch_px, grid, 12, 12, 512, 77, 512)
    (file,) = weights.find_model(model).files
    assert file.size == len(pack_header(arrays)) + sum(array.nbytes for array in arrays.values())


@pytest.mark.parametrize("length", [16, 77])
def test_the_text_graph_is_openais_tower(reference, length):
    torch, clip, arrays = reference
    tokenizer = ClipTokenizer()
    texts = [tokenizer.tokenize(text, length) for text in ("a photo of a mug.", "cat", "a " * 90)]
    ids, ends = np.zeros((3, 77), np.int64), np.zeros((3, 1, length), np.float32)
    for index, text in enumerate(texts):
        ids[index, : len(text)], ends[index, 0, len(text) - 1] = text, 1
    with torch.inference_mode():
        wanted = clip.encode_text(torch.from_numpy(ids)).numpy()
    found = run_graph(build_text_graph(arrays, 3, length), embed_tokens(arrays, ids[:, :length]), ends)[:, 0]
    assert least_cosine(found, wanted) >= MIN_COSINE


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (3, 7)])
def test_the_picture_graph_is_openais_tower_with_the_value_path_at_its_end(reference, rows, columns):
    torch, clip, arrays = reference
    picture = np.random.default_rng(5).integers(0, 255, (rows * 8, columns * 8, 3)).astype(np.uint8)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's, red first
    pixels = torch.from_numpy((picture[None, :, :, ::-1] / 255.0 - mean) / std).float().permute(0, 3, 1, 2)
    visual, blocks = clip.visual, clip.visual.transformer.resblocks
    positions = torch.from_numpy(arrays["visual.positional_embedding"])
    square = positions[1:].T.reshape(1, 128, 4, 4)
    moved = torch.nn.functional.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
    with torch.inference_mode():
        x = visual.conv1(pixels).flatten(2).permute(2, 0, 1)
        x = torch.cat([visual.class_embedding.expand(1, 1, -1), x])
        x = blocks[0](visual.ln_pre(x + torch.cat([positions[:1], moved[0].flatten(1).T])[:, None]))
        # The last block, where each token attends to itself alone.
        attention, last = blocks[1].attn, blocks[1]
        values = torch.nn.functional.linear(
            last.ln_1(x), attention.in_proj_weight[256:], attention.in_proj_bias[256:]
        )  # fmt: skip
        x = x + attention.out_proj(values)
        x = x + last.mlp(last.ln_2(x))
        wanted = (visual.ln_post(x[1:, 0]) @ visual.proj).numpy()
    found = run_graph(build_picture_graph(arrays, rows, columns), picture[None])[0]
    assert least_cosine(found, wanted) >= MIN_COSINE
    assert np.abs(interpolate_positions(arrays["visual.positional_embedding"], 4, 4) - positions.numpy()).max() < 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


def test_pictures_of_any_shape_become_whole_patches(folder, tmp_path):
    recognizer = ClipRecognizer(folder, "clip-b32", names=("mug", "cat"), cache_dir=tmp_path, long_side=6)
    for height, width, grid in ((48, 200, (1, 6)), (300, 200, (6, 4)), (1, 1, (6, 6))):
        found = recognizer.recognize(np.full((height, width, 3), 90, np.uint8))
        assert (found.patches.shape[:2], found.size) == (grid, (width, height))
        assert np.allclose(np.linalg.norm(found.patches, axis=2), 1, atol=1e-5)
    recognizer.close()


def test_names_are_encoded_once_and_then_read(folder, tmp_path, monkeypatch):
    first = ClipRecognizer(folder, "clip-b32", names=("mug", "cat"), cache_dir=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    monkeypatch.setattr("engines.recognition.clip_text.ClipTextEncoder.encode", lambda *_: pytest.fail("encoded again"))
    again = ClipRecognizer(folder, "clip-b32", names=("mug", "cat"), cache_dir=tmp_path)
    assert np.array_equal(first._vocabulary.codes, again._vocabulary.codes)
    with pytest.raises(pytest.fail.Exception):
        ClipRecognizer(folder, "clip-b32", names=("mug", "dog"), cache_dir=tmp_path)


def test_a_cache_that_cannot_be_written_is_no_error(folder, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    recognizer = ClipRecognizer(folder, "clip-b32", names=("mug",), cache_dir=tmp_path / "file" / "below")
    assert recognizer.recognize(np.zeros((20, 20, 3), np.uint8)).names == ("mug",)


def test_words_are_encoded_from_any_thread_once(folder, tmp_path):
    recognizer = ClipRecognizer(folder, "clip-b32", names=("mug",), cache_dir=tmp_path)
    found = {}

    def encode(index):
        found[index] = recognizer.encode_word(f" red  mug {index % 2}")

    threads = [threading.Thread(target=encode, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(np.array_equal(found[index].code, found[index % 2].code) for index in range(8))
    assert not np.allclose(found[0].code, found[1].code)
    assert all(query.is_known for query in found.values())
    with pytest.raises(PromptError, match="empty"):
        recognizer.encode_word("  ")
    assert recognizer.encode_word("long " * 90).code.shape == (32,)


@pytest.mark.parametrize("damage", ["cut", "header", "short", "kind", "other", "missing"])
def test_damaged_files_are_refused(tmp_path, damage):
    file = tmp_path / FILE
    arrays = {"visual.conv1.weight": np.zeros((64, 3, 4, 4), np.float32)}
    if damage != "missing":
        write_safetensors(file, arrays)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-4])
    elif damage == "header":
        file.write_bytes(b"\xff" * 8 + b"{}")
    elif damage == "short":
        file.write_bytes(b"abc")
    elif damage == "kind":
        file.write_bytes(file.read_bytes().replace(b'"F32"', b'"F99"'))
    with pytest.raises(ModelError, match=r"open_clip_model|text_projection"):
        ClipShape.of(read_safetensors(file))


def test_the_published_weights_know_a_cat_from_a_dog_in_words_and_the_demos_table():
    try:
        folder = weights.model_folder("clip-b32")
    except ModelError as error:
        pytest.skip(str(error))
    import cv2

    from realtime.commands import demo

    recognizer = ClipRecognizer(folder, "clip-b32")
    cat, kitten, truck = (recognizer.encode_word(word).code for word in ("cat", "kitten", "truck"))
    assert cat @ kitten > cat @ truck
    clip = next(path for path in importlib.resources.files(demo).iterdir() if path.name.startswith("table."))
    ok, picture = cv2.VideoCapture(str(clip)).read()
    assert ok
    found = recognizer.recognize(picture)
    everything = np.ones((1, 8, 8), bool)
    table, truck = (found.score_word(everything, recognizer.encode_word(word))[0] for word in ("table", "truck"))
    assert table > truck
    assert len(found.names) == len(NAMES)
