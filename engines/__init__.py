"""Pixels in, masks out. Knows no time, no sockets, nothing else of ours."""

from engines.base import (
    Candidates,
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
    ModelError,
    Prompt,
    PromptError,
)
from engines.letterbox import Letterbox
from engines.load import load
from engines.settings import EngineSettings
from engines.shared import SharedDecoder

__all__ = [
    "Candidates",
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
    "ModelError",
    "Prompt",
    "PromptError",
    "SharedDecoder",
    "load",
]
