"""Runs a source's coroutines on threads of their own, each with its own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

from realtime.sources.base import ThreadedSource


class AsyncSource(ThreadedSource):
    """A base of sources whose threads run coroutines; one loop never delays another."""

    def __init__(self, waiting: str) -> None:
        super().__init__(waiting)
        self._cancels: list[Callable[[], object]] = []

    def stop(self) -> None:
        """Cancel the coroutines and stop within a second."""
        self._stop.set()
        for cancel in list(self._cancels):
            with suppress(RuntimeError):  # its loop has ended
                cancel()
        super().stop()

    def _as_thread_work(self, work: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
        """Make the body of a thread that runs `work` until it ends or the source stops."""

        async def run_until_cancelled() -> None:
            loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work())
            self._cancels.append(lambda: loop.call_soon_threadsafe(task.cancel))
            if self._stop.is_set():
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        return lambda: asyncio.run(run_until_cancelled())
