"""The demo's own clip and the truth about it agree."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from realtime.commands.demo import demo_clip
from realtime.commands.demo.demo_clip import TABLE, DemoClip, ScriptedTarget, load_table, place_street
from realtime.commands.demo.scripted_gaze import FPS, STREET, ScriptedFixation, generate_gaze
from realtime.errors import SourceError
from realtime.media.video_writer import OverlayWriter
from realtime.sources.video.video_reader import VideoFile

SIZE, STREET_SIZE = (640, 360), (640, 272)


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> VideoFile:
    """Three white frames of the street's size."""
    with OverlayWriter(tmp_path_factory.mktemp("film") / "white", STREET_SIZE, FPS) as writer:
        for number in range(3):
            writer.write(np.full((*STREET_SIZE[::-1], 3), 255, np.uint8), number / FPS)
    return VideoFile(writer.path)


def test_both_parts_are_one_clip(white: VideoFile) -> None:
    clip = DemoClip(TABLE, white)
    times_s, images = zip(*clip.frames(), strict=True)
    assert (clip.size, clip.fps, len(images)) == (SIZE, FPS, 303)
    assert np.diff(times_s) == pytest.approx(1 / FPS)
    assert {image.shape for image in images} == {(360, 640, 3)}
    last = images[-1]
    assert not last[:42].any() or last[:42].max() < 20
    assert last[46:314].min() > 235
    assert sum(1 for _ in DemoClip(TABLE, None).frames()) == 300


def gaze_misses(fixations: list[ScriptedFixation], targets: list[ScriptedTarget], margin_px: int) -> list[str]:
    """The targets whose true mask, made wider by a margin, does not hold the gaze in one of its frames."""
    path = np.array([row[:3] for row in generate_gaze(fixations)])
    kernel = np.ones((2 * margin_px + 1,) * 2, np.uint8)
    missed = []
    for target in targets:
        for frame, mask in target.masks.items():
            _, x, y = path[np.argmin(np.abs(path[:, 0] - frame / FPS))]
            if not cv2.dilate(mask.astype(np.uint8), kernel)[round(y), round(x)]:
                missed.append(f"{target.name} in {frame}")
    return missed


def test_the_gaze_rests_on_the_tables_objects() -> None:
    fixations, targets = load_table()
    assert len({target.name for target in targets}) == len(fixations) == 12
    assert all(target.is_exact and len(target.masks) == 24 for target in targets)
    assert min(mask.sum() for target in targets for mask in target.masks.values()) > 1500
    assert gaze_misses(fixations, targets, 0) == []


def test_the_gaze_rests_on_the_streets_outlines() -> None:
    fixations, targets = place_street(300, SIZE, STREET_SIZE)
    assert len(fixations) == len(STREET)
    assert len(targets) == 12
    assert not any(target.is_exact or mask[:44].any() for target in targets for mask in target.masks.values())
    assert all(300 <= frame < 550 for target in targets for frame in target.masks)
    table, _ = load_table()
    assert gaze_misses(table + fixations, targets, 4) == []


def test_the_mask_lies_on_its_object_in_the_picture() -> None:
    """Each mask is where the colour is: the orange is orange, its surroundings are not."""
    _, targets = load_table()
    (orange,) = (target for target in targets if target.name == "orange")
    images = [image for _, image in DemoClip(TABLE, None).frames()]
    for frame, mask in orange.masks.items():
        blue, _, red = cv2.split(images[frame].astype(int))
        ring = cv2.dilate(mask.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool) & ~mask
        assert (red - blue)[mask].mean() > 120
        assert (red - blue)[ring].mean() < 90


def test_a_damaged_truth_is_an_error(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "table.npz").write_bytes(b"nothing")
    monkeypatch.setattr(demo_clip, "TABLE_TRUTH", tmp_path / "table.npz")
    with pytest.raises(SourceError, match="install gazecast anew"):
        load_table()
