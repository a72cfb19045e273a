"""Quantises an encoder to int8 by NNCF's post-training quantisation. The only module that imports nncf.

Activation ranges are calibrated on real pictures; weights are quantised per channel. The decoder stays in
bfloat16: it is small, and its errors affect the masks directly. So do the encoder's depthwise convolutions and its
first one: their channels differ too much for one range, and being memory-bound they gain nothing
(see `FLOAT_PATTERNS`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from engines.base import EngineUnavailable, Image, PromptError
from engines.graphs import EncoderGraph
from engines.pictures import resize_and_crop, sample_evenly

MAX_CALIBRATION_IMAGES = 24
"""Pictures that ranges are measured on; more changed nothing."""
FLOAT_TYPES = ("GroupConvolution",)
FLOAT_PATTERNS = ("/preparation/.*", "/encoder/patch_embed.0/.*")
"""The layers that stay bfloat16, as OpenVINO types and as patterns of names: the depthwise convolutions; the decoder's
share of the graph and the convolution of the picture itself. In int8 the convolutions named here made three quarters of
the squared error that quantising adds to a 288 x 512 picture's embedding (4.0 % of it); in bfloat16 they cost nothing:
the encoder takes 0.76 of bfloat16's time, with them in int8 0.78.
"""


def quantize_model(model: Any, graph: EncoderGraph, pictures: Sequence[Image]) -> Any:
    """Build an OpenVINO encoder with int8 arithmetic.

    pictures: (H, W, 3) uint8 BGR of any size; each is cut to the shape of `graph`. Raises `EngineUnavailable` where
    NNCF is not installed, `PromptError` for no pictures.
    """
    try:
        import nncf
    except ImportError as error:
        raise EngineUnavailable("int8 engines need NNCF; pip install 'gazecast[int8]'") from error
    if not pictures:
        raise PromptError("an int8 engine is calibrated on real pictures; give a folder with some")
    nncf.set_log_level(logging.ERROR)
    chosen = [
        resize_and_crop(picture, (graph.width, graph.height))
        for picture in sample_evenly(pictures, MAX_CALIBRATION_IMAGES)
    ]
    return nncf.quantize(
        model, nncf.Dataset(chosen), preset=nncf.QuantizationPreset.MIXED, model_type=nncf.ModelType.TRANSFORMER,
        fast_bias_correction=True, subset_size=len(chosen),
        ignored_scope=nncf.IgnoredScope(patterns=list(FLOAT_PATTERNS), types=list(FLOAT_TYPES)),
    )  # fmt: skip
