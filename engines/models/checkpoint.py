"""Reads checkpoints of PyTorch without torch: zip archives of a pickled table and of the tensors' numbers.

The table is read by an unpickler that knows tables and tensors and nothing else, so that a file cannot run code. The
numbers are mapped from the file: 2.5 GB of weights take no memory of their own.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import ModelError

MAX_TABLE_BYTES = 16 << 20
"""A table of 600 tensors takes 0.1 MB."""
_STORING = ("PUT", "BINPUT", "LONG_BINPUT")
STORAGES: dict[str, np.dtype[Any]] = {
    "torch.FloatStorage": np.dtype("<f4"), "torch.HalfStorage": np.dtype("<f2"), "torch.DoubleStorage": np.dtype("<f8"),
    "torch.LongStorage": np.dtype("<i8"), "torch.IntStorage": np.dtype("<i4"), "torch.BoolStorage": np.dtype("?"),
}  # fmt: skip


def read_checkpoint(file: Path) -> dict[str, NDArray[Any]]:
    """Read a checkpoint that is a plain table of tensors, by name; the arrays are read-only.

    Raises `ModelError` for a file that is cut off, that holds more than tensors, or that is no checkpoint.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            table = next((info for info in archive.infolist() if info.filename.endswith("/data.pkl")), None)
            if table is None or table.file_size > MAX_TABLE_BYTES:
                raise ModelError(f"{file} is not a checkpoint of PyTorch")
            members = {info.filename: info for info in archive.infolist()}
            folder = table.filename.removesuffix("data.pkl")
            content = archive.read(table)
            _check_memo(content)
            numbers = _StoredNumbers(file, members, f"{folder}data/")
            state = _TableUnpickler(io.BytesIO(content), numbers).load()
    except ModelError:
        raise
    except Exception as error:  # pickle, zipfile and numpy raise many types for a damaged file
        reason = str(error) or type(error).__name__
        raise ModelError(f"{file} is not a readable checkpoint ({reason}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(value, np.ndarray) for value in state.values()):
        raise ModelError(f"{file} is not a plain table of weights")
    return {str(key): value for key, value in state.items()}


def _check_memo(table: bytes) -> None:
    """Raise `UnpicklingError` for a place so far back in the memo that the unpickler would make gigabytes for it."""
    for code, argument, _ in pickletools.genops(table):
        if code.name in _STORING and int(argument or 0) >= len(table):
            raise pickle.UnpicklingError(f"it stores at place {argument} of its memo")


class _StoredNumbers:
    """Maps the members of an archive that hold numbers."""

    def __init__(self, file: Path, members: dict[str, zipfile.ZipInfo], folder: str) -> None:
        self._bytes = np.memmap(file, np.uint8, "r")
        self._members, self._folder = members, folder

    def find(self, dtype: np.dtype[Any], key: str, count: int) -> NDArray[Any]:
        info = self._members[self._folder + key]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size < count * dtype.itemsize:
            raise pickle.UnpicklingError(f"{info.filename} is not {count} numbers")
        # The name and the padding in a member's own header may differ from those in the directory.
        lengths = struct.unpack_from("<HH", self._bytes.data, info.header_offset + 26)
        begin = info.header_offset + 30 + sum(lengths)
        return np.ndarray((count,), dtype, self._bytes.data, begin)


class _TableUnpickler(pickle.Unpickler):
    def __init__(self, stream: Any, numbers: _StoredNumbers) -> None:
        super().__init__(stream)
        self._numbers = numbers

    def find_class(self, module: str, name: str) -> Any:
        known = KNOWN.get(f"{module}.{name}")
        if known is None:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, and only tensors are read")
        return known

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        kind, dtype, key, _device, count = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"it holds a {kind}, and only tensors are read")
        return self._numbers.find(dtype, key, count)


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, shape: Sequence[int], strides: Sequence[int], *_: object
) -> NDArray[Any]:
    """Return a view of a storage; offset and strides count numbers. Raises `TypeError` past the storage's end."""
    size = storage.dtype.itemsize
    return np.ndarray(shape, storage.dtype, storage.data, offset * size, [step * size for step in strides])


def _rebuild_parameter(tensor: NDArray[Any], *_: object) -> NDArray[Any]:
    return tensor


KNOWN: dict[str, np.dtype[Any] | Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    **STORAGES,
}
