"""Manages device memory for embeddings: two slots at first, never overwritten while an embedding is referenced."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from engines.backends.tensorrt.device import CudaDevice
from engines.backends.tensorrt.execution import TensorSpec
from engines.base import EngineError

MIN_SLOTS, MAX_SLOTS = 2, 8
"""Embeddings that have their memory from the start, and those that may be held at once."""


class EmbeddingSlot:
    """A block of device memory that stores one embedding."""

    def __init__(self, device: CudaDevice, tensors: Sequence[TensorSpec]) -> None:
        self.blocks = {tensor.name: device.allocate(tensor.nbytes) for tensor in tensors}
        self.tensors = {tensor.name: tensor for tensor in tensors}

    @property
    def nbytes(self) -> int:
        """Return the size on the device in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


class PreparedEmbedding:
    """An embedding on the device that protects its slot from being overwritten while referenced."""

    def __init__(self, slot: EmbeddingSlot) -> None:
        self.slot = slot

    def __getitem__(self, index: int) -> tuple[EmbeddingSlot, str]:
        """Return the embedding's tensor at an index, for `TensorRtRuntime.array`."""
        return self.slot, tuple(self.slot.tensors)[index]


class EmbeddingPool:
    """A pool that holds the slots of one encoder."""

    def __init__(self, make: Callable[[], EmbeddingSlot]) -> None:
        self._make = make
        self._all = [make() for _ in range(MIN_SLOTS)]
        self._free = list(self._all)

    def acquire(self) -> PreparedEmbedding:
        """Return an unreferenced slot; raises `EngineError` where the maximum number is in use."""
        if not self._free:
            if len(self._all) >= MAX_SLOTS:
                raise EngineError(f"{len(self._all)} embeddings are held at once; let some go before encoding more")
            self._all.append(self._make())
            self._free.append(self._all[-1])
        slot = self._free.pop()
        prepared = PreparedEmbedding(slot)
        weakref.finalize(prepared, self._free.append, slot).atexit = False
        return prepared
