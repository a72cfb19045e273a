"""`gazecast segment` as a user has it: edges, proposals, names and words, for folders, resumed and never replaced."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from engines.recognition.base import RecognizedObject
from engines.recognition.coco_names import NAMES
from engines.recognition.detected_objects import DetectedObjects
from engines.recognition.name_words import encode_name
from realtime.commands.main import main
from realtime.commands.segment import command, named_objects
from realtime.commands.segment.named_objects import COCO_CATEGORIES, NamedMask, select_named
from tests.engines.recognition.clip_files import write_clip
from tests.realtime.commands.segment.drawn_blocks import BLOCKS, block, draw_blocks, iou, run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on numpy 2

NAMED = {"cup": 0, "person": 1}
"""The blocks of the picture, by name."""
FAKE = ("--engine", "fake")
FEW = ("--points-per-side", "8", *FAKE)


class BlockRecognizer:
    """Finds the blocks, if the picture has any colour."""

    model = "blocks"

    def recognize(self, image):
        found = []
        for name, index in NAMED.items() if np.ptp(image) else ():
            x, y, width, height = BLOCKS[index]
            scores = np.array([0.9 if other == name else 0.3 for other in NAMES], np.float32)
            found.append(RecognizedObject((x, y, x + width - 1.0, y + height - 1.0), NAMES, scores))
        return DetectedObjects(NAMES, tuple(found), (image.shape[1], image.shape[0]))

    def encode_word(self, text):
        return encode_name(text, NAMES)

    def close(self):
        """Holds nothing."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of a picture of two blocks, of a plain one, and of a damaged one."""
    monkeypatch.setattr(command, "open_recognizer", lambda *_: BlockRecognizer())
    cv2.imwrite(str(tmp_path / "plain.png"), draw_blocks(0))
    cv2.imwrite(str(tmp_path / "blocks.png"), draw_blocks(len(NAMED)))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_edges_of_a_folder_are_grey_pictures_of_thin_lines(capsys, folder):
    out = folder / "out"
    code, output, err = run(capsys, folder, "--edges", *FEW, "--out", out)
    assert (code, "blocks.png: edges in" in output) == (0, True), err
    assert sorted(path.name for path in out.iterdir()) == ["blocks.edges.png", "plain.edges.png"]
    edges = cv2.imread(str(out / "blocks.edges.png"), cv2.IMREAD_UNCHANGED)
    assert (edges.shape, edges.dtype, edges.max()) == ((160, 200), np.uint8, 255)
    rows, columns = np.nonzero(edges > 60)
    truth = cv2.Canny(255 * sum(map(block, NAMED.values())).astype(np.uint8), 1, 2)
    distance = cv2.distanceTransform(255 - truth, cv2.DIST_L2, 3)
    assert distance[rows, columns].max() < 6


def test_proposals_are_results_that_coco_evaluates(capsys, folder):
    coco = pytest.importorskip("pycocotools.coco")
    out = folder / "out"
    file = (folder / "blocks.png").rename(folder / "000000000042.png")
    code, output, err = run(capsys, file, "--proposals", *FEW, "--out", out)
    assert (code, "wrote" in output) == (0, True), err
    results = json.loads((out / "000000000042.proposals.json").read_text())
    assert [each["score"] for each in results] == sorted((each["score"] for each in results), reverse=True)
    assert {(each["image_id"], each["file_name"]) for each in results} == {(42, "000000000042.png")}
    truth = coco.COCO()
    truth.dataset = {"images": [{"id": 42, "width": 200, "height": 160}], "annotations": [], "categories": [{"id": 1}]}
    truth.createIndex()
    read = truth.loadRes(results)
    masks = [read.annToMask(each).astype(bool) for each in read.loadAnns(read.getAnnIds())]
    assert all(max(iou(mask, block(index)) for mask in masks) > 0.8 for index in NAMED.values())
    assert cv2.imread(str(out / "000000000042.proposals.png")).shape == (160, 200, 3)


