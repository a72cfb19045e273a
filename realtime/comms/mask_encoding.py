"""Encodes and decodes masks in the three lossless encodings of the wire. Pure; hostile bytes cost bounded memory.

COCO's compressed counts follow the format that pycocotools writes (T.-Y. Lin et al., "Microsoft COCO", ECCV 2014).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from realtime.errors import WireError
from realtime.types import Mask
from realtime.validation import read_value

MAX_PIXELS = 1 << 26
"""Largest mask that is decoded, 8192 x 8192: a hostile peer must not choose how much memory is allocated."""

Encoding = Literal["packbits+zstd", "coco_rle", "png"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


class _EncodedMask(msgspec.Struct):
    encoding: Encoding
    width: int
    height: int
    data: bytes


def import_opencv(what: str) -> Any:
    """Import OpenCV, which most subscribers do without; raises `WireError` where it is not installed."""
    try:
        import cv2
    except ModuleNotFoundError:
        raise WireError(f"{what} needs OpenCV, which is not installed: pip install opencv-python") from None
    return cv2


def encode_mask(mask: Mask, encoding: Encoding = "packbits+zstd") -> dict[str, Any]:
    """Encode a mask, (H, W) bool, as its map; all encodings are exact."""
    height, width = mask.shape
    if encoding == "packbits+zstd":
        data = zstandard.ZstdCompressor(level=1).compress(np.packbits(mask).tobytes())
    elif encoding == "png":
        cv2 = import_opencv("a mask as PNG")
        ok, png = cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not ok:
            raise WireError(f"a {width} x {height} mask could not be encoded as PNG")
        data = png.tobytes()
    elif encoding == "coco_rle":
        data = _coco_string(_runs(mask))
    else:
        raise WireError(f"mask encoding {encoding!r}; known are {', '.join(ENCODINGS)}")
    return {"encoding": encoding, "width": width, "height": height, "data": data}


def decode_mask(fields: Mapping[str, Any]) -> Mask:
    """Decode a mask, (H, W) bool, from its map; raises `WireError`."""
    encoded = read_value(fields, _EncodedMask, WireError, "mask")
    width, height, data = encoded.width, encoded.height, encoded.data
    if min(width, height) < 1 or width * height > MAX_PIXELS:
        raise WireError(f"mask of {width} x {height} px; expected 1 to {MAX_PIXELS} pixels")
    try:
        if encoded.encoding == "packbits+zstd":
            return _unpackbits(data, width, height)
        if encoded.encoding == "png":
            return _unpng(data, width, height)
        return _unrun(_coco_runs(data), width, height)
    except (zstandard.ZstdError, ValueError, IndexError, OverflowError) as error:
        raise WireError(f"mask data is not {encoded.encoding}: {error}") from None


def _unpackbits(data: bytes, width: int, height: int) -> Mask:
    expected = (width * height + 7) // 8
    # A zstd frame may state its own size, which the decompressor would believe before max_output_size.
    stated = zstandard.get_frame_parameters(data).content_size
    if stated not in (expected, zstandard.CONTENTSIZE_UNKNOWN):
        raise ValueError(f"{stated} bytes for {width} x {height} px, expected {expected}")
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=expected)
    if len(raw) != expected:
        raise ValueError(f"{len(raw)} bytes for {width} x {height} px, expected {expected}")
    return np.unpackbits(np.frombuffer(raw, np.uint8), count=width * height).reshape(height, width).astype(bool)


def _unpng(data: bytes, width: int, height: int) -> Mask:
    # Width and height stand at fixed places of a PNG's first chunk: look before anything is allocated.
    if len(data) < 33 or data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG header")
    size = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if size != (width, height):
        raise ValueError(f"PNG of {size[0]} x {size[1]} px in a map of {width} x {height}")
    cv2 = import_opencv("a mask as PNG")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise ValueError(str(error)) from None
    if image is None:
        raise ValueError("the PNG is damaged")
    return np.asarray(image > 127)


def _runs(mask: Mask) -> NDArray[np.int64]:
    """Column-major run lengths, the first of them of background (may be 0), as COCO has them."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate(([0], edges, [flat.size]))
    runs = np.diff(bounds)
    return np.concatenate(([0], runs)) if flat[0] else runs


def _unrun(runs: list[int], width: int, height: int) -> Mask:
    if any(run < 0 for run in runs) or sum(runs) != width * height:
        raise ValueError(f"runs add up to {sum(runs)}, expected {width * height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _coco_string(runs: NDArray[np.int64]) -> bytes:
    """COCO's compressed counts: from the third on the difference to the run before last, 5 bits a character."""
    deltas = runs.copy()
    deltas[3:] -= runs[1:-2]
    out = bytearray()
    for delta in deltas.tolist():
        more = True
        while more:
            bits = delta & 0x1F
            delta >>= 5
            more = delta != (-1 if bits & 0x10 else 0)
            out.append((bits | (0x20 if more else 0)) + 48)
    return bytes(out)


def _coco_runs(data: bytes) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in data:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"character {character} in compressed counts")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("compressed counts end in the middle of a number")
    return runs
