"""The detector's graph is that of the network, and its outputs become boxes."""

from pathlib import Path

import numpy as np
import pytest

from engines import weights
from engines.base import ModelError, PromptError
from engines.recognition.coco_names import NAMES
from engines.recognition.nanodet_graph import MEAN_BGR, STD_BGR, STRIDES, read_convolutions
from tests.engines.recognition.nanodet_files import write_nanodet

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from engines.recognition.detector import (
    MAX_OBJECTS,
    MIN_SCORE,
    MIN_WORD_SCORE,
    ObjectDetector,
    decode_cells,
    locate_cells,
    select_objects,
)


class Reference:
    """NanoDet-g by torch, as its configuration describes it."""

    def __init__(self, torch, convolutions):
        self.torch, self.layers = torch, iter(convolutions)

    def conv(self, x, stride=1, is_linear=False):
        kernel, bias = (self.torch.from_numpy(array) for array in next(self.layers))
        y = self.torch.nn.functional.conv2d(x, kernel, bias, stride, kernel.shape[2] // 2)
        return y if is_linear else self.torch.nn.functional.leaky_relu(y, 0.1)

    def block(self, x, stride, pairs):
        first = x = self.conv(x, stride)
        for _ in range(pairs):
            a = self.conv(x)
            x = self.torch.cat([self.conv(a), a], 1)
        return self.torch.cat([self.conv(x), first], 1)

    def run(self, picture):
        torch = self.torch
        values = (picture.astype(np.float32) - np.float32(MEAN_BGR)) / np.float32(STD_BGR)
        x = self.conv(torch.from_numpy(values.transpose(2, 0, 1)[None]), 2)
        x = self.block(torch.nn.functional.max_pool2d(x, 3, 2, 1), 1, 1)
        c3 = self.block(x, 2, 2)
        c4 = self.block(c3, 2, 2)
        c5 = self.block(c4, 2, 3)
        p3, p4, p5 = (self.conv(c, is_linear=True) for c in (c3, c4, c5))

        def resize(x, scale):
            return torch.nn.functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)

        p4 = p4 + resize(p5, 2.0)
        p3 = p3 + resize(p4, 2.0)
        p4 = p4 + resize(p3, 0.5)
        p5 = p5 + resize(p4, 0.5)
        heads = torch.cat([self.conv(self.conv(p), is_linear=True).flatten(2)[0].T for p in (p3, p4, p5)])
        return heads[:, :80].sigmoid().numpy(), heads[:, 80:].reshape(-1, 4, 11).numpy()


def test_the_graph_is_that_of_the_network(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    convolutions = write_nanodet(tmp_path)
    detector = ObjectDetector(tmp_path, precision="f32")
    picture = np.random.default_rng(1).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    with torch.inference_mode():
        wanted = Reference(torch, convolutions).run(picture)
    for found, value in zip(detector._run(picture[None]), wanted, strict=True):
        assert np.abs(found - value).max() <= 2e-3 * max(1.0, np.abs(value).max())


def select(*outputs, min_score=MIN_SCORE):
    return select_objects(*decode_cells(*outputs), min_score, MAX_OBJECTS)


def one_object(size, cell, sides_px, name, score=0.9):
    """Outputs of the network with one object: the sides' distances from a cell's centre, px."""
    strides, _ = locate_cells(*size)
    scores, sides = np.zeros((len(strides), 80), np.float32), np.zeros((len(strides), 4, 11), np.float32)
    scores[cell, NAMES.index(name)] = score
    for side, distance in enumerate(sides_px):
        low = int(distance / strides[cell])
        share = distance / strides[cell] - low
        sides[cell, side] = -30
        sides[cell, side, low] = np.log(max(1 - share, 1e-9))
        sides[cell, side, min(low + 1, 10)] = max(sides[cell, side, min(low + 1, 10)], np.log(max(share, 1e-9)))
    return scores, sides


@pytest.mark.parametrize("level", [0, 1, 2])
def test_outputs_become_boxes_in_the_pictures_pixels(level):
    size = 64, 96
    strides, centres = locate_cells(*size)
    cell = int(np.flatnonzero(strides == STRIDES[level])[0])
    distances = np.array([2.0, 3.0, 4.5, 1.0]) * STRIDES[level] / 2
    (found,) = select(*one_object(size, cell, distances, "cup"), size, (2.0, 3.0), (192, 192))
    x, y = centres[cell]
    wanted = np.array([x - distances[0], y - distances[1], x + distances[2], y + distances[3]]) * [2, 3, 2, 3]
    assert np.allclose(found.box_px, np.clip(wanted, 0, 191), atol=0.1)
    assert found.name == "cup"
    assert found.score == pytest.approx(0.9)


def test_boxes_of_one_object_are_one_and_weak_ones_none():
    size = 64, 96
    scores, sides = one_object(size, 20, (16, 16, 16, 16), "dog", 0.8)
    again, beside = one_object(size, 21, (24, 16, 8, 16), "dog", 0.7)
    weak, far = one_object(size, 60, (8, 8, 8, 8), "cat", 0.15)
    outputs = np.maximum.reduce([scores, again, weak]), sides + beside + far
    (found,) = select(*outputs, size, (1.0, 1.0), (96, 64))
    assert found.score == pytest.approx(0.8)
    assert not select(weak, far, size, (1.0, 1.0), (96, 64))
    (for_a_word,) = select(weak, far, size, (1.0, 1.0), (96, 64), min_score=MIN_WORD_SCORE)
    assert for_a_word.name == "cat"


def test_pictures_of_any_shape_are_searched_and_boxes_stay_inside(tmp_path):
    write_nanodet(tmp_path)
    detector = ObjectDetector(tmp_path)
    for height, width in ((48, 200), (200, 48), (1, 1), (700, 900)):
        for found in detector.recognize(np.full((height, width, 3), 90, np.uint8)).objects:
            x0, y0, x1, y1 = found.box_px
            assert 0 <= x0 <= x1 <= width - 1
            assert 0 <= y0 <= y1 <= height - 1
    with pytest.raises(PromptError, match="uint8"):
        detector.recognize(np.zeros((4, 4), np.uint8))
    detector.close()
    detector.close()


@pytest.mark.parametrize("damage", ["json", "bin", "missing", "layers"])
def test_other_files_are_refused(tmp_path, damage):
    write_nanodet(tmp_path)
    manifest, data = tmp_path / "nanodet.json", tmp_path / "nanodet.bin"
    if damage == "json":
        manifest.write_text("{}")
    elif damage == "bin":
        data.write_bytes(data.read_bytes()[:1000])
    elif damage == "missing":
        data.unlink()
    else:
        manifest.write_text(manifest.read_text().replace("unknown_66", "other"))
    with pytest.raises(ModelError, match="fetch it again"):
        read_convolutions(manifest, data)


def test_the_published_weights_find_the_demos_cup_or_bowl():
    try:
        folder = weights.model_folder("nanodet")
    except ModelError as error:
        pytest.skip(str(error))
    import cv2

    from realtime.commands import demo

    clip = next(Path(demo.__file__).parent.glob("table.*"))
    capture = cv2.VideoCapture(str(clip))
    ok, picture = capture.read()
    assert ok
    found = ObjectDetector(folder).recognize(picture).objects
    assert found, "nothing found on the table"
    assert all(each.name in NAMES and each.score >= 0.25 for each in found)
