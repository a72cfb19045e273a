"""Memory for embeddings on the device: two to begin with, none written again while somebody holds what it has."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from engines.backends.tensorrt.device import CudaDevice
from engines.backends.tensorrt.execution import TensorSpec
from engines.base import EngineError

MIN_SLOTS, MAX_SLOTS = 2, 8
"""Embeddings that have their memory from the start, and those that may be held at once."""


class EmbeddingSlot:
    """Memory for one embedding."""

    def __init__(self, device: CudaDevice, tensors: Sequence[TensorSpec]) -> None:
        self.blocks = {tensor.name: device.allocate(tensor.nbytes) for tensor in tensors}
        self.tensors = {tensor.name: tensor for tensor in tensors}

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


class PreparedEmbedding:
    """An embedding on the device; whoever holds it keeps its slot from being written again."""

    def __init__(self, slot: EmbeddingSlot) -> None:
        self.slot = slot

    def __getitem__(self, index: int) -> tuple[EmbeddingSlot, str]:
        """The embedding's tensor of that number, for `TensorRtRuntime.array`."""
        return self.slot, tuple(self.slot.tensors)[index]


class EmbeddingPool:
    """The slots of one encoder."""

    def __init__(self, make: Callable[[], EmbeddingSlot]) -> None:
        self._make = make
        self._all = [make() for _ in range(MIN_SLOTS)]
        self._free = list(self._all)

    def acquire(self) -> PreparedEmbedding:
        """One that nobody holds; raises `EngineError` where all that there may be are held."""
        if not self._free:
            if len(self._all) >= MAX_SLOTS:
                raise EngineError(f"{len(self._all)} embeddings are held at once; let some go before encoding more")
            self._all.append(self._make())
            self._free.append(self._all[-1])
        slot = self._free.pop()
        prepared = PreparedEmbedding(slot)
        weakref.finalize(prepared, self._free.append, slot).atexit = False
        return prepared