def test_named_objects_are_annotations_with_cocos_categories(capsys, folder):
    code, output, err = run(capsys, folder, "--names", *FAKE, "--out", folder / "out")
    assert (code, "blocks.png: 2 masks in" in output, "plain.png: no masks in" in output) == (0, True, True), err
    written = json.loads((folder / "out" / "blocks.names.json").read_text())
    names = {each["id"]: each["name"] for each in written["categories"]}
    assert (names[1], names[47], len(names)) == ("person", "cup", 80)
    assert sorted(names[each["category_id"]] for each in written["annotations"]) == ["cup", "person"]
    assert all(each["score"] == pytest.approx(0.9) for each in written["annotations"])
    drawn = cv2.imread(str(folder / "out" / "blocks.names.png"))
    assert (drawn != cv2.imread(str(folder / "blocks.png"))).any()


def test_a_word_selects_its_objects_and_may_find_none(capsys, folder):
    code, output, err = run(capsys, folder, "--text", "Mug", *FAKE, "--out", folder / "out")
    assert (code, "blocks.png: 1 mask of Mug in" in output, "plain.png: no Mug in" in output) == (0, True, True), err
    written = json.loads((folder / "out" / "blocks.text-mug.json").read_text())
    assert [each["name"] for each in written["categories"]] == ["Mug"]
    assert len(written["annotations"]) == 1
    assert json.loads((folder / "out" / "plain.text-mug.json").read_text())["annotations"] == []
    assert main(["segment", str(folder / "plain.png"), "--text", "hot dog", *FAKE, "--out", str(folder / "out")]) == 0
    assert "no hot dog in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "hint"),
    [("cupp", "similar: cup"), ("wineglass", "similar: wine glass"), ("photosynthesis", "it knows person, bicycle,")],
)
def test_an_unknown_word_is_refused_with_similar_names(capsys, folder, monkeypatch, word, hint):
    monkeypatch.setattr(command, "load", lambda *_, **__: pytest.fail("opened"))
    code, _, err = run(capsys, folder, "--text", word, *FAKE, "--out", folder / "out")
    assert (code, f"no name for {word!r}; " in err, hint in err) == (2, True, True), err
    assert not list((folder / "out").iterdir())


def test_finished_pictures_are_kept_and_others_computed(capsys, folder, monkeypatch):
    out, flags = folder / "out", ("--names", *FAKE)
    assert run(capsys, folder, *flags, "--out", out)[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "plain.names.json").write_bytes((out / "plain.names.json").read_bytes()[:50])  # partly written
    code, output, err = run(capsys, folder, *flags, "--out", out)
    assert (code, "blocks.png: 2 masks, finished before, in" in output) == (0, True), err
    assert "plain.png: no masks in" in output
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"plain.names.json", "plain.names.png"}
    assert json.loads((out / "plain.names.json").read_text())["annotations"] == []
    (out / "blocks.names.png").write_bytes((out / "blocks.names.png").read_bytes()[:-20])
    assert "blocks.png: 2 masks in" in run(capsys, folder, *flags, "--out", out)[1]
    monkeypatch.setattr(command, "load", lambda *_, **__: pytest.fail("opened"))
    code, output, _ = run(capsys, folder, *flags, "--out", out, "--json")
    assert [json.loads(line)["finished_before"] for line in output.splitlines()] == [True, True]


def test_nothing_is_replaced_without_force(capsys, folder):
    out, picture = folder / "out", folder / "blocks.png"
    assert run(capsys, picture, "--edges", *FEW, "--out", out)[0] == 0
    made = (out / "blocks.edges.png").read_bytes()
    for others in (("--points-per-side", "4", *FAKE), (*FEW, "--picture-side", "512")):
        code, _, err = run(capsys, picture, "--edges", *others, "--out", out)
        assert (code, "blocks.edges.png exists" in err, "--force" in err, err.count("\n")) == (2, True, True, 1), err
    assert (out / "blocks.edges.png").read_bytes() == made
    (out / "blocks.names.json").write_text("{}")
    assert "blocks.names.json exists" in run(capsys, picture, "--names", *FAKE, "--out", out)[2]
    (out / "blocks.names.json").write_text("{")
    assert run(capsys, picture, "--names", *FAKE, "--out", out)[0] == 0
    assert run(capsys, picture, "--edges", "--points-per-side", "4", *FAKE, "--out", out, "--force")[0] == 0
    assert (out / "blocks.edges.png").read_bytes() != made
    cv2.imwrite(str(picture), cv2.imread(str(picture))[:, ::-1])  # another picture of the same name
    assert "exists" in run(capsys, picture, "--edges", "--points-per-side", "4", *FAKE, "--out", out)[2]


