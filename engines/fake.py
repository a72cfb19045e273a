"""Segments by seeded region growing: an engine without weights, for tests, demos and a first try.

It keeps the whole contract of `engines.base` on a plain CPU in about 10 ms, and its masks follow real edges in real
pictures, but it does not recognise objects: seeded region growing (Adams and Bischof, 1994) with a fixed tolerance in
CIE Lab, on the decoder's 256 x 256 grid.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import (
    LOGITS_SIDE,
    Embedding,
    EngineClosed,
    EngineInfo,
    Floats,
    Image,
    Mask,
    MaskCandidates,
    Prompt,
    check_image,
    check_prompts,
)
from engines.letterbox import Letterbox
from engines.settings import EngineSettings, Report

TOLERANCES = (9.0, 16.0, 28.0)
"""Largest colour distance (CIE 1976 delta E) from the seed, from part to whole."""
UNAMBIGUOUS_TOLERANCE = 20.0
LOGIT_PER_DELTA_E = 0.5
LOGIT_LIMIT = 8.0
DISTANCE_PER_CELL = 0.06
"""Delta E that one cell of distance from the seed costs, so that a region ends somewhere even in a plain picture."""
PRIOR_DELTA_E = 6.0
"""Greatest change of the tolerance by a previous mask, delta E."""
FAR = 1e3
_serial = itertools.count(1)  # an embedding belongs to the pair that was opened together


class _FakePart:
    """Holds an engine's description and the delay of a slow network, and refuses use after `close`."""

    def __init__(self, info: EngineInfo, delay_s: float = 0.0) -> None:
        self.info, self._delay_s, self._closed = info, delay_s, False

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("this part of the fake engine was closed; open the engine again")

    def close(self) -> None:
        """See `Encoder.close`."""
        self._closed = True


class FakeEncoder(_FakePart):
    """An encoder that keeps the picture's colours on the grid of the logits.

    The tensors of its embeddings are CIE Lab planes, (3, h, w) float32 on the cells that the picture fills.
    """

    def encode(self, image: Image) -> Embedding:
        """See `Encoder.encode`."""
        self._check_open()
        check_image(image)
        time.sleep(self._delay_s)
        letterbox = Letterbox(image.shape[1], image.shape[0])
        width, height = (max(1, round(side * LOGITS_SIDE / letterbox.side)) for side in letterbox.content_size)
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        # a little smoothing, so that noise and texture do not end a region
        colours = cv2.cvtColor(cv2.GaussianBlur(small, (3, 3), 0).astype(np.float32) / 255.0, cv2.COLOR_BGR2Lab)
        planes = np.ascontiguousarray(colours.transpose(2, 0, 1), np.float32)
        return Embedding(self.info.engine_id, letterbox, planes, planes.nbytes)


