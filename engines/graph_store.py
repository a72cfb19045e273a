"""Provides the graphs of one model, built from the weights' arrays in a fraction of a second."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines import cache
from engines.base import EngineUnavailable, ModelError
from engines.cache_cleanup import free_space
from engines.graphs import GRAPH_VERSION, TYPED_VERSION, EncoderGraph, Graph, LetterboxGraph
from engines.prompts import PromptTable
from engines.settings import Report
from engines.weights import weight_files

if TYPE_CHECKING:
    import onnx

    from engines.models.padding import PaddingProfiles
    from engines.models.weight_arrays import ModelWeights
    from engines.number_formats import NumberFormat, Ranges

MAX_BYTES = 1 << 30
"""Of a graph in memory: past 2 GiB no single ONNX file is possible, and weights lie beside it."""


class GraphStore:
    """Builds ONNX graphs and prompt tables for the weights in a folder.

    weights: the folder. root: the cache folder. report: receives a line before every slow step.
    whole_square: encode the padding too instead of putting constants in its place, as a reference does.
    adapter: safetensors file whose arrays replace those of the mask decoder.
    """

    def __init__(
        self,
        weights: Path,
        model: str,
        root: Path,
        report: Report,
        *,
        whole_square: bool = False,
        adapter: Path | None = None,
    ) -> None:
        self.weights, self.model, self.root, self.report = weights, model, root, report
        self.weights_hash = cache.hash_files(weight_files(weights, model))
        self._whole_square, self._adapter = whole_square, adapter
        self.adapter_hash = ""
        if adapter is not None:
            from engines.models.safetensors import hash_arrays

            self.adapter_hash = hash_arrays(adapter)

    def key(self, **more: str) -> dict[str, str]:
        """Return the cache key of a file made from these weights."""
        adapted = {"adapter": self.adapter_hash} if self.adapter_hash else {}
        return {"model": self.model, "weights": self.weights_hash, "graphs": str(GRAPH_VERSION), **adapted, **more}

    @cached_property
    def arrays(self) -> ModelWeights:
        """The weights by name, read on first use; raises `ModelError` for an adapter of another model."""
        from engines.models.weight_arrays import read_arrays

        self.report(f"reading the weights of {self.model}")
        arrays = read_arrays(self.weights, self.model)
        if self._adapter is not None:
            from engines.models.safetensors import read_safetensors

            for name, value in read_safetensors(self._adapter).items():
                if not name.startswith("mask_decoder.") or name not in arrays or arrays[name].shape != value.shape:
                    raise ModelError(f"{self._adapter} was not learned with {self.model}: {name} does not fit it")
                if not np.isfinite(value).all():
                    raise ModelError(
                        f"{self._adapter} is damaged: {name} holds numbers that are not finite; learn it again"
                    )
                arrays[name] = value
        return arrays

    @cached_property
    def profiles(self) -> PaddingProfiles | None:
        """The padding's activations for these weights; None where there are none, so that padding is encoded."""
        from engines.models.padding import padding_profiles

        if self._whole_square or self.weights_hash not in padding_profiles().weights:
            return None
        return padding_profiles()

    def onnx_model(self, graph: Graph) -> onnx.ModelProto:
        """Build a graph in float32."""
        from engines.models.onnx_graphs import build_graph

        return build_graph(graph, self.model, self.arrays, self.profiles if isinstance(graph, EncoderGraph) else None)

    @contextmanager
    def onnx_source(self, model: onnx.ModelProto) -> Iterator[bytes | Path]:
        """Yield a graph as bytes, or as a file with its weights beside it where it is too large for that.

        The file is deleted on exit, when it is compiled.
        """
        import onnx

        if sum(len(tensor.raw_data) for tensor in model.graph.initializer) < MAX_BYTES:
            yield model.SerializeToString()
            return
        with tempfile.TemporaryDirectory(prefix="gazecast-", ignore_cleanup_errors=True) as folder:
            file = Path(folder) / f"{model.graph.name}.onnx"
            try:
                onnx.save_model(model, file, save_as_external_data=True, location=f"{file.name}.weights")
            except OSError as error:
                reason = error.strerror or error
                raise ModelError(
                    f"cannot write {file}: {reason}; make room, or set TMPDIR to another folder"
                ) from error
            yield file

    def typed_file(
        self, graph: Graph | LetterboxGraph, numbers: NumberFormat, *, force: bool = False, rebuild: str = cache.REBUILD
    ) -> Path:
        """Return the graph's ONNX file with explicit number formats for strongly typed runtimes.

        rebuild: see `cache.find_cached`. Raises `EngineUnavailable` for a quantised encoder without measured ranges.
        """
        key = self.key(format="onnx", shape=graph.name, numbers=numbers, typed=TYPED_VERSION)
        ranges = None
        if numbers in ("int8", "fp8") and isinstance(graph, EncoderGraph):
            ranges = self._ranges(graph)
            key["ranges"] = hashlib.sha256(repr(sorted(ranges.items())).encode()).hexdigest()
        file = cache.file_path(self.root, f"{self.model}-{graph.name}-{numbers}", key, ".onnx")
        if force or cache.find_cached(file, key, rebuild=rebuild) is None:
            import onnx

            from engines.letterbox_graph import letterbox_graph
            from engines.number_formats import retype_graph

            self.report(f"building the graph {graph.name}")
            if isinstance(graph, LetterboxGraph):
                model = letterbox_graph(graph)
            else:
                model = retype_graph(self.onnx_model(graph), numbers, ranges)
            with cache.atomic_write(file) as partial:
                onnx.save(model, partial)
            self._write(file, f"{graph.name}-{numbers}", key)
        return file

    def _write(self, file: Path, name: str, key: dict[str, str]) -> None:
        """Write a graph's note, and free space, since every new picture shape adds graphs."""
        cache.write_note(file, name, key)
        if gone := free_space(self.root):
            size = sum(graph.bytes for graph in gone) / 2**20
            self.report(f"made room: removed {len(gone)} graphs that were not used for longest, {size:.0f} MiB")

    def int8_ranges(self) -> Ranges:
        """Return the ranges that come with the program; raises `EngineUnavailable` for other weights."""
        from engines.models.ranges import shipped_ranges

        ranges = shipped_ranges(self.weights_hash)
        if ranges is None:
            raise EngineUnavailable(
                f"int8 on a CPU is made for MobileSAM's published weights, not {self.weights}; choose precision auto"
            )
        return ranges

    def _ranges_path(self, graph: EncoderGraph) -> tuple[Path, dict[str, str]]:
        key = self.key(format="ranges", shape=graph.name)
        return cache.file_path(self.root, f"{self.model}-{graph.name}-ranges", key, ".npz"), key

    def has_ranges(self, graph: EncoderGraph) -> bool:
        """Return whether an encoder's ranges were measured and its engine was not refused."""
        return cache.find_cached(*self._ranges_path(graph)) is not None

    def _ranges(self, graph: EncoderGraph) -> Ranges:
        if not self.has_ranges(graph):
            raise EngineUnavailable(
                f"there is no quantised encoder for {graph.width} x {graph.height}; "
                "run `gazecast engine build --engine tensorrt --precision int8` or choose precision auto"
            )
        with np.load(self._ranges_path(graph)[0], allow_pickle=False) as arrays:
            return {name: float(arrays[name]) for name in arrays.files}

    def save_ranges(self, graph: EncoderGraph, ranges: Ranges) -> None:
        """Store the ranges from `engines.models.ranges`, for quantised encoders."""
        file, key = self._ranges_path(graph)
        self.root.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {name: np.float32(value) for name, value in ranges.items()}
        np.savez(file, **arrays)
        cache.write_note(file, f"{graph.name}-ranges", key)

    def clear_ranges(self, graph: EncoderGraph) -> None:
        """Delete the ranges of a refused encoder."""
        file, _ = self._ranges_path(graph)
        cache.note_path(file).unlink(missing_ok=True)
        file.unlink(missing_ok=True)

    def prompt_table(self) -> PromptTable:
        """Return the prompt encoder's weights."""
        from engines.models.onnx_graphs import prompt_table

        return prompt_table(self.arrays)
