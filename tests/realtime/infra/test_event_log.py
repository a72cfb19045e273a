"""The log as JSON: whole lines, no secrets, no floods."""

import io
import json
import logging

import pytest

from realtime.infra.event_log import MAX_KINDS, UNLIMITED, JsonLog, RepeatLimiter, json_log, log, name_part, warn

SECRETS = ("hunter2", "letmein", "tok123")


@pytest.fixture
def written():
    """Log into memory at a time that the test sets; returns (lines, clock)."""
    stream, now_s = io.StringIO(), [100.0]
    handler = JsonLog(stream, lambda: now_s[0])
    root = logging.getLogger()
    root.addHandler(handler)
    yield (lambda: [json.loads(line) for line in stream.getvalue().splitlines()]), now_s
    root.removeHandler(handler)


def test_a_line_has_time_level_part_and_text(written):
    lines, _ = written
    logging.getLogger("realtime.sources.pupil.connection").warning("no %s\n\x1b[31mfor %d s", "gaze", 3)
    [line] = lines()
    assert line["time"].endswith("Z")
    assert line["time"][10] == "T"
    assert line == {**line, "level": "warning", "part": "sources.pupil", "text": "no gaze\n\x1b[31mfor 3 s",
                    "suppressed": 0}  # fmt: skip


def test_repeats_are_left_out_and_counted(written):
    lines, now_s = written
    sender = logging.getLogger("realtime.pipeline.track_worker")
    for number in range(50):
        sender.warning("frame %d failed", number)
        sender.warning("another error")
    now_s[0] += 11
    sender.warning("frame 50 failed")
    for _ in range(3):
        sender.warning("always", extra=UNLIMITED)
    texts = [(line["text"], line["suppressed"]) for line in lines()]
    assert texts == [("frame 0 failed", 0), ("another error", 0), ("frame 50 failed", 49), *[("always", 0)] * 3]


def test_kinds_are_forgotten_in_order():
    limiter = RepeatLimiter()
    for number in range(MAX_KINDS + 1):
        assert limiter.admit((str(number),), 0.0) == 0
    assert limiter.admit((str(MAX_KINDS),), 1.0) is None
    assert limiter.admit(("0",), 1.0) == 0


def test_no_secret_is_written(written):
    lines, _ = written
    sender = logging.getLogger("realtime.viewer")
    sender.warning("open http://127.0.0.1:8080/?token=tok123&x=1, password=letmein, rtsp://me:hunter2@10.0.0.7/a")
    try:
        raise ValueError("rtsp://me:hunter2@10.0.0.7/a?token=tok123")
    except ValueError:
        sender.exception("failed")
    text = json.dumps(lines())
    assert not any(secret in text for secret in SECRETS)
    assert "rtsp://10.0.0.7/a" in text
    assert "ValueError" in lines()[1]["trace"]


def test_the_log_is_as_before_afterwards(capsys):
    before = logging.getLogger().handlers[:], logging.getLogger().level, log.level
    with json_log(logging.WARNING):
        log.info("for programs")
        warn("for people, too")
        logging.getLogger("other").info("not wanted")
    assert [json.loads(line)["text"] for line in capsys.readouterr().err.splitlines()] == [
        "for programs", "for people, too",
    ]  # fmt: skip
    warn("for people")
    assert capsys.readouterr().err == "gazecast: for people\n"
    assert (logging.getLogger().handlers, logging.getLogger().level, log.level) == before


@pytest.mark.parametrize(
    ("logger", "part"),
    [
        ("realtime.pipeline.health_reporter", "pipeline.health_reporter"),
        ("realtime.sources.pupil.connection", "sources.pupil"),
        ("engines.cache", "engines.cache"),
        ("gazecast", "gazecast"),
        ("asyncio", "asyncio"),
    ],
)
def test_parts_are_those_of_the_program(logger, part):
    assert name_part(logger) == part
