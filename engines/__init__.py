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

__all__ = [
    "Candidates",
    "Decoder",
    "Embedding",
    "Encoder",
    "EngineClosed",
    "EngineError",
    "EngineInfo",
    "EngineUnavailable",
    "Floats",
    "ForeignEmbedding",
    "Image",
    "Letterbox",
    "Mask",
    "ModelError",
    "Prompt",
    "PromptError",
]
