"""Graphs of one model's weights: taken from the cache, or built by torch, which is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engines import cache
from engines.graphs import GRAPH_VERSION, EncoderGraph, Graph, weights_hash
from engines.prompts import PromptTable
from engines.weight_files import weight_files

if TYPE_CHECKING:
    from engines.models.checkpoint import Sam


class GraphStore:
    """Gives ONNX files and prompt tables for the weights in a folder.

    weights: the folder. root: the cache folder. report: is given a line before anything slow.
    """

    def __init__(self, weights: Path, model: str, root: Path, report: Callable[[str], None]) -> None:
        self.weights, self.model, self.root, self.report = weights, model, root, report
        self.weights_hash = weights_hash(weight_files(weights, model))
        self._sam: Sam | None = None

    def key(self, **more: str) -> dict[str, str]:
        """The cache key of something made from these weights."""
        return {"model": self.model, "weights": self.weights_hash, "graphs": str(GRAPH_VERSION), **more}

    def sam(self) -> Sam:
        """The torch model; read on first use."""
        if self._sam is None:
            self.report(f"reading the weights of {self.model}")
            from engines.models.checkpoint import read_model

            self._sam = read_model(self.weights, self.model)
        return self._sam

    def onnx(self, graph: Graph, *, force: bool = False) -> Path:
        """The graph's ONNX file, exported if it is not there yet; `force` exports it anew."""
        key = self.key(format="onnx", shape=graph.name)
        file = cache.place(self.root, f"{self.model}-{graph.name}", key, ".onnx")
        if force or cache.find(file, key) is None:
            self.report(f"building the graph {graph.name}")
            from engines.export import export

            self.root.mkdir(parents=True, exist_ok=True)
            export(self.sam(), graph, file)
            cache.write_note(file, graph.name, key)
        return file

    def int8(self, graph: EncoderGraph, **more: str) -> tuple[Path, dict[str, str]]:
        """Where an int8 encoder for OpenVINO belongs, and its key; it is made by `engines.workshop.build`."""
        key = self.key(format="openvino-int8", shape=graph.name, **more)
        return cache.place(self.root, f"{self.model}-{graph.name}-int8", key, ".xml"), key

    def prompt_table(self, *, force: bool = False) -> PromptTable:
        """The prompt encoder's weights."""
        key = self.key(format="npz")
        file = cache.place(self.root, f"{self.model}-prompts", key, ".npz")
        if force or cache.find(file, key) is None:
            from engines.models.graphs import prompt_table

            self.root.mkdir(parents=True, exist_ok=True)
            prompt_table(self.sam()).save(file)
            cache.write_note(file, "prompts", key)
        return PromptTable.read(file)

    def release(self) -> None:
        """Forget the torch model."""
        self._sam = None
