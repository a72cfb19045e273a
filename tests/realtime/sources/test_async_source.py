"""Coroutines of a source end with it, whenever they are cancelled."""

import asyncio
import threading
from contextlib import suppress

import pytest

from realtime.sources.async_source import AsyncSource
from tests.realtime.waiting import eventually


class Source(AsyncSource):
    def __init__(self, work):
        super().__init__("waiting")
        self.began, self.ended = threading.Event(), threading.Event()
        self._work = work

    def start(self):
        self._start_threads(None, work=self._as_thread_work(self._run))

    async def _run(self):
        self.began.set()
        try:
            await self._work()
        finally:
            self.ended.set()


async def wait():
    await asyncio.Event().wait()


async def lose_a_cancellation():
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


@pytest.mark.parametrize("work", [wait, lose_a_cancellation])
def test_it_ends_with_the_source(work):
    source = Source(work)
    source.start()
    assert source.began.wait(60)
    source.stop()
    eventually(source.ended.is_set)
    eventually(lambda: not any(thread.is_alive() for thread in source._threads))


def test_it_ends_when_it_is_stopped_before_it_has_begun():
    source = Source(wait)
    source._stop.set()
    thread = threading.Thread(target=source._as_thread_work(source._run))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_an_error_is_the_reason_of_the_failure():
    async def fail():
        raise ValueError("no such thing")

    source = Source(fail)
    source.start()
    eventually(lambda: source.status().state == "failed")
    assert source.status().reason == "ValueError: no such thing"
    source.stop()
