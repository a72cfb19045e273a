"""Writes files like CLIP's published ones, with random weights."""

import json

import numpy as np

VOCABULARY = 49408
PUBLISHED = {"width": 768, "depth": 12, "text_width": 512, "text_depth": 12, "embedding": 512}
"""Sizes that ViT-B/32 and ViT-B/16 share."""
FILE = "open_clip_model.safetensors"


def make_clip(
    seed=0, *, scale=100.0, width=128, depth=2, patch_px=16, grid=4, text_width=64, text_depth=2, embedding=32
):
    """Make the weights of both towers by their names, of the sizes of a tiny network; zeros without a seed."""
    random = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        if seed is None:
            return np.zeros(shape, np.float32)
        return random.standard_normal(shape, np.float32) * np.float32(scale)

    def norm(name, size):
        return {f"{name}.weight": 1 + normal(size, scale=0.1), f"{name}.bias": normal(size, scale=0.1)}

    def linear(name, size, out, kind=".weight"):
        return {f"{name}{kind}": normal(out, size, scale=size**-0.5), f"{name}{kind[:-6]}bias": normal(out, scale=0.1)}

    def tower(prefix, size, blocks):
        made = {}
        for index in range(blocks):
            name = f"{prefix}transformer.resblocks.{index}"
            made |= norm(f"{name}.ln_1", size) | norm(f"{name}.ln_2", size)
            made |= linear(f"{name}.attn", size, 3 * size, ".in_proj_weight") | linear(
                f"{name}.attn.out_proj", size, size
            )
            made |= linear(f"{name}.mlp.c_fc", size, 4 * size) | linear(f"{name}.mlp.c_proj", 4 * size, size)
        return made

    return {
        "visual.conv1.weight": normal(width, 3, patch_px, patch_px, scale=(3 * patch_px**2) ** -0.5),
        "visual.class_embedding": normal(width),
        "visual.positional_embedding": normal(grid * grid + 1, width),
        "visual.proj": normal(width, embedding, scale=width**-0.5),
        "positional_embedding": normal(77, text_width, scale=0.5),
        "text_projection": normal(text_width, embedding, scale=text_width**-0.5),
        "token_embedding.weight": normal(VOCABULARY, text_width),
        "logit_scale": np.float32(np.log(scale)),
        **norm("visual.ln_pre", width), **norm("visual.ln_post", width), **norm("ln_final", text_width),
        **tower("visual.", width, depth), **tower("", text_width, text_depth),
    }  # fmt: skip


def write_clip(folder, **more):
    """Write a tiny network's weights under the published name; returns the folder."""
    write_safetensors(folder / FILE, make_clip(**more))
    return folder


def write_safetensors(file, arrays):
    """Write arrays by name, float32 as they are."""
    with file.open("wb") as stream:
        stream.write(pack_header(arrays))
        for name in sorted(arrays):
            stream.write(np.ascontiguousarray(arrays[name]).tobytes())


def pack_header(arrays):
    """Write the header as the published files have it: by name, without blanks but for those that fill 8 bytes."""
    entries, at = {}, 0
    for name in sorted(arrays):
        array = arrays[name]
        entries[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header
