"""Runs a source's coroutines on threads of their own, each with its own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

from realtime.sources.base import ThreadedSource

CANCEL_AGAIN_S = 0.35


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

            def cancel() -> None:
                """Cancel again until it has ended: before Python 3.12 `asyncio.wait_for` may lose a cancellation."""
                if not task.done():
                    task.cancel()
                    loop.call_later(CANCEL_AGAIN_S, cancel)

            self._cancels.append(lambda: loop.call_soon_threadsafe(cancel))
            if self._stop.is_set():
                cancel()
            with suppress(asyncio.CancelledError):
                await task

        return lambda: asyncio.run(run_until_cancelled())
