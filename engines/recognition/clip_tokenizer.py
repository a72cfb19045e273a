"""Splits text into CLIP's tokens by byte pair encoding (Sennrich et al., 2016).

`clip_merges.txt.gz` holds the 48,894 merges that CLIP uses of `bpe_simple_vocab_16e6.txt.gz`
(github.com/openai/CLIP, MIT License, copyright 2021 OpenAI).
"""

from __future__ import annotations

import gzip
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

_MERGES_FILE = Path(__file__).with_name("clip_merges.txt.gz")
_WORD_END = "</w>"
_PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+")
"""Suffixes, words, single digits, and runs of anything else."""


class ClipTokenizer:
    """Converts text to token ids. start, end: the ids that enclose a text."""

    def __init__(self) -> None:
        merges = gzip.decompress(_MERGES_FILE.read_bytes()).decode().split("\n")
        self._letters = _byte_letters()
        letters = list(self._letters.values())
        tokens = [*letters, *(letter + _WORD_END for letter in letters), *(merge.replace(" ", "") for merge in merges)]
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        self.start, self.end = len(tokens), len(tokens) + 1

    def tokenize(self, text: str, max_tokens: int) -> list[int]:
        """Return the ids of a text between those of start and end; what is too long is cut off."""
        ids = [
            self._ids[part] for piece in _PIECES.findall(normalize("NFC", text).lower()) for part in self._merge(piece)
        ]
        return [self.start, *ids[: max_tokens - 2], self.end]

    def _merge(self, piece: str) -> list[str]:
        """Join the letters of a piece, those first whose merge was learned first."""
        letters = [self._letters[byte] for byte in piece.encode("utf-8", "replace")]
        parts = [*letters[:-1], letters[-1] + _WORD_END]
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged: list[str] = []
            for part in parts:
                if merged and (merged[-1], part) == best:
                    merged[-1] += part
                else:
                    merged.append(part)
            parts = merged
        return parts


@cache
def _byte_letters() -> dict[int, str]:
    """Return the letter that stands for each byte: itself where it is printable, in the order of the token ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + at) for at, byte in enumerate(others)}
