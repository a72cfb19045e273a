"""Encodes images and decodes masks: the segmentation engines of gazecast.

Knows no time and no sockets; imports nothing else of ours.
"""

from engines.base import (
    Decoder,
    Embedding,
    Encoder,
    EngineClosed,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    Floats,
    ForeignEmbedding,
    Image,
    Mask,
    MaskCandidates,
    ModelError,
    Prompt,
    PromptError,
)
from engines.letterbox import Letterbox
from engines.load import load
from engines.settings import EngineSettings
from engines.shared import SharedDecoder

__all__ = [
    "Decoder",
    "Embedding",
    "Encoder",
    "EngineClosed",
    "EngineError",
    "EngineInfo",
    "EngineSettings",
    "EngineUnavailable",
    "Floats",
    "ForeignEmbedding",
    "Image",
    "Letterbox",
    "Mask",
    "MaskCandidates",
    "ModelError",
    "Prompt",
    "PromptError",
    "SharedDecoder",
    "load",
]
