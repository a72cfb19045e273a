"""Tests our networks against references from outside this project."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from engines import ModelError, Prompt
from engines.letterbox import Letterbox

torch = pytest.importorskip("torch")

from benchmarks.measure_padding import natural_noise  # noqa: E402
from engines import weights  # noqa: E402
from engines.backends.torch_graph import TorchGraph  # noqa: E402
from engines.graphs import ABSENT, SURROUND, DecoderGraph, EncoderGraph, block_edges  # noqa: E402
from engines.models.decoder_graph import pool_blocks, position_grid, write_preparation  # noqa: E402
from engines.models.graph_builder import GraphBuilder  # noqa: E402
from engines.models.onnx_graphs import build_graph, prompt_table  # noqa: E402
from engines.models.padding import padding_profiles  # noqa: E402
from engines.models.sam_vit_graph import SHAPES, SamVitGraph, VitShape  # noqa: E402
from engines.models.weight_arrays import ModelWeights, read_arrays  # noqa: E402
from engines.prompts import model_points  # noqa: E402
from tests.engines.networks.model import normalised, read_model  # noqa: E402
from tests.engines.networks.published import without_torchvision  # noqa: E402
from tests.engines.networks.sam_vit import SamVit  # noqa: E402
from tests.engines.networks.tiny_vit import TinyViT  # noqa: E402

BOX = Letterbox(1024, 576)
PROMPTS = {
    "click": Prompt.click(400, 200),
    "points": Prompt(np.array([[400, 200], [420, 260], [30, 40]], np.float32), np.array([1, 1, 0], np.int8)),
    "box": Prompt.box(100, 120, 700, 480),
    "box and point": Prompt(
        np.array([[300, 300]], np.float32), np.ones(1, np.int8), np.array([100, 120, 700, 480], np.float32)
    ),
}


@pytest.fixture(scope="module")
def embedding(stock):
    content = natural_noise(11, 576, 1024)
    return stock[0].run(None, {"input": normalised(torch.from_numpy(content)).numpy()})[0]


@pytest.fixture(scope="module")
def keys(embedding):
    return torch.from_numpy(embedding).flatten(2).transpose(1, 2)[0]


def stock_decode(stock, embedding, prompt: Prompt):
    points, labels = model_points(BOX, prompt)
    mask = np.zeros((256, 256), np.float32) if prompt.mask_logits is None else prompt.mask_logits
    _, scores, logits = stock[1].run(None, {
        "image_embeddings": embedding, "point_coords": points[None], "point_labels": labels[None],
        "mask_input": mask[None, None], "has_mask_input": np.array([prompt.mask_logits is not None], np.float32),
        "orig_im_size": np.array([576, 1024], np.float32),
    })  # fmt: skip
    return logits[0, 0], scores[0, 0]


def spread(values, rows, columns):
    """Expand (R * C', 256) of the decoder's grid to (4096, 256): every token is that of its block."""
    down, across = (torch.tensor(np.diff(block_edges(tokens))) for tokens in (rows, columns))
    blocks = values.view(len(down), len(across), 256)
    return blocks.repeat_interleave(down, 0).repeat_interleave(across, 1).reshape(4096, 256)


def plain_decode(sam, keys, prompt: Prompt, place=None):
    points, labels = (torch.from_numpy(part)[None] for part in model_points(BOX, prompt))
    tokens = sam.prompt_encoder.points(points, labels.long())
    if prompt.mask_logits is None:
        dense = sam.prompt_encoder.no_mask_embed.weight
    else:
        dense = sam.prompt_encoder.masks(torch.from_numpy(prompt.mask_logits)[None, None])
    place = sam.prompt_encoder.pe_layer.grid() if place is None else place
    logits, scores = sam.mask_decoder((keys + dense).view(1, 4096, 256), place, tokens)
    return logits[0].numpy(), scores[0].numpy(), tokens


def test_tiny_vit_is_the_published_encoder(sam, embedding):
    content = natural_noise(11, 576, 1024)
    ours = sam.image_encoder(normalised(torch.from_numpy(content))).permute(0, 3, 1, 2).numpy()
    assert np.linalg.norm(ours - embedding) / np.linalg.norm(embedding) < 1e-5


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_the_plain_decoder_is_the_published_one(sam, stock, embedding, keys, prompt):
    logits, score = stock_decode(stock, embedding, prompt)
    ours, scores, _ = plain_decode(sam, keys, prompt)
    # The published graph returns one mask, by a rule of its own; it must be one of our four.
    index = int(np.abs(scores - score).argmin())
    assert abs(scores[index] - score) < 1e-4
    assert np.abs(ours[index] - logits).max() < 1e-3


def test_a_mask_prompt_is_the_published_one(sam, stock, embedding, keys):
    first, _ = stock_decode(stock, embedding, PROMPTS["click"])
    prompt = Prompt.click(400, 200, mask_logits=first)
    logits, score = stock_decode(stock, embedding, prompt)
    ours, scores, _ = plain_decode(sam, keys, prompt)
    assert np.abs(ours[int(np.abs(scores - score).argmin())] - logits).max() < 1e-3


@pytest.fixture(scope="module")
def arrays(weights_folder) -> ModelWeights:
    return read_arrays(weights_folder, "mobile_sam")


def prepared(arrays, keys, rows, columns):
    """What the encoder's graph hands to the decoder's, from the embedding on the decoder's grid."""
    builder = GraphBuilder("preparation")
    outputs = write_preparation(builder, arrays, builder.input("keys", TensorProto.FLOAT, *keys.shape), rows, columns)
    for name, tensor in outputs.items():
        builder.output(name, tensor, *((len(keys), 256) if name == "keys" else (8, 16, len(keys))))
    return TorchGraph(builder.build())(keys)


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [*((name, 36, 64) for name in PROMPTS), ("points", 64, 64), ("click", 64, 40), ("box and point", 18, 33)],
)
def test_the_decoder_graph_is_the_plain_decoder(sam, arrays, keys, name, rows, columns):
    """Where all tokens of a block of padding are equal, attending to the block by its weight is attending to all."""
    few = torch.from_numpy(pool_blocks(keys.view(64, 64, 256).numpy(), rows, columns).reshape(-1, 256))
    place = torch.from_numpy(pool_blocks(position_grid(arrays), rows, columns).reshape(-1, 256))
    wanted, scores, tokens = plain_decode(sam, spread(few, rows, columns), PROMPTS[name], spread(place, rows, columns))
    # Two tokens too many and another prompt in the batch change nothing.
    filled = torch.cat([tokens, torch.randn(1, 2, 256)], 1)
    absent = torch.zeros(1, filled.shape[1])
    absent[:, -2:] = ABSENT
    batch = torch.cat([torch.randn_like(filled), filled])
    graph = build_graph(DecoderGraph(rows, columns, 2, filled.shape[1], False), "mobile_sam", arrays, None)
    image = prepared(arrays, few, rows, columns)
    logits, ious = TorchGraph(graph)(*image, batch, torch.cat([torch.zeros_like(absent), absent]))
    filled_part = np.s_[:, : 4 * rows, : 4 * columns]
    assert np.abs(logits[1].numpy()[filled_part] - wanted[filled_part]).max() < 1e-3
    assert np.abs(ious[1].numpy() - scores).max() < 1e-4


