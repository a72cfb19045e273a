"""Every setting is documented, and the commented file is read back."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

from realtime.config.loader import flatten_settings, merge_settings
from realtime.config.reference import describe_sections, to_commented_toml
from realtime.config.schema import RunConfig
from realtime.config.viewer import ViewSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "settings.md"


def read_back(text):
    return merge_settings(RunConfig(), tomllib.loads(text), "config")


def test_every_setting_has_a_comment_with_meaning_default_and_unit():
    text = to_commented_toml(RunConfig())
    for name in flatten_settings(RunConfig()):
        key = name.rpartition(".")[2]
        assert re.search(rf"^# .+\n# Default: .+\n(# )?{key} = ", text, re.M), name
    assert "# Default: 0.03 s\nblink_gap_s = 0.03" in text
    assert "# Default: 25.0 ms\ntolerance_ms = 25.0" in text
    assert '# Default: unset\n# calibration = "PATH"' in text
    assert "# Default: depends on the machine\nencoder_threads = " in text
    assert "One of openvino, onnxruntime, torch" in text


def test_the_file_is_read_back_whatever_the_values():
    config = RunConfig(
        source='file:C:\\clips\\a "b" # ü\x7f\t.mp4', models=Path("~/x"), view=ViewSettings(display_size=(1280, 720))
    )
    config = replace(config, models=Path("/a b/c"), record=replace(config.record, overlays=False))
    assert read_back(to_commented_toml(config)) == config
    assert read_back(to_commented_toml(RunConfig())) == RunConfig()


def test_comments_are_those_of_the_settings_page():
    page, text = PAGE.read_text(encoding="utf-8"), " ".join(to_commented_toml(RunConfig()).replace("\n#", "").split())
    for section in describe_sections(RunConfig()):
        for setting in section.settings:
            assert setting.meaning.replace("|", "\\|") in page, setting.name
            assert setting.meaning in text, setting.name


def test_lines_are_short_enough_to_read():
    assert max(map(len, to_commented_toml(RunConfig()).splitlines())) <= 100
