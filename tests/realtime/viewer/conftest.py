"""Provides one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import ChromeBrowser, find_browser
from tests.realtime.viewer.page_pixels import write_camera
from tests.realtime.viewer.page_runs import CAMERA


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromeBrowser]:
    """Start a browser whose camera shows `page_pixels.draw_scene`."""
    if find_browser() is None:
        pytest.skip("no Chromium; .ci/setup or apt-get install chromium brings it")
    # slow, so that the mouse keeps up with the object on a busy machine too
    camera = write_camera(tmp_path_factory.mktemp("camera") / "scene.mjpeg", frames=480, size=CAMERA)
    with ChromeBrowser(camera) as one:
        yield one