class FakeDecoder(_FakePart):
    """A decoder that grows regions from the prompts. The delay applies once a call."""

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`; the same input gives the same masks."""
        self._check_open()
        check_prompts(self.info, embedding, prompts)
        time.sleep(self._delay_s)
        return tuple(self._candidates(embedding, prompt) for prompt in prompts)

    def _candidates(self, embedding: Embedding, prompt: Prompt) -> MaskCandidates:
        lab: Floats = embedding.tensors
        letterbox, shape = embedding.letterbox, lab.shape[1:]
        seeds, repelled = _cells(letterbox, prompt, 1), _cells(letterbox, prompt, 0)
        inside = _box_cells(letterbox, prompt, shape)
        if not len(seeds) and prompt.box_px is not None:
            seeds = _spread(inside)
        distance = _distance(lab, seeds) if len(seeds) else np.zeros(shape, np.float32)
        if len(repelled):
            inside &= distance <= _distance(lab, repelled)
        if prompt.mask_logits is not None:
            prior = prompt.mask_logits[: shape[0], : shape[1]]
            distance = (distance - PRIOR_DELTA_E * np.tanh(prior / 2)).astype(np.float32)
        tolerances = (UNAMBIGUOUS_TOLERANCE, *TOLERANCES)[: self.info.masks]
        # only the picture's cells are computed: the padding is never in a mask
        maps = np.full((len(tolerances), LOGITS_SIDE, LOGITS_SIDE), -LOGIT_LIMIT, np.float32)
        scores = []
        for logits, tolerance in zip(maps, tolerances, strict=True):
            picture = logits[: shape[0], : shape[1]]
            scores.append(_grow(picture, distance, inside, seeds, repelled, tolerance))
            for x, y in seeds:
                # At the picture's edge the padding, upscaled with it, would take the point out of its own mask.
                around = logits[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                np.maximum(around, 1.0, out=around)
        return MaskCandidates(maps, np.array(scores, np.float32), letterbox)


def _cells(letterbox: Letterbox, prompt: Prompt, label: int) -> NDArray[np.intp]:
    """Return the (N, 2) column and row of the grid's cells under the points with a label."""
    points = letterbox.to_model(prompt.points_px[prompt.labels == label])
    cells = np.floor((points + 0.5) * (LOGITS_SIDE / letterbox.side)).astype(np.intp)
    # never in the padding, which a point on the last column would round into
    last = np.ceil(np.array(letterbox.content_size) * (LOGITS_SIDE / letterbox.side) - 0.5).astype(np.intp) - 1
    return np.asarray(np.clip(cells, 0, np.maximum(last, 0)))


def _box_cells(letterbox: Letterbox, prompt: Prompt, shape: tuple[int, ...]) -> Mask:
    """Return which of the picture's cells have their centre in the prompt's box; all of them without a box."""
    if prompt.box_px is None:
        return np.ones(shape, np.bool_)
    corners = letterbox.to_model(prompt.box_px.reshape(2, 2)) + 0.5
    (x0, y0), (x1, y1) = corners * (LOGITS_SIDE / letterbox.side)
    rows, columns = (np.arange(count) + 0.5 for count in shape)
    across = (columns >= min(x0, x1 - 1)) & (columns <= max(x1, x0 + 1))
    down = (rows >= min(y0, y1 - 1)) & (rows <= max(y1, y0 + 1))
    return np.asarray(down[:, None] & across[None, :])


def _spread(inside: Mask) -> NDArray[np.intp]:
    """Return a 3 x 3 pattern of cells in the middle half of a box, whose content may have several colours."""
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return np.zeros((0, 2), np.intp)
    xs = np.linspace(columns.min(), columns.max(), 5)[1:4].astype(np.intp)
    ys = np.linspace(rows.min(), rows.max(), 5)[1:4].astype(np.intp)
    return np.array([(x, y) for y in ys for x in xs], np.intp)


def _distance(lab: Floats, cells: NDArray[np.intp]) -> Floats:
    """Compute the (h, w) least distance in colour, and a little in place, from any of the cells."""
    shape = lab.shape[1:]
    best = np.full(shape, FAR, np.float32)
    rows, columns = (np.arange(count, dtype=np.float32) for count in shape)
    for x, y in cells:
        lightness, a, b = (np.square(plane - plane[y, x]) for plane in lab)
        colour = np.sqrt(lightness + a + b)
        place = np.sqrt(np.square(rows - y)[:, None] + np.square(columns - x)[None, :]) * np.float32(DISTANCE_PER_CELL)
        np.minimum(best, colour + place, out=best)
    return best


def _grow(
    logits: Floats, distance: Floats, inside: Mask, seeds: NDArray[np.intp], repelled: NDArray[np.intp],
    tolerance: float,
) -> float:  # fmt: skip
    """Write the (h, w) logits of the region connected to the seeds; returns its score, 0..1."""
    region = _connected(inside & (distance < tolerance), seeds)
    certain = np.clip(np.abs(tolerance - distance) * LOGIT_PER_DELTA_E, 0.1, LOGIT_LIMIT)
    np.copysign(certain, region - np.float32(0.5), out=logits)
    logits[~inside] = np.minimum(logits[~inside], -1.0)
    for cells, sign in ((seeds, 1.0), (repelled, -1.0)):
        for x, y in cells:
            # the point's neighbours too: bilinear upscaling must not undo a click
            around = logits[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            around[...] = sign * np.maximum(sign * around, 1.0)
    return _score(distance, inside, seeds, tolerance, region)


def _score(distance: Floats, inside: Mask, seeds: NDArray[np.intp], tolerance: float, region: Mask) -> float:
    """Score a region like SAM's stability: its area over that at a lenient threshold; less for a whole picture."""
    area = int(np.count_nonzero(region))
    lenient = int(np.count_nonzero(_connected(inside & (distance < tolerance + 3), seeds)))
    share = area / max(1, int(np.count_nonzero(inside)))
    return area / max(1, lenient) * (1 - 0.5 * share)


def _connected(region: Mask, seeds: NDArray[np.intp]) -> Mask:
    """Return the parts of a region that contain a seed; all of it without seeds."""
    if not len(seeds):
        return region
    parts = region.view(np.uint8)
    for x, y in seeds:
        if parts[y, x] == 1:
            cv2.floodFill(parts, None, (int(x), int(y)), 2, flags=4)
    return np.asarray(parts == 2)


def open_fake(
    *, encode_delay_s: float = 0.0, decode_delay_s: float = 0.0, masks: int = 4
) -> tuple[FakeEncoder, FakeDecoder]:  # fmt: skip
    """Open an encoder and its decoder with `masks` candidates, 4 or 1.

    encode_delay_s, decode_delay_s: simulated duration of every call, in seconds.
    """
    if masks not in (1, 4):
        raise ValueError(f"masks must be 4 or 1, got {masks}")
    info = EngineInfo(
        engine_id=f"fake-{next(_serial)}", backend="fake", model="regions of like colour", precision="f32",
        device="cpu", masks=masks, versions={"opencv": cv2.__version__, "numpy": np.__version__},
    )  # fmt: skip
    return FakeEncoder(info, encode_delay_s), FakeDecoder(info, decode_delay_s)


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[FakeEncoder, FakeDecoder]:
    """See `engines.load`; the fake engine ignores all arguments."""
    return open_fake()
