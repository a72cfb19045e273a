"""One browser for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Chrome, installed
from tests.realtime.viewer.running import CAMERA
from tests.realtime.viewer.showing import write_camera


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Its camera shows `showing.scene`."""
    if installed() is None:
        pytest.skip("no Chromium; .ci/setup or apt-get install chromium brings it")
    # Slow, so that the hand keeps up with the thing on a busy machine too.
    camera = write_camera(tmp_path_factory.mktemp("camera") / "scene.mjpeg", frames=480, size=CAMERA)
    with Chrome(camera) as one:
        yield one
