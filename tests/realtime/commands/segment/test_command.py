"""`gazecast segment` as a user has it, on the fake engine: files that others read, one line of error, Ctrl-C."""

import json

import cv2
import numpy as np
import pytest

from realtime.commands.segment import command, tasks
from tests.realtime.commands.segment.drawn_blocks import block, draw_blocks, iou, run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on numpy 2

FAKE = ("--engine", "fake")
EVERYTHING = ("--everything", "--points-per-side", "8", *FAKE)


@pytest.fixture
def cup(tmp_path):
    """A picture of three plain blocks on grey, 200 x 160."""
    file = tmp_path / "cup.png"
    cv2.imwrite(str(file), draw_blocks(3))
    return file


def test_everything_is_written_as_coco_and_as_a_picture(capsys, cup, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    out = tmp_path / "out"
    code, output, _ = run(capsys, cup, *EVERYTHING, "--out", out)
    assert code == 0
    assert f"wrote {out / 'cup.json'} and cup.png" in output
    read = coco.COCO(str(out / "cup.json"))
    masks = [read.annToMask(annotation).astype(bool) for annotation in read.loadAnns(read.getAnnIds())]
    assert f"{len(masks)} masks" in output
    for index in range(3):
        assert sum(iou(mask, block(index)) > 0.8 for mask in masks) == 1
    written = json.loads((out / "cup.json").read_text())
    assert written["images"] == [{"id": 1, "file_name": "cup.png", "width": 200, "height": 160}]
    assert written["info"]["everything"]["points_per_side"] == 8
    assert {"predicted_iou", "stability_score", "crop_box", "point_coords"} < written["annotations"][0].keys()
    picture = cv2.imread(str(out / "cup.png"))
    assert picture.shape == (160, 200, 3)
    assert (picture != cv2.imread(str(cup))).any()
    assert sorted(path.name for path in out.iterdir()) == ["cup.json", "cup.png"]


@pytest.mark.parametrize(
    "flags",
    [("--point", "40,45"), ("--point", "30,40", "--point", "70,60", "--not", "120,60"), ("--box", "18,28,82,72")],
    ids=["point", "points", "box"],
)
def test_one_object_is_one_mask_and_one_line_of_json(capsys, cup, tmp_path, flags):
    coco = pytest.importorskip("pycocotools.coco")
    code, output, _ = run(capsys, cup, *flags, *FAKE, "--out", tmp_path / "out", "--json")
    line = json.loads(output)
    assert (code, line["masks"], line["image"]) == (0, 1, str(cup))
    capsys.readouterr()
    read = coco.COCO(line["json"])
    (annotation,) = read.loadAnns(read.getAnnIds())
    assert iou(read.annToMask(annotation).astype(bool), block(0)) > 0.8
    assert len(annotation["point_coords"]) == flags.count("--point")


def test_pictures_come_one_after_the_other_and_ctrl_c_leaves_whole_ones(capsys, cup, tmp_path, monkeypatch):
    second = tmp_path / "jug.png"
    second.write_bytes(cup.read_bytes())
    out = tmp_path / "out"
    out.mkdir()
    (out / "jug.json").write_text("old")
    assert run(capsys, cup, second, *EVERYTHING, "--out", out)[0] == 0
    assert json.loads((out / "jug.json").read_text())["annotations"]
    for file in out.iterdir():
        file.unlink()

    real, calls = tasks.run_to_end, []

    def interrupted(steps, report):
        calls.append(1)
        if len(calls) == 2:
            report(next(steps))
            steps.close()
            raise KeyboardInterrupt
        return real(steps, report)

    monkeypatch.setattr(tasks, "run_to_end", interrupted)
    code, output, _ = run(capsys, cup, second, *EVERYTHING, "--out", out)
    assert (code, "cup.png: " in output) == (130, True)
    assert sorted(path.name for path in out.iterdir()) == ["cup.json", "cup.png"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "choose what to segment: --everything, --point or --box"),
        (("--everything", "--point", "1,2"), "not both"),
        (("--not", "1,2"), "--not excludes parts of an object"),
        (("--point", "1"), "--point wants X,Y in pixels, got '1'"),
        (("--point", "1,nan"), "--point wants X,Y in pixels"),
        (("--box", "1,2,3"), "--box wants X0,Y0,X1,Y1 in pixels"),
        (("--box", "9,2,3,4"), "a box must be x0 y0 x1 y1 with x0 <= x1"),
        (("--box", "300,2,400,4"), "outside the 200 x 160 picture"),
        (("--point", "200,5"), "outside the 200 x 160 picture"),
        (("--point", "1,2", "--crop-layers", "1"), "--crop-layers is for --everything"),
        (("--everything", "--least-stability", "7"), "--least-stability must be 0 to 1, got 7"),
        (("--everything", "--edges"), "either --everything or --edges, not both"),
        (("--names", "--text", "cup"), "either --names or --text, not both"),
        (("--text", "cup", "--point", "1,2"), "not both"),
        (("--text", " - "), "--text wants a word, such as cup, got ' - '"),
        (("--names", "--points-per-side", "8"), "--points-per-side is for --everything and --edges and --proposals"),
        (("--edges", "--least-stability", "1"), "--least-stability is for --everything and --proposals"),
        (("--everything", "--picture-side", "9"), "--picture-side: picture_side must be 224 to 1024"),
    ],
)
def test_invalid_flags_print_one_line_and_exit_with_code_2(capsys, cup, tmp_path, flags, message):
    code, _, err = run(capsys, cup, *flags, *FAKE, "--out", tmp_path / "out")
    assert (code, message in err, "Traceback" in err) == (2, True, False), err


