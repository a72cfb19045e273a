"""Which files in a folder are a model's weights. Reads none of them."""

from __future__ import annotations

from pathlib import Path

from engines.base import ModelError

WEIGHT_FILES: dict[str, tuple[tuple[str, ...], ...]] = {
    "mobile_sam": (("encoder.onnx", "sam.onnx"), ("mobile_sam.pt",)),
    "vit_b": (("sam_vit_b_01ec64.pth",),),
    "vit_l": (("sam_vit_l_0b3195.pth",),),
    "vit_h": (("sam_vit_h_4b8939.pth",),),
}
"""Model -> sets of files, any of which is enough; the first that is whole is taken."""


def weight_files(folder: Path, model: str) -> tuple[Path, ...]:
    """The files in `folder` that hold the weights of `model`; raises `ModelError` where there are none."""
    if model not in WEIGHT_FILES:
        raise ModelError(f"no model {model!r}; known are {', '.join(WEIGHT_FILES)}")
    for names in WEIGHT_FILES[model]:
        files = tuple(folder / name for name in names)
        if all(file.is_file() for file in files):
            return files
    choices = ", or ".join(" and ".join(names) for names in WEIGHT_FILES[model])
    raise ModelError(f"{folder} holds no weights of {model}; expected {choices}")
