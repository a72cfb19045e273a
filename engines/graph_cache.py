"""Keeps compiled graphs, the last used ones, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Graph = TypeVar("Graph", bound=Hashable)
Run = TypeVar("Run")


class GraphCache(Generic[Graph, Run]):
    """Compiles each graph once, on the thread that wants it first; others wait for it, but not for other graphs."""

    def __init__(self, compile_graph: Callable[[Graph], Run], kept: int) -> None:
        """kept: the number of graphs beyond which the one not used for longest is dropped."""
        self._compile, self._kept = compile_graph, kept
        self._lock = threading.Lock()
        self._runs: dict[Graph, Future[Run]] = {}

    def __call__(self, graph: Graph) -> Run:
        """Return the compiled graph; raises what compiling it raises, then and at the next call anew."""
        with self._lock:
            found = self._runs.pop(graph, None)
            future = self._runs[graph] = found or Future()
            if len(self._runs) > self._kept:
                del self._runs[next(iter(self._runs))]
        if found is None:
            try:
                future.set_result(self._compile(graph))
            except BaseException as error:
                with self._lock:
                    self._runs.pop(graph, None)
                future.set_exception(error)
        return future.result()

    def clear(self) -> None:
        """Drop all graphs."""
        with self._lock:
            self._runs.clear()
