"""An int8 encoder from real pictures, by NNCF's post-training quantisation. The only module that imports nncf.

Ranges of activations are measured on the pictures; weights become int8 channel by channel. The decoder stays in
bfloat16: it is small, and its errors go straight into the masks.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from engines.base import EngineUnavailable, Image, PromptError
from engines.graphs import EncoderGraph
from engines.pictures import evenly, fitted

CALIBRATION = 24
"""Pictures that ranges are measured on; more changed nothing."""


def quantise(model: Any, graph: EncoderGraph, pictures: Sequence[Image]) -> Any:
    """An OpenVINO encoder with int8 arithmetic.

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
    chosen = [fitted(picture, (graph.width, graph.height)) for picture in evenly(pictures, CALIBRATION)]
    return nncf.quantize(
        model, nncf.Dataset(chosen), preset=nncf.QuantizationPreset.MIXED, model_type=nncf.ModelType.TRANSFORMER,
        fast_bias_correction=True, subset_size=len(chosen),
        # The decoder's share of the graph stays as exact as the decoder.
        ignored_scope=nncf.IgnoredScope(patterns=["/preparation/.*"]),
    )  # fmt: skip
