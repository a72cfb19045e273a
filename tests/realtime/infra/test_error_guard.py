"""A failed item is counted and reported once, until its stage works again."""

import logging
from collections import Counter

import pytest

from realtime.infra.error_guard import HOLD_NS, ErrorGuard


@pytest.fixture
def dropped():
    return Counter()


@pytest.fixture
def now():
    return [0]


@pytest.fixture
def guards(dropped, now):
    return ErrorGuard(lambda why: dropped.update([why]), lambda: now[0])


def fail(guards, stage, error):
    with guards(stage):
        raise error


def test_an_error_is_counted_and_reported_until_its_stage_works(guards, dropped, now):
    fail(guards, "track", ValueError("no such thing"))
    fail(guards, "track", ValueError("no such thing"))
    fail(guards, "encode", MemoryError())
    assert guards.errors() == ["track: no such thing", "encode: MemoryError"]
    assert dropped == {"track.failed": 2, "encode.failed": 1}
    now[0] = HOLD_NS // 2
    with guards("track"):
        pass
    assert guards.errors() == ["track: no such thing", "encode: MemoryError"]  # not every item meets the fault
    now[0] = HOLD_NS + 1
    assert guards.errors() == ["encode: MemoryError"]
    with guards("track"):
        pass
    assert guards.errors() == ["encode: MemoryError"]


def test_the_same_trouble_is_logged_once_and_another_again(guards, caplog):
    with caplog.at_level(logging.WARNING):
        for text in ("a", "a", "b", "a"):
            fail(guards, "track", ValueError(text))
    assert [record.getMessage() for record in caplog.records] == ["track: a", "track: b", "track: a"]
    assert all(not record.exc_info for record in caplog.records)


def test_the_traceback_is_logged_at_debug_level(guards, caplog):
    with caplog.at_level(logging.DEBUG):
        fail(guards, "track", ValueError("a"))
    assert caplog.records[0].exc_info[1].args == ("a",)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_base_exceptions_pass(guards, dropped, error):
    with pytest.raises(error):
        fail(guards, "track", error())
    assert not dropped
