"""Where real photos may lie beside the checkout; tests that need them say so where they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PHOTOS = SHARED / "calib"
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no calibration photos in {PHOTOS}")
