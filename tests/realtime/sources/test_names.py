"""Names of sources as people write them: any case, bare paths, URLs of files, devices, streams and their passwords."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime.errors import SourceError
from realtime.sources.names import SourceName, parse_source, parse_stream, redact_source


@pytest.mark.parametrize(
    ("text", "kind", "rest"),
    [
        ("Pupil://HOST:50020", "pupil", "//HOST:50020"),
        (" CAMERA:0?fps=30 ", "camera", "0?fps=30"),
        ("camera:/dev/v4l/by-id/usb-046d", "camera", "/dev/v4l/by-id/usb-046d"),
        ("/dev/video2", "camera", "/dev/video2"),
        ("clips/base.mp4?loop=1", "file", "clips/base.mp4?loop=1"),
        ("./2026-05-01T12:30:00.mp4", "file", "./2026-05-01T12:30:00.mp4"),
        ("FILE://clips/base.mp4", "file", "clips/base.mp4"),
        ("file:///clips/my%20clip.mp4", "file", "/clips/my clip.mp4"),
        ("file://localhost/clips/base.mp4", "file", "/clips/base.mp4"),
        ("run.mcap", "recording", "run.mcap"),
        ("gaze.csv", "trace", "gaze.csv"),
        ("carrier:pigeon", "carrier", "pigeon"),
        ("mouse", "", "mouse"),
        ("", "", ""),
    ],
)
def test_names_are_parsed(text: str, kind: str, rest: str) -> None:
    assert parse_source(text) == SourceName(kind, rest)


@pytest.mark.parametrize(
    ("text", "names_file"),
    [
        ("file:a.mp4", True), ("a.mp4", True), ("look.mcap", True), ("look.vrs", True), ("aria:look.vrs", True),
        ("trace:gaze.csv", True), ("webcam:file:a.mp4", True), ("/dev/video0", True), ("camera:/dev/video0", True),
        ("mouse", True), ("carrier:pigeon", True), ("camera:0?fps=30", False), ("aria:", False),
        ("aria://?profile=profile12", False), ("pupil://HOST", False), ("http://HOST/a.mp4", False), ("none", False),
    ],
)  # fmt: skip
def test_names_that_may_be_files_are_told_from_devices(text: str, names_file: bool) -> None:
    assert parse_source(text).names_file is names_file


def test_a_folder_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a:b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_source("a:b") == SourceName("file", "a:b")


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("http://127.0.0.1:8080/video?q=1", "http://127.0.0.1:8080/video?q=1", "http://127.0.0.1:8080/video"),
        ("rtsp://me:a/b#c@127.0.0.1/s", "rtsp://me:a%2Fb%23c@127.0.0.1/s", "rtsp://127.0.0.1/s"),
        ("rtsp://me:a%2Fb@[::1]:8554/s", "rtsp://me:a%2Fb@[::1]:8554/s", "rtsp://[::1]:8554/s"),
        ("rtsp://127.0.0.1/stream@1", "rtsp://127.0.0.1/stream@1", "rtsp://127.0.0.1/stream@1"),
        ("udp://:5000", "udp://:5000", "udp://:5000"),
        ("udp://@:5000", "udp://:5000", "udp://:5000"),
        ("udp://239.0.0.1:1234?reuse=1", "udp://239.0.0.1:1234?reuse=1", "udp://239.0.0.1:1234"),
        ("RTMP://127.0.0.1/app/stream", "rtmp://127.0.0.1/app/stream", "rtmp://127.0.0.1/app/stream"),
    ],
)
def test_addresses_of_streams(text: str, url: str, shown: str) -> None:
    address = parse_stream(parse_source(text))
    assert (address.url, address.shown) == (url, shown)


@pytest.mark.parametrize(
    "password", ["hunter2", "hun/ter2", "hun#ter2", "hun?ter2", "hun@ter2", "h u@ter2", "hunter2@x/y"]
)
def test_no_password_is_shown(password: str) -> None:
    for kind in ("rtsp", "http", "srt", "pupil", "ftp"):
        text = f"{kind}://cam:{password}@no-such-host.invalid:8554/s"
        for shown in (redact_source(text), *refusal(text)):
            assert "ter2" not in shown
            assert "hun" not in shown


@pytest.mark.parametrize(("text", "kind"), [("x" * 5000, ""), ("x" * 5000 + ".mp4", "file")])
def test_a_name_that_is_too_long_for_a_file_is_parsed(text: str, kind: str) -> None:
    assert parse_source(text).kind == kind


def test_a_published_name_is_text_in_any_encoding() -> None:
    assert redact_source("file:" + os.fsdecode(b"caf\xe9\x1b.mp4")) == r"file:caf\xe9\x1b.mp4"


def refusal(text: str) -> list[str]:
    try:
        parse_stream(parse_source(text))
    except SourceError as error:
        return [str(error)]
    return []
