"""Tests that the settings reference is complete and up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[1] / "docs" / "generate_settings.py"


def test_the_settings_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("generate_settings", FILE)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.PAGE.read_text(encoding="utf-8") == generator.render_page(), "run: make docs"
