"""Finds which of a detector's fixed names a word means. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from engines.recognition.base import WordQuery

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "mug": "cup", "coffee cup": "cup", "sofa": "couch", "television": "tv", "bike": "bicycle", "plane": "airplane",
        "motorbike": "motorcycle", "phone": "cell phone", "plant": "potted plant", "table": "dining table",
        "fridge": "refrigerator", "man": "person", "woman": "person", "people": "person", "child": "person",
        "boy": "person", "girl": "person", "knives": "knife", "mice": "mouse", "smartphone": "cell phone",
        "mobile phone": "cell phone", "cellphone": "cell phone", "aeroplane": "airplane", "lorry": "truck",
        "doughnut": "donut", "hydrant": "fire hydrant", "racket": "tennis racket", "ball": "sports ball",
        "hair dryer": "hair drier",
    }
)  # fmt: skip
"""Other words for names of COCO's categories."""


def encode_name(text: str, names: Sequence[str]) -> WordQuery:
    """Encode a word as a weight of each name; it is unknown where it means none of them."""
    word = " ".join(text.lower().split())
    options = {word, word.removesuffix("s"), word.removesuffix("es")}
    meant = options | {SYNONYMS[option] for option in options if option in SYNONYMS}
    code = np.array([name in meant for name in names], np.float32)
    return WordQuery(text, code, bool(code.any()))


def find_similar_names(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Find the names and synonyms that are spelled nearly so, or share a word with the text; the nearest first."""
    word, known = " ".join(text.lower().split()), (*names, *SYNONYMS)
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    parts = [name for name in known if set(word.split()) & set(name.split())]
    return tuple(dict.fromkeys([*near, *parts]))