@pytest.mark.parametrize("has_mask", [True, False])
def test_the_decoder_graph_takes_masks_as_the_plain_decoder(sam, arrays, keys, has_mask):
    mask = torch.randn(256, 256) * 5
    prompt = Prompt.click(400, 200, mask_logits=mask.numpy() if has_mask else None)
    wanted, scores, tokens = plain_decode(sam, keys, prompt)
    graph = TorchGraph(build_graph(DecoderGraph(64, 64, 1, tokens.shape[1], True), "mobile_sam", arrays, None))
    base = prepared(arrays, keys, 64, 64)[0]
    flag = torch.full((1, 1, 1), float(has_mask))
    logits, ious = graph(base, tokens, torch.zeros(1, tokens.shape[1]), mask[None, None], flag)
    assert np.abs(logits[0].numpy() - wanted).max() < 1e-3
    assert np.abs(ious[0].numpy() - scores).max() < 1e-4


def test_prompt_tokens_in_numpy_are_the_networks_own(sam, arrays):
    table = prompt_table(arrays)
    for prompt in PROMPTS.values():
        points, labels = (torch.from_numpy(part)[None] for part in model_points(BOX, prompt))
        wanted = sam.prompt_encoder.points(points, labels.long())[0].numpy()
        tokens, absent = table.tokens([BOX], [prompt])
        count = len(wanted)
        np.testing.assert_allclose(tokens[0, :count], wanted, atol=2e-4)
        assert (absent[0, :count] == 0).all()
        assert (absent[0, count:] == ABSENT).all()


