"""The flags of `gazecast engine` become settings."""

import argparse
import os

import pytest

from engines.settings import default_cache_dir
from realtime.commands import engine
from realtime.errors import SettingsError


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    engine.add_verb(parser.add_subparsers())
    return parser.parse_args(["engine", "bench", *flags])


@pytest.fixture
def parts(monkeypatch, tmp_path):
    """Settings, folder, frame and pictures as the flags name them, without a model or a clip."""
    monkeypatch.setattr("realtime.commands.engine.weights.pull_model", lambda *_, **__: tmp_path)
    monkeypatch.setattr("realtime.sources.video.file_decoder.read_samples", lambda place: [])
    return lambda *flags: engine._read_flags(parsed("--pictures", str(tmp_path), *flags))


def test_flags_set_the_settings(parts, tmp_path):
    settings, folder, frame, _ = parts(
        "--picture-side", "672", "--precision", "bf16", "--threads", "3", "--frame", "854x480"
    )
    assert (settings.picture_side, settings.precision, settings.encoder_threads) == (672, "bf16", 3)
    assert (folder, frame) == (tmp_path, (854, 480))


def test_the_side_is_the_machines_own_choice_by_default(parts):
    assert parts()[0].picture_side == 0


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--picture-side", "100"), "--picture-side: .*224 to 1024.*got 100"),
        (("--picture-side", "2000"), "got 2000"),
        (("--threads", "0"), "--threads must be at least 1"),
        (("--frame", "16:9"), "WIDTHxHEIGHT"),
    ],
)
def test_invalid_flags_are_refused(parts, flags, why):
    with pytest.raises(SettingsError, match=why):
        parts(*flags)


def test_a_bench_without_rounds_is_refused():
    with pytest.raises(SettingsError, match="--rounds must be at least 1, got 0"):
        engine._bench(parsed("--rounds", "0"))


def test_clean_prints_removed_and_removable_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GAZECAST_CACHE", str(tmp_path))
    root = default_cache_dir()
    root.mkdir(parents=True, exist_ok=True)
    part = root / "m-encoder-1.99.partial"
    part.write_bytes(bytes(3 << 20))
    os.utime(part, (1, 1))

    def clean(*flags):
        parser = argparse.ArgumentParser()
        engine.add_verb(parser.add_subparsers())
        args = parser.parse_args(["engine", "clean", *flags])
        return args.verb(args), capsys.readouterr().out

    assert clean("--dry-run") == (0, "   3.0 MiB  m-encoder-1.99.partial: not finished\nwould remove 1, 3 MiB\n")
    assert part.exists()
    assert clean()[1].endswith("removed 1, 3 MiB\n")
    assert not part.exists()
    assert clean() == (0, "removed 0, 0 MiB\n")
    with pytest.raises(SystemExit):
        clean("--unused-days", "-1")
    assert "0 or more, got '-1'" in capsys.readouterr().err


@pytest.mark.parametrize(("ratio", "choice"), [(0.72, "auto uses it"), (1.1, "auto does not use it")])
def test_the_result_of_int8_tells_whether_it_is_used(capsys, ratio, choice):
    gate = {"points": 81, "best": 0.96, "chosen": 0.92, "score_error": 0.01, "time_ratio": ratio}
    engine._print_report({"backend": "openvino", "model": "m", "precision": "int8", "gate": gate}, as_json=False)
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"{ratio:.2f} of the time of float" in line
    assert choice in line
