"""Provides one model's graphs from the cache, or exports them with torch, imported only then."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines import cache
from engines.base import EngineUnavailable
from engines.cache_cleanup import free_space
from engines.graphs import GRAPH_VERSION, TYPED_VERSION, EncoderGraph, Graph, LetterboxGraph
from engines.prompts import PromptTable
from engines.settings import Report
from engines.weights import weight_files

if TYPE_CHECKING:
    from engines.models.checkpoint import SamModel
    from engines.number_formats import NumberFormat, Ranges


class GraphStore:
    """Provides ONNX files and prompt tables for the weights in a folder.

    weights: the folder. root: the cache folder. report: receives a line before every slow step.
    """

    def __init__(self, weights: Path, model: str, root: Path, report: Report) -> None:
        self.weights, self.model, self.root, self.report = weights, model, root, report
        self.weights_hash = cache.hash_files(weight_files(weights, model))
        self._sam: SamModel | None = None

    def key(self, **more: str) -> dict[str, str]:
        """Return the cache key of a file made from these weights."""
        return {"model": self.model, "weights": self.weights_hash, "graphs": str(GRAPH_VERSION), **more}

    def model_module(self) -> SamModel:
        """Return the torch model, read on first use."""
        if self._sam is None:
            self.report(f"reading the weights of {self.model}")
            from engines.models.checkpoint import read_model

            self._sam = read_model(self.weights, self.model)
        return self._sam

    def onnx_file(self, graph: Graph, *, force: bool = False, rebuild: str = cache.REBUILD) -> Path:
        """Return the graph's ONNX file, exported if missing or if `force` is set. rebuild: see `cache.find_cached`."""
        key = self.key(format="onnx", shape=graph.name)
        file = cache.file_path(self.root, f"{self.model}-{graph.name}", key, ".onnx")
        if force or cache.find_cached(file, key, rebuild=rebuild) is None:
            self.report(f"building the graph {graph.name}")
            from engines.export import export_onnx

            export_onnx(self.model_module(), graph, file)
            self._write(file, graph.name, key)
        return file

    def typed_file(
        self, graph: Graph | LetterboxGraph, numbers: NumberFormat, *, force: bool = False, rebuild: str = cache.REBUILD
    ) -> Path:
        """Return the graph's ONNX file with explicit number formats for strongly typed runtimes.

        rebuild: see `cache.find_cached`. Raises `EngineUnavailable` for a quantised encoder without measured ranges.
        """
        if numbers == "f32" and not isinstance(graph, LetterboxGraph):
            return self.onnx_file(graph, force=force, rebuild=rebuild)
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

            if isinstance(graph, LetterboxGraph):
                model = letterbox_graph(graph)
            else:
                model = retype_graph(onnx.load(self.onnx_file(graph, force=force, rebuild=rebuild)), numbers, ranges)
            with cache.atomic_write(file) as partial:
                onnx.save(model, partial)
            self._write(file, f"{graph.name}-{numbers}", key)
        return file

    def _write(self, file: Path, name: str, key: dict[str, str]) -> None:
        """Write an exported graph's note, and free space, since every new picture shape adds graphs."""
        cache.write_note(file, name, key)
        if gone := free_space(self.root):
            size = sum(graph.bytes for graph in gone) / 2**20
            self.report(f"made room: removed {len(gone)} graphs that were not used for longest, {size:.0f} MiB")

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

    def int8_file(self, graph: EncoderGraph, **more: str) -> tuple[Path, dict[str, str]]:
        """Return the path and the key of OpenVINO's int8 encoder, which `engines.build.build_engine` builds."""
        key = self.key(format="openvino-int8", shape=graph.name, **more)
        return cache.file_path(self.root, f"{self.model}-{graph.name}-int8", key, ".xml"), key

    def prompt_table(self, *, force: bool = False) -> PromptTable:
        """Return the prompt encoder's weights."""
        key = self.key(format="npz")
        file = cache.file_path(self.root, f"{self.model}-prompts", key, ".npz")
        if force or cache.find_cached(file, key) is None:
            from engines.models.graphs import prompt_table

            self.root.mkdir(parents=True, exist_ok=True)
            prompt_table(self.model_module()).save(file)
            cache.write_note(file, "prompts", key)
        return PromptTable.read(file)

    def release(self) -> None:
        """Release the torch model."""
        self._sam = None