@pytest.mark.parametrize(
    "graph", [EncoderGraph(576, 1024), DecoderGraph(19, 64, 4, 4, False), DecoderGraph(19, 64, 1, 2, True)], ids=repr
)
def test_torch_runs_a_graph_as_onnx_runtime_does(arrays, graph):
    ort = pytest.importorskip("onnxruntime")
    model = build_graph(graph, "mobile_sam", arrays, padding_profiles())
    onnx.checker.check_model(model, full_check=True)
    rng = np.random.default_rng(5)
    inputs = {
        value.name: natural_noise(5, graph.height, graph.width)
        if value.name == "image"
        else rng.normal(size=[side.dim_value for side in value.type.tensor_type.shape.dim]).astype(np.float32)
        for value in model.graph.input
    }
    wanted = TorchGraph(model)(*(torch.from_numpy(value) for value in inputs.values()))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(session.run(None, inputs), wanted, strict=True):
        assert np.abs(ours - theirs.numpy()).max() / np.abs(theirs.numpy()).max() < 1e-4


@pytest.mark.parametrize("tokens", [1, 7, 36, 56, 57, 63, 64])
def test_blocks_of_padding_end_with_the_square(tokens):
    borders = block_edges(tokens)
    assert borders[: tokens + 1] == tuple(range(tokens + 1))
    assert borders[-1] == 64
    assert all(0 < end - begin <= SURROUND for begin, end in pairwise(borders))


@pytest.mark.parametrize(("height", "width"), [(288, 512), (512, 320), (992, 1024)])
def test_edge_profiles_stand_for_the_padding(sam, arrays, height, width):
    """Below, beside, and both."""
    content = torch.from_numpy(natural_noise(21, height, width))
    graph = EncoderGraph(height, width)
    rows, columns = graph.tokens
    truth = sam.image_encoder(normalised(content))[0]
    ours = TorchGraph(build_graph(graph, "mobile_sam", arrays, padding_profiles()))(content)[0]
    ours = (ours - sam.prompt_encoder.no_mask_embed.weight).view(*graph.grid, 256)
    tokens = np.s_[:rows, :columns]
    error = torch.linalg.norm(ours[tokens] - truth[tokens]) / torch.linalg.norm(truth[tokens])
    # Encoding the same tokens with zeros round them: what the profiles are for.
    padded = normalised(content)[:, :, : rows * 16, : columns * 16]
    bare = sam.image_encoder(padded)[0]
    without = torch.linalg.norm(bare - truth[tokens]) / torch.linalg.norm(truth[tokens])
    assert error < 0.05
    assert error < without / 4


def test_other_weights_encode_the_padding(sam, arrays):
    """Without profiles the graph is exact: the whole square is encoded."""
    content = torch.from_numpy(natural_noise(21, 288, 512))
    graph = EncoderGraph(288, 512)
    truth = sam.image_encoder(normalised(content))[0]
    ours = TorchGraph(build_graph(graph, "mobile_sam", arrays, None))(content)[0]
    ours = (ours - sam.prompt_encoder.no_mask_embed.weight).view(*graph.grid, 256)
    torch.testing.assert_close(ours[:18, :32], truth[:18, :32], atol=1e-3, rtol=1e-3)


def published_tiny_vit_state(seed: int = 3) -> dict:
    """Make a mobile_sam.pt: the published names, batch norms unfolded, biases by offset."""
    torch.manual_seed(seed)
    state = {}
    for key, value in TinyViT().state_dict().items():
        name, _, _ = key.rpartition(".")
        name = name.replace("patch_embed.0", "patch_embed.seq.0").replace("patch_embed.1", "patch_embed.seq.2")
        convolution = value.ndim == 4 and "neck" not in key
        if convolution:
            width = value.shape[0]
            state[f"{name}.c.weight"] = torch.randn_like(value) * 0.1
            for bn in ("weight", "bias", "running_mean"):
                state[f"{name}.bn.{bn}"] = torch.randn(width)
            state[f"{name}.bn.running_var"] = torch.rand(width) + 0.5
            state[f"{name}.bn.num_batches_tracked"] = torch.tensor(1)
        elif key.endswith("attn.bias"):
            side = int(value.shape[1] ** 0.5)
            state[f"{name}.attention_biases"] = torch.randn(value.shape[0], side * side)
        elif f"{name}.c.weight" not in state:
            state[key] = torch.randn_like(value)
    return state


