"""Reads and writes files of the safetensors format: a JSON header, then arrays; nothing in them is run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.base import ModelError
from engines.models.weight_arrays import ModelWeights

KINDS = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64, "I32": np.int32}
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""


def pack_safetensors(arrays: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str]) -> bytes:
    """Pack float32 arrays and texts as a file."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    parts, at = [], 0
    for name, array in sorted(arrays.items()):
        parts.append(np.ascontiguousarray(array, "<f4").tobytes())
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def hash_arrays(file: Path) -> str:
    """Compute the SHA-256 of a file's arrays and their names, whatever its texts; raises `ModelError`."""
    digest = hashlib.sha256()
    for name, array in sorted(read_safetensors(file).items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()


def read_metadata(file: Path) -> dict[str, str]:
    """Read the texts of a file's header; raises `ModelError`."""
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            size = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= size <= MAX_HEADER_BYTES:
                raise ValueError(_describe_start(start))
            text = stream.read(size)
            if len(text) < size:
                raise ValueError("it is cut off in its header")
            texts = json.loads(text).get("__metadata__", {})
        return {str(name): str(text) for name, text in texts.items()}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{file} is not a readable safetensors file ({_explain(error)})") from error


def read_safetensors(file: Path) -> ModelWeights:
    """Map the arrays of a file into memory, read only; raises `ModelError`."""
    try:
        data = np.memmap(file, np.uint8, "r")
        size = int.from_bytes(data[:8].tobytes(), "little")
        if len(data) < 8 or not 2 <= size <= MAX_HEADER_BYTES:
            raise ValueError(_describe_start(data[:8].tobytes()))
        if size > len(data) - 8:
            raise ValueError("it is cut off in its header")
        header = json.loads(data[8 : 8 + size].tobytes())
        header.pop("__metadata__", None)
        arrays = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            kind, shape = np.dtype(KINDS[entry["dtype"]]), tuple(map(int, entry["shape"]))
            if end - begin != math.prod(shape) * kind.itemsize or not 0 <= begin <= end <= len(data) - 8 - size:
                raise ValueError(f"{name} is cut off")
            # A buffer of its own type needs no alignment, which older files lack.
            arrays[name] = np.frombuffer(data, kind, math.prod(shape), 8 + size + begin).reshape(shape)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is not a readable safetensors file ({_explain(error)}); fetch it again") from error
    return ModelWeights(arrays, file)


def _describe_start(start: bytes) -> str:
    return f"it begins with {start!r}, and the length of a header is expected there" if start else "it is empty"


def _explain(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"its header is no JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)
