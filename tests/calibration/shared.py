"""Finds real photos beside the checkout; tests without them are skipped with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PHOTOS = SHARED / "calib"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no calibration photos in {PHOTOS}")