def test_a_training_checkpoint_is_folded(tmp_path: Path, sam):
    published = published_tiny_vit_state()
    encoder = {f"image_encoder.{key}": value for key, value in published.items()}
    rest = {key: value for key, value in sam.state_dict().items() if not key.startswith("image_encoder.")}
    torch.save(encoder | rest, tmp_path / "mobile_sam.pt")
    ours = read_model(tmp_path, "mobile_sam").image_encoder
    x = torch.randn(1, 64, 9, 9)
    name = "layers.0.blocks.1.conv1"
    norm = torch.nn.BatchNorm2d(256).eval()
    norm.load_state_dict({k.rpartition(".")[2]: v for k, v in published.items() if k.startswith(f"{name}.bn.")})
    wanted = norm(torch.nn.functional.conv2d(x, published[f"{name}.c.weight"]))
    torch.testing.assert_close(ours.layers[0].blocks[1].conv1(x), wanted, atol=1e-4, rtol=1e-4)
    table, bias = published["layers.1.blocks.0.attn.attention_biases"], ours.layers[1].blocks[0].attn.bias
    # Offsets are numbered by first appearance, row by row: (0, 0) to (0, 6), then (1, 0) ...
    for a, b, index in ((0, 0, 0), (0, 3, 3), (3, 0, 3), (0, 7, 7), (8, 0, 8), (48, 0, 48), (6, 42, 48)):
        torch.testing.assert_close(bias[:, a, b], table[:, index])
    qkv, packed = published["layers.3.blocks.0.attn.qkv.weight"], ours.layers[3].blocks[0].attn.qkv.weight
    torch.testing.assert_close(packed[32:64], qkv[96:128] * 32**-0.5)  # queries of the second head
    torch.testing.assert_close(packed[320:352], qkv[32:64])  # keys of the first


@pytest.fixture(scope="module")
def published_vit():
    """Load the authors' own encoder."""
    with without_torchvision():
        return pytest.importorskip("segment_anything.modeling.image_encoder").ImageEncoderViT


def test_sam_vit_is_the_published_one(published_vit):
    torch.manual_seed(0)
    shape = VitShape(width=64, depth=3, heads=4, global_blocks=(1,))
    theirs = published_vit(
        img_size=320, embed_dim=64, depth=3, num_heads=4, out_chans=256, qkv_bias=True, use_rel_pos=True,
        window_size=14, global_attn_indexes=(1,), norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    ).eval()  # fmt: skip
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ours = SamVit(shape, grid=20).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 320, 320)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x).permute(0, 3, 1, 2), theirs(x), atol=1e-4, rtol=1e-4)
    builder = GraphBuilder("vit")
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    image = builder.input("image", TensorProto.FLOAT, *x.shape)
    builder.output("embedding", SamVitGraph(builder, state, shape, grid=20).write(image), 1, 20, 20, 256)
    with torch.inference_mode():
        torch.testing.assert_close(TorchGraph(builder.build())(x)[0], ours(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("damage", ["truncated", "no table", "other weights", "other graph"])
def test_damaged_weights_are_refused(damage, tmp_path, weights_folder):
    if damage == "truncated":
        (tmp_path / "mobile_sam.pt").write_bytes(b"PK\x03\x04 and no more")
    elif damage == "no table":
        torch.save([torch.zeros(3)], tmp_path / "mobile_sam.pt")
    elif damage == "other weights":
        torch.save({"image_encoder.neck.0.weight": torch.zeros(3)}, tmp_path / "mobile_sam.pt")
    else:
        source = weights_folder / "sam.onnx"
        if not source.is_file():
            pytest.skip("the weights here are not the published ONNX pair")
        for name in ("encoder.onnx", "sam.onnx"):
            (tmp_path / name).write_bytes(source.read_bytes())
    with pytest.raises(ModelError, match=r"mobile_sam\.pt|encoder"):
        build_graph(EncoderGraph(288, 512), "mobile_sam", read_arrays(tmp_path, "mobile_sam"), None)


def test_every_vit_that_can_be_pulled_can_be_built():
    names = {entry.name for entry in weights.list_models() if entry.name.startswith("sam_")}
    assert names == set(SHAPES)