def test_unreadable_and_unwritable_files_are_reported_before_the_engine_is_opened(capsys, cup, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "load", lambda *_, **__: pytest.fail("opened"))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cup.jpg").write_bytes(cup.read_bytes())
    for argv, message in (
        ((tmp_path / "no.png",), "there is no picture"),
        ((tmp_path / "empty",), "is a folder without pictures"),
        ((tmp_path / "text.png",), "no picture that can be read"),
        ((cup, tmp_path / "other" / "cup.jpg"), "two pictures are called cup"),
        ((cup, "--out", tmp_path), "over the picture itself"),
        ((cup, "--out", tmp_path / "text.png"), "cannot write into"),
    ):
        code, _, err = run(capsys, *argv, *(() if "--out" in argv else ("--out", tmp_path / "out")), *EVERYTHING)
        assert (code, message in err, err.count("\n")) == (2, True, 1), err


def test_an_empty_result_and_a_damaged_picture_are_reported(capsys, cup, tmp_path):
    code, _, err = run(
        capsys, cup, *EVERYTHING, "--least-stability", "1", "--least-predicted-iou", "1", "--out", tmp_path / "out"
    )
    assert (code, "nothing was found; lower" in err) == (1, True)
    assert json.loads((tmp_path / "out" / "cup.json").read_text())["annotations"] == []
    cup.write_bytes(cup.read_bytes()[:60])
    code, _, err = run(capsys, cup, *EVERYTHING, "--out", tmp_path / "out")
    assert (code, "is damaged" in err) == (1, True)


def test_an_error_in_one_picture_does_not_end_the_others(capsys, cup, tmp_path):
    damaged, small, other = tmp_path / "damaged.png", tmp_path / "small.png", tmp_path / "other.png"
    damaged.write_bytes(cup.read_bytes()[:60])
    cv2.imwrite(str(small), np.zeros((9, 9, 3), np.uint8))
    other.write_bytes(cup.read_bytes())
    code, output, err = run(capsys, damaged, cup, small, other, "--point", "100,80", *FAKE, "--out", tmp_path / "out")
    assert (code, output.count("1 mask")) == (1, 2), err
    for message in ("damaged.png cannot be read", "are outside the 9 x 9 picture", "2 of 4 pictures were left out"):
        assert message in err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == ["cup.json", "other.json"]


def test_what_is_no_picture_does_not_end_the_others(capsys, cup, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    files = text, cup, tmp_path / "missing.png"
    code, output, err = run(capsys, *files, "--point", "100,80", *FAKE, "--out", tmp_path / "out")
    assert (code, output.count("1 mask")) == (1, 1), err
    for message in ("notes.txt is no picture", "there is no picture", "2 of 3 pictures were left out"):
        assert message in err
    code, _, err = run(capsys, text, tmp_path / "missing.png", "--point", "100,80", *FAKE, "--out", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1), err


def test_a_jpeg_is_turned_as_its_camera_says_and_refused_without_its_end(capsys, cup, tmp_path):
    whole = cv2.imencode(".jpg", cv2.imread(str(cup)))[1].tobytes()
    turned, cut = tmp_path / "turned.jpg", tmp_path / "cut.jpg"
    right_up = bytes.fromhex("ffe1 0022 457869660000 49492a0008000000 0100 12010300010000000600 0000 00000000")
    turned.write_bytes(whole[:2] + right_up + whole[2:])
    cut.write_bytes(turned.read_bytes()[: len(whole) // 2])
    code, output, err = run(capsys, turned, "--point", "60,100", *FAKE, "--out", tmp_path / "out")
    assert (code, "1 mask" in output) == (0, True), err
    picture = json.loads((tmp_path / "out" / "turned.json").read_text())["image"]
    assert (picture["width"], picture["height"]) == (160, 200)
    code, _, err = run(capsys, cut, "--point", "60,100", *FAKE, "--out", tmp_path / "out")
    assert (code, "cut.jpg is damaged: its end is missing" in err) == (1, True), err
