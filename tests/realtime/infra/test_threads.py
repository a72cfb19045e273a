"""Without memory any call may fail: what failed is run again, and nothing waits for a thread that has ended."""

import errno
import threading

import cv2
import pytest
import zmq

from realtime.errors import RecordingError
from realtime.infra import abandonable, threads
from realtime.infra.abandonable import AbandonableThread
from realtime.infra.threads import is_out_of_memory, retry_without_memory, run_to_end


def explained():
    error = RecordingError("cannot record")
    error.__context__ = MemoryError()  # as behind `raise ... from None`
    return error


def of_opencv():
    error = Exception("Failed to allocate 230400 bytes")
    error.code = cv2.Error.StsNoMem
    return error


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "no memory"), True),
        (zmq.ZMQError(errno.ENOMEM), True),
        (RuntimeError("can't start new thread"), True),
        (ValueError("cannot compress: Allocation error : not enough memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (explained(), True),
        (of_opencv(), True),
        (OSError(errno.ENOSPC, "disk full"), False),
        (RuntimeError("no device"), False),
    ],
    ids=str,
)
def test_which_errors_are_a_lack_of_memory(error, is_one):
    assert is_out_of_memory(error) is is_one


def test_a_body_is_run_again_after_errors_even_if_they_cannot_be_reported(monkeypatch):
    monkeypatch.setattr(threads, "RESTART_S", 0.0)
    failures, reported = [MemoryError(), ValueError(), MemoryError()], []

    def body():
        if failures:
            raise failures.pop()

    def report(error):
        reported.append(error)
        raise MemoryError

    run_to_end(body, lambda: False, report)
    assert len(reported) == 3


def test_a_body_is_not_run_again_after_its_end():
    ended, calls = threading.Event(), []

    def body():
        calls.append(1)
        ended.set()
        raise ValueError

    run_to_end(body, ended.is_set, lambda error: None)
    assert calls == [1]


def test_a_call_is_made_again_until_there_is_memory(monkeypatch):
    monkeypatch.setattr(threads, "MEMORY_S", 0.0)
    failures, stopping = [MemoryError(), MemoryError()], threading.Event()

    def call():
        if failures:
            raise failures.pop()
        return 5

    assert retry_without_memory(call, stopping) == 5
    failures.append(ValueError("another error"))
    with pytest.raises(ValueError, match="another error"):
        retry_without_memory(call, stopping)
    stopping.set()
    failures.append(MemoryError())
    with pytest.raises(MemoryError):
        retry_without_memory(call, stopping)


def test_a_thread_that_has_no_memory_for_a_result_is_not_waited_for(monkeypatch):
    thread, serve = AbandonableThread("test"), abandonable._serve
    with monkeypatch.context() as patched:
        patched.setattr(abandonable, "_serve", lambda calls, results: calls.get())
        with pytest.raises(MemoryError, match="has ended"):
            thread.call(int, 600.0)
    assert abandonable._serve is serve
    assert thread.call(lambda: 7, 60.0) == 7
    thread.close()