def test_a_folders_own_results_and_damaged_pictures_are_left_out(capsys, folder):
    (folder / "cut.png").write_bytes((folder / "blocks.png").read_bytes()[:60])
    (folder / "fake.jpg").write_text("no picture")
    for _ in range(2):
        code, output, err = run(capsys, folder, "--text", "cup", *FAKE, "--out", folder)
        assert (code, output.count("\n")) == (1, 2), err
        for message in ("cut.png cannot be read", "fake.jpg is no picture", "2 of 4 pictures were left out"):
            assert message in err


def test_the_categories_have_cocos_ids():
    assert [(each.id, each.name) for each in COCO_CATEGORIES if each.id in (1, 13, 44, 65, 90)] == [
        (1, "person"), (13, "stop sign"), (44, "bottle"), (65, "bed"), (90, "toothbrush"),
    ]  # fmt: skip


def test_any_word_is_searched_by_clip_under_the_masks_of_a_grid(capsys, folder, monkeypatch):
    pytest.importorskip("openvino")
    from engines.recognition.clip import ClipRecognizer

    weights_folder, out = folder / "weights", folder / "out"
    weights_folder.mkdir()
    write_clip(weights_folder, scale=1.0)  # no word is certain
    clip = ClipRecognizer(weights_folder, "clip-b32", cache_dir=folder / "cache", names=["kettle"], long_side=8)
    monkeypatch.setattr(command, "open_recognizer", lambda *_: clip)
    file, words = folder / "blocks.png", ("--text", "oven glove", "--recognizer", "clip", *FAKE, "--out", out)
    for least, some in ((0.99, False), (0.0, True)):
        monkeypatch.setattr(named_objects, "MIN_WORD_SCORE", least)
        code, _, err = run(capsys, file, *words, "--force")
        written = json.loads((out / "blocks.text-oven-glove.json").read_text())
        assert (code, bool(written["annotations"])) == (0, some), err
    assert (written["info"]["text"], written["info"]["recognizer"]) == ("oven glove", "clip")
    assert written["info"]["everything"]["points_per_side"] == 16
    assert all(0 < each["score"] < 0.99 for each in written["annotations"])


def test_of_masks_on_each_other_the_surest_is_kept():
    def mark(columns, score):
        mask = np.zeros((4, 20), bool)
        mask[:, columns] = True
        return NamedMask(SimpleNamespace(mask=mask, area_px=int(mask.sum())), COCO_CATEGORIES[0], score)

    part, whole, beside, unsure = (
        mark(slice(4), 0.6),
        mark(slice(8), 0.9),
        mark(slice(6, 14), 0.7),
        mark(slice(15, 20), 0.4),
    )
    assert select_named([part, whole, beside, unsure]) == [whole, beside]


def test_clip_wants_a_word_and_its_weights(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), draw_blocks(1))
    for flags, reason in (
        (("--names", "--recognizer", "clip"), "--names needs the boxes of nanodet"),
        (("--edges", "--recognizer", "clip"), "--recognizer is of --text"),
        (("--text", "glove", "--recognizer", "clip", "--models", tmp_path), "gazecast models pull clip-b32"),
    ):
        code, _, err = run(capsys, tmp_path / "a.png", *flags, *FAKE, "--out", tmp_path / "out")
        assert (code != 0, reason in err) == (True, True), err
