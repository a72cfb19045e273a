"""Exports hold the recorded data, complete or not at all."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from rich.console import Console

from realtime.commands.export.coco import select_masks
from realtime.commands.export.command import export
from realtime.commands.export.csv_table import HEADER, format_time
from realtime.commands.export.targets import ExportTargets
from realtime.commands.export.video import fit_image
from realtime.commands.main import main
from realtime.errors import RecordingError, RunFailed
from realtime.recording.format import FRAME, read_frame
from realtime.recording.labels import LabelFile, ObjectLabel, save_labels
from realtime.recording.mask_events import read_mask_events
from realtime.recording.reader import RecordingEntry, RecordingReader
from realtime.recording.writer import RecordingFile
from realtime.types import Confirmation, State
from tests.realtime.recording.object_recordings import ABOUT, BEGIN_NS, Shown, damage, mask_of, record, run

LABELS = LabelFile(MappingProxyType({1: ObjectLabel("cup"), 2: ObjectLabel("", keep=False)}))
QUIET = Console(quiet=True)


def exported(path: Path, wanted: ExportTargets, labels: LabelFile = LABELS) -> list[str]:
    return list(export(RecordingReader(path), labels, wanted, QUIET))


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_tinted(image: np.ndarray, number: int) -> bool:
    """Whether the mask of an object is drawn on a grey picture."""
    inside = image[mask_of(number)].astype(int)
    return bool((inside.max(1) - inside.min(1)).mean() > 12)


def test_names_of_the_user_replace_recognized_ones_in_every_export(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", [*run(10, 1, recognized="bowl"), *run(10, 3, recognized="dog"), *run(10, 4)])
    exported(path, ExportTargets(csv=tmp_path / "a.csv", coco=tmp_path / "set", every_s=0))
    with (tmp_path / "a.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["cup", "dog", ""]
    written = json.loads((tmp_path / "set" / "annotations" / "instances_default.json").read_text())
    assert {each["name"] for each in written["categories"]} >= {"cup", "dog"}
    assert "bowl" not in json.dumps(written)


# -- video ------------------------------------------------------------------------------------------------------------


def test_the_video_has_every_frame_at_its_time_with_its_mask(tmp_path: Path) -> None:
    shown = [*run(5, None), *run(10, 1), *run(5, 2), *run(5, 3, "lost"), *run(5, 3, "preview")]
    path = record(tmp_path / "a.mcap", shown, restart_at=12)
    assert exported(path, ExportTargets(video=tmp_path / "my.film.mp4")) == [
        f"{tmp_path / 'my.film.mp4'}: 30 frames in 1.2 s, 15 with a mask"
    ]
    with av.open(str(tmp_path / "my.film.mp4")) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert times == pytest.approx([number / 25 for number in range(30)], abs=0.001)
    film = cv2.VideoCapture(str(tmp_path / "my.film.mp4"))
    images = [film.read()[1] for _ in range(30)]
    assert not film.read()[0]
    film.release()
    for image, one in zip(images, shown, strict=True):
        drawn = one.object in (1, 3) and one.state != "lost"
        assert is_tinted(image, one.object or 1) == drawn, one


def test_pictures_of_another_size_are_fitted_in(tmp_path: Path) -> None:
    wide = fit_image(np.full((10, 40, 3), 200, np.uint8), (64, 48))
    assert wide.shape == (48, 64, 3)
    assert wide[:15].max() == 0
    assert wide[24].min() == 200


# -- table ------------------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_visit_that_is_kept(tmp_path: Path) -> None:
    confirmed = Confirmation("pinch", 4, BEGIN_NS + 1_500_000_000)
    shown = [*run(10, 1, "preview"), *run(5, 1, confirmed=confirmed), *run(5, 2), *run(5, 3, confidence=0.4)]
    path = record(tmp_path / "a.mcap", shown)
    exported(path, ExportTargets(csv=tmp_path / "deep" / "a.csv"))
    rows = list(csv.DictReader((tmp_path / "deep" / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["object"], row["label"], row["masks"]) for row in rows] == [("1", "cup", "15"), ("3", "", "5")]
    assert tuple(rows[0]) == HEADER
    first = rows[0]
    assert (first["start"], first["end"]) == ("2023-11-14T22:13:25.000+00:00", "2023-11-14T22:13:25.560+00:00")
    assert (first["duration_s"], first["preview_s"], first["locked_s"], first["held_s"]) == (
        "0.560", "0.400", "0.160", "0.000",
    )  # fmt: skip
    assert rows[1]["confidence_mean"] == "0.4000"
    columns = ("confirmations", "confirmed", "confirmed_by")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("1", "2023-11-14T22:13:26.500+00:00", "pinch"), ("0", "", ""),
    ]  # fmt: skip


def test_a_confirmed_mask_is_marked_in_the_data_set(tmp_path: Path) -> None:
    confirmed = Confirmation("request", 4, BEGIN_NS + 1_500_000_000)
    path = record(tmp_path / "a.mcap", [*run(5, 1), *run(5, 3, confirmed=confirmed)])
    exported(path, ExportTargets(coco=tmp_path / "set"))
    found = json.loads((tmp_path / "set" / "annotations" / "instances_default.json").read_text())["annotations"]
    assert [each.get("confirmed") for each in found] == [
        None, {"by": "request", "number": 4, "at": "2023-11-14T22:13:26.500+00:00"},
    ]  # fmt: skip


# -- data set ---------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on numpy 2
def test_the_data_set_is_read_by_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path / "a.mcap", [*run(60, 1), *run(20, 2), *run(30, 3), *run(10, 1, "held")])
    exported(path, ExportTargets(coco=tmp_path / "set", sa1b=True))
    coco = COCO(str(tmp_path / "set" / "annotations" / "instances_default.json"))
    assert coco.dataset["licenses"] == []
    capsys.readouterr()
    names = {kind["id"]: kind["name"] for kind in coco.loadCats(coco.getCatIds())}
    assert names == {1: "object", 2: "cup"}
    originals = {
        read_frame(entry.data).index: read_frame(entry.data) for entry in RecordingReader(path).read_entries((FRAME,))
    }
    objects: list[int] = []
    for found in coco.loadAnns(coco.getAnnIds()):
        objects.append(found["object"])
        mask = mask_of(found["object"])
        assert np.array_equal(coco.annToMask(found) > 0, mask)
        x, y, width, height = found["bbox"]
        assert mask[y : y + height, x : x + width].sum() == found["area"] == mask.sum()
        assert names[found["category_id"]] == (LABELS.get_label(found["object"]).text or "object")
        assert (found["predicted_iou"], found["score"], found["state"]) == (0.9, 0.8, "locked")
        assert not {"confidence", "label", "bounding_box", "mask"} & set(found), "FiftyOne's own, which it refuses"
        assert found["point_coords"] == [[14 + 12 * (found["object"] % 4), 24.0]]
        assert found["timestamp"] == pytest.approx(100 + found["frame_index"] / 25)
        (image,) = coco.loadImgs([found["image_id"]])
        picture = tmp_path / "set" / "images" / image["file_name"]
        assert picture.read_bytes() == originals[found["frame_index"]].data
        alone = json.loads(picture.with_suffix(".json").read_text())
        assert alone["image"]["file_name"] == image["file_name"]
        assert [one["segmentation"] for one in alone["annotations"]] == [found["segmentation"]]
    assert set(objects) == {1, 3}
    assert 3 <= objects.count(1) <= 4  # 2.4 s, a mask of each second that begins or ends in it
    assert objects.count(3) <= 3


def test_every_mask_is_exported_when_asked_and_lossless_pictures_stay_so(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", [*run(6, 1), *run(3, 1, "held"), *run(2, 2)], jpeg=False)
    exported(path, ExportTargets(coco=tmp_path / "set", every_s=0))
    images = sorted((tmp_path / "set" / "images").iterdir())
    assert [image.name for image in images] == [f"{number:06d}.png" for number in range(1, 7)]
    assert [int(cv2.imread(str(image))[0, 0, 0]) for image in images] == list(range(20, 26))


states: st.SearchStrategy[State] = st.sampled_from(["preview", "locked", "held", "lost"])
moments = st.builds(Shown, st.integers(1, 3), states, st.floats(0, 1), st.floats(0, 1))


@settings(max_examples=30)
@given(st.lists(moments, min_size=1, max_size=40), st.sampled_from([0.1, 0.5, 1.0]))
def test_of_every_stretch_the_best_mask_is_chosen(
    tmp_path_factory: pytest.TempPathFactory, shown: Sequence[Shown], every_s: float
) -> None:
    masks = list(read_mask_events(RecordingReader(record(tmp_path_factory.mktemp("r") / "a.mcap", shown))))
    keys = select_masks(masks, LABELS, every_s)
    stretches = {}
    for mask in masks:
        if mask.state in ("preview", "locked") and mask.object != 2:
            stretches.setdefault((mask.object, int(mask.at_ns / 1e9 // every_s)), []).append(mask)
    assert len(keys) == len(stretches)
    for found in stretches.values():
        best = [mask for mask in found if mask.key in keys]
        assert len(best) == 1
        assert best[0].quality == max(mask.confidence * mask.score for mask in found)


# -- trouble ----------------------------------------------------------------------------------------------------------


def test_a_cut_off_and_a_damaged_recording_give_what_they_hold(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", run(60, 1), cut=True)
    damage(path)
    wanted = ExportTargets(tmp_path / "a.mp4", tmp_path / "a.csv", tmp_path / "set")
    lines = exported(path, wanted)
    assert len(lines) == 3
    assert all("1 damaged chunks" in line for line in lines)
    assert "50 frames" in lines[0]


def test_nothing_is_replaced_unless_it_may_be(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", run(10, 1))
    target, other = tmp_path / "set", tmp_path / "other"
    exported(path, ExportTargets(coco=target, csv=tmp_path / "a.csv"))
    other.mkdir()
    (other / "precious").touch()
    before = (tmp_path / "a.csv").stat()
    for wanted, message in (
        (ExportTargets(csv=tmp_path / "a.csv"), "--force"),
        (ExportTargets(csv=tmp_path / "b.csv", coco=target), "--force"),
        (ExportTargets(coco=other, force=True), "no data set"),
        (ExportTargets(csv=other, force=True), "no plain file"),
        (ExportTargets(csv=path, force=True), "the recording itself"),
        (ExportTargets(csv=save_labels(path, LABELS), force=True), "the recording's labels"),
        (ExportTargets(csv=tmp_path / "b.csv", video=tmp_path / "b.csv"), "in each other's place"),
        (ExportTargets(csv=tmp_path / "new" / "b.csv", coco=tmp_path / "new"), "in each other's place"),
    ):
        with pytest.raises(RecordingError, match=message):
            exported(path, wanted)
    assert not (tmp_path / "b.csv").exists()  # refused before anything is begun
    (target / "images" / "old.jpg").touch()
    exported(path, ExportTargets(coco=target, csv=tmp_path / "a.csv", video=tmp_path / "a.mp4", force=True))
    assert not (target / "images" / "old.jpg").exists()
    assert (tmp_path / "a.csv").stat().st_mtime_ns > before.st_mtime_ns
    assert list_names(tmp_path) == ["a.csv", "a.labels.json", "a.mcap", "a.mp4", "other", "set"]


def test_a_data_set_of_an_earlier_version_is_replaced(tmp_path: Path) -> None:
    path, earlier = record(tmp_path / "a.mcap", run(10, 1)), tmp_path / "set"
    (earlier / "images").mkdir(parents=True)
    (earlier / "annotations.json").write_text('{"info": {"contributor": "gazecast 0.1.0"}}')
    exported(path, ExportTargets(coco=earlier, force=True))
    assert list_names(earlier) == ["annotations", "images"]


def test_no_folder_is_replaced_that_an_export_did_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "in" / "a.mcap", run(10, 1))
    work, foreign, mine = tmp_path / "work", tmp_path / "foreign", tmp_path / "mine"
    for folder in (work, mine):
        exported(path, ExportTargets(coco=folder))
    (mine / "notes.txt").write_text("precious")
    (foreign / "images").mkdir(parents=True)
    (foreign / "annotations.json").write_text('{"info": {"contributor": "somebody"}}')
    (tmp_path / "link").symlink_to(work)
    (work / "below").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for folder, target, message in (
        (work, ".", "current folder"), (work, "a/..", "current folder"), (work / "below", "../a/..", "or contains it"),
        (work / "below", "..", "or contains it"), (tmp_path, "link/below/..", "other files"),
        (tmp_path, "work/a/..", "other files"), (work, "../link", "current folder"), (work, "/", "or contains it"),
        (tmp_path, "mine", "other files"), (tmp_path, "foreign", "other files"), (work, "../in", "the recording"),
    ):  # fmt: skip
        monkeypatch.chdir(folder)
        for force in (False, True):
            with pytest.raises(RecordingError, match=message):
                exported(path, ExportTargets(coco=Path(target), force=force))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["csv", "ros2", "video", "png"])
def test_a_file_behind_a_folder_that_is_not_there_is_not_replaced(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(tmp_path / "a.mcap", run(10, 1))
    old = tmp_path / ("old.mp4" if kind == "video" else f"old.{kind}")
    old.write_text("precious")
    monkeypatch.chdir(tmp_path)
    arguments = ["plot", str(path), "--out"] if kind == "png" else ["export", str(path), f"--{kind}"]
    assert main([*arguments, f"missing/../{old.name}"]) == 2
    assert "--force" in capsys.readouterr().err
    assert old.read_text() == "precious"
    assert list_names(tmp_path) == ["a.mcap", old.name]


def test_a_data_set_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", run(10, 1))
    exported(path, ExportTargets(coco=tmp_path / "set"))
    (tmp_path / "set" / "images" / "old.jpg").touch()
    (tmp_path / "link").symlink_to("set")
    exported(path, ExportTargets(coco=tmp_path / "link", force=True))
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "set" / "images" / "old.jpg").exists()
    assert list_names(tmp_path) == ["a.mcap", "link", "set"]


class Disturbed(RecordingReader):
    """A recording during whose export another program writes into the target."""

    def read_mask(self, *args: Any) -> Any:
        (self.path.parent / "set").mkdir(exist_ok=True)
        (self.path.parent / "set" / "precious").touch()
        return super().read_mask(*args)


@pytest.mark.parametrize("force", [False, True])
def test_files_that_came_during_an_export_stay(force: bool, tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", run(10, 1))
    with pytest.raises(RunFailed, match="data set cannot be written"):
        list(export(Disturbed(path), LABELS, ExportTargets(coco=tmp_path / "set", force=force), QUIET))
    assert list_names(tmp_path / "set") == ["precious"]
    assert list_names(tmp_path) == ["a.mcap", "set"]


def test_a_failing_disk_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "a.mcap", run(30, 1))
    wanted = ExportTargets(csv=tmp_path / "a.csv", coco=tmp_path / "set", every_s=0)
    write, count = Path.write_bytes, 0

    def full(self: Path, data: bytes) -> int:
        nonlocal count
        count += 1
        if count > 4:
            raise OSError(28, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFailed, match="No space left"):
        exported(path, wanted)
    assert list_names(tmp_path) == ["a.csv", "a.mcap"]  # the table was whole before


class Interrupted(RecordingReader):
    """A recording in the middle of which Ctrl-C is pressed."""

    def read_entries(self, *args: Any, **kinds: Any) -> Iterator[RecordingEntry]:
        for number, entry in enumerate(super().read_entries(*args, **kinds)):
            if number == 60:
                os.kill(os.getpid(), signal.SIGINT)
            yield entry


@pytest.mark.parametrize("what", ["video.mp4", "csv", "coco"])
def test_ctrl_c_leaves_nothing_half_done(what: str, tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", run(30, 1))
    wanted = replace(ExportTargets(every_s=0), **{what.split(".")[0]: tmp_path / what})
    with pytest.raises(KeyboardInterrupt):
        list(export(Interrupted(path), LABELS, wanted, QUIET))
    assert list_names(tmp_path) == ["a.mcap"]


def test_nothing_to_export_is_an_error(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mcap", [*run(5, None), *run(5, 2), *run(5, 1, "held")])
    with pytest.raises(RecordingError, match="no mask to export"):
        exported(path, ExportTargets(coco=tmp_path / "set"))
    assert list_names(tmp_path) == ["a.mcap"]
    assert "0 visits" in exported(record(tmp_path / "b.mcap", run(5, None)), ExportTargets(csv=tmp_path / "b.csv"))[0]


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path / "walk.mcap", run(30, 1))
    save_labels(path, LabelFile(MappingProxyType({1: ObjectLabel("Tür")})))
    assert main(["export", str(path), "--video", "--csv", "--coco", "--every", "0.5"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"{tmp_path / 'walk.mp4'}: 30 frames in 1.2 s, 30 with a mask"
    assert "masks of Tür" in out
    assert list_names(tmp_path) == ["walk-coco", "walk.csv", "walk.labels.json", "walk.mcap", "walk.mp4"]
    for arguments, message in (
        ([str(path)], "name at least one export"),
        ([str(path), "--csv", str(tmp_path / "x.csv"), "--sa1b"], "--coco"),
        ([str(path), "--coco", str(tmp_path / "x"), "--every", "-1"], "0 or more"),
        ([str(path), "--video"], "exists"),
        ([str(path), "--video", str(tmp_path / "x.gif")], ".mp4 or .webm"),
        ([str(tmp_path / "walk.csv"), "--video"], "no recording"),
        ([str(tmp_path / "absent.mcap"), "--video"], "cannot read"),
    ):
        assert main(["export", *arguments]) == 2
        assert message in capsys.readouterr().err


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_wall_clock_times_are_iso_8601(wall_ns: int) -> None:
    from datetime import datetime

    assert abs(datetime.fromisoformat(format_time(wall_ns)).timestamp() - wall_ns / 1e9) < 0.0011


def test_pictures_that_cannot_be_decoded_are_left_out_and_counted(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.mcap", ABOUT)
    for entry in RecordingReader(record(tmp_path / "b.mcap", run(20, 1))).read_entries():
        broken = entry.topic == FRAME and read_frame(entry.data).index in (3, 4)
        file.write_message(
            entry.topic, entry.log_ns, entry.data.replace(b"\xff\xd8\xff", b"no!") if broken else entry.data
        )
    file.close()
    lines = exported(tmp_path / "a.mcap", ExportTargets(tmp_path / "a.mp4", coco=tmp_path / "set", every_s=0))
    assert "18 frames" in lines[0]
    assert "18 pictures" in lines[1]
    assert all("2 pictures could not be decoded" in line for line in lines)
    assert len(list((tmp_path / "set" / "images").iterdir())) == 18
