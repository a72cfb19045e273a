"""pycocotools reads the written masks; annotations that readers reject are refused."""

import json
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from realtime.commands.export.coco_json import (
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    build_dataset,
    convert_annotation,
    write_json,
)
from realtime.errors import AnnotationError

# pycocotools 2.0.11 with numpy 2: its own code, not ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIZE = (7, 5)
IMAGE = CocoImage(3, "cup.jpg", SIZE[1], SIZE[0])


def patch(number=1, **fields):
    mask = np.zeros(SIZE, bool)
    mask[2:5, 1:3] = True
    return CocoAnnotation(**{"image_id": 3, "id": number, "mask": mask, **fields})


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_pycocotools_decodes_the_same_pixels_box_and_area(mask):
    pycoco = pytest.importorskip("pycocotools.mask")
    fields = json.loads(json.dumps(convert_annotation(CocoAnnotation(1, 1, mask))))
    assert np.array_equal(pycoco.decode(fields["segmentation"]).astype(bool), mask)
    assert fields["area"] == pycoco.area(fields["segmentation"])
    assert fields["bbox"] == pycoco.toBbox(fields["segmentation"]).tolist()


def test_one_file_is_read_as_coco_and_as_sa_1b(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    cup = CocoCategory(7, "cup", "kitchen")
    found = [
        patch(1, category_id=7, predicted_iou=0.9, stability_score=0.97, point_coords=[(1.5, 3.0)], extra={"t": 4}),
        patch(2, category_id=7, crop_box=(0, 1, 4, 5)),
    ]
    file = tmp_path / "cup.json"
    write_json(file, build_dataset([IMAGE], iter(found), [cup], {"description": "a cup"}))
    read = coco.COCO(str(file))
    first, second = read.loadAnns(read.getAnnIds(imgIds=3, catIds=7))
    assert np.array_equal(read.annToMask(first).astype(bool), found[0].mask)
    assert (first["predicted_iou"], first["stability_score"], first["t"]) == (0.9, 0.97, 4)
    assert first["point_coords"] == [[1.5, 3.0]]
    assert (first["crop_box"], second["crop_box"]) == ([0, 0, 5, 7], [0, 1, 4, 5])
    assert "predicted_iou" not in second
    assert json.loads(file.read_text())["image"] == {"image_id": 3, "file_name": "cup.jpg", "width": 5, "height": 7}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([IMAGE], [patch(image_id=9)], "of picture 9, which is not here"),
        ([IMAGE], [patch(category_id=2)], "of category 2, unknown"),
        ([IMAGE], [patch(), patch()], "two annotations 1"),
        ([IMAGE], [patch(0)], "at least 1, got 0"),
        ([IMAGE], [patch(mask=np.zeros((2, 2), bool))], r"is \(2, 2\), its picture \(7, 5\)"),
        ([IMAGE], [patch(mask=np.zeros(SIZE, np.uint8))], r"must be \(H, W\) bool"),
        ([IMAGE], [patch(extra={"area": 3})], "may not be called area"),
        ([IMAGE, IMAGE], [], "two of the picture ids"),
    ],
)
def test_annotations_that_readers_reject_are_refused(images, annotations, message):
    with pytest.raises(AnnotationError, match=message):
        build_dataset(images, annotations)


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_values_that_are_not_json_leave_the_old_file(tmp_path, value):
    file = tmp_path / "a.json"
    file.write_text("old")
    with pytest.raises(AnnotationError, match=r"a\.json cannot be written"):
        write_json(file, build_dataset([IMAGE], [patch(extra={"x": value})]))
    assert file.read_text() == "old"
