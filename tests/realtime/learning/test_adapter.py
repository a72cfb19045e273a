from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from engines.models.safetensors import hash_arrays, pack_safetensors, read_safetensors
from realtime.config.schema import RunConfig, load_config, select_recorded_settings, to_toml
from realtime.errors import LearningError, SettingsError
from realtime.learning.adapter import METADATA, Adapter, AdapterInfo, check_replaced, load_adapter, save_adapter
from realtime.session.engine import apply_adapter
from realtime.tracking.candidate_ranker import FEATURES, CandidateRanker, read_ranker
from realtime.tracking.hypotheses import make_hypotheses
from realtime.tracking.mask_selection import SelectionSettings, compute_evidence, make_ranker, update_belief
from tests.realtime.tracking.test_hypotheses import FOUR, GAZE
from tests.realtime.tracking.test_mask_selection import KEYFRAME

RANKER = CandidateRanker(tuple(np.linspace(-1, 1, len(FEATURES)).tolist()), 0.5, -1.25)
INFO = AdapterInfo(
    "ranker", "mobile_sam", looks=3, visits=2, answers={"kept": 3}, sources={"a.mcap": "0123"}, groups=("0123",),
    ranker=RANKER.to_text(),
)  # fmt: skip
WEIGHTS = '{"version": 1, "part": "iou", "model": "x"}'
DECODER = AdapterInfo("decoder", "mobile_sam", looks=40, groups=("89ab",))
ARRAYS = {"mask_decoder.x": np.arange(6, dtype=np.float32).reshape(2, 3)}


def test_an_adapter_is_read_as_it_was_written(tmp_path):
    save_adapter(tmp_path / "a.adapter", INFO, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})
    assert load_adapter(tmp_path / "a.adapter") == Adapter(ranker=INFO)
    assert read_safetensors(tmp_path / "a.adapter")["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_ranker(INFO.ranker) == RANKER


def test_learning_one_part_keeps_the_other(tmp_path):
    file = tmp_path / "a.adapter"
    better, iou = replace(INFO, looks=9), replace(DECODER, part="iou", looks=50)
    new = {"mask_decoder.y": np.ones(4, np.float32)}
    save_adapter(file, INFO)
    save_adapter(file, DECODER, ARRAYS, old=file)
    assert load_adapter(file) == Adapter(INFO, DECODER)
    weights = hash_arrays(file)
    save_adapter(file, better, old=file)
    assert load_adapter(file) == Adapter(better, DECODER)
    assert hash_arrays(file) == weights, "a recording knows its engine by the weights"
    assert (read_safetensors(file)["mask_decoder.x"] == ARRAYS["mask_decoder.x"]).all()
    save_adapter(file, iou, new, old=file)  # weights replace weights
    assert load_adapter(file) == Adapter(better, iou)
    assert set(read_safetensors(file)) == set(new)
    config = apply_adapter(RunConfig(adapter=file))
    assert (config.engine.adapter, config.tracker.choice.ranker) == (file, INFO.ranker)


def test_a_part_that_would_be_lost_is_named(tmp_path):
    one, other = tmp_path / "one.adapter", tmp_path / "other.adapter"
    save_adapter(one, INFO)
    save_adapter(other, DECODER, ARRAYS)
    check_replaced(one, one, "decoder")
    check_replaced(one, None, "decoder")
    check_replaced(tmp_path / "none.adapter", one, "decoder")
    check_replaced(one, other, "ranker")
    check_replaced(other, one, "iou")
    with pytest.raises(LearningError, match=r"one\.adapter holds a part .* would be lost: ranker; name another file"):
        check_replaced(one, other, "iou")
    with pytest.raises(LearningError, match=r"would be lost: decoder"):
        check_replaced(other, one, "ranker")
    save_adapter(other, INFO, old=other)
    check_replaced(one, other, "decoder")  # that ranker is replaced by another one


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty.*; expected an adapter that gazecast learn wrote"),
        (b"\xff" * 40, "it begins with .*; expected an adapter"),
        (pack_safetensors({}, {METADATA: WEIGHTS})[:60], "cut off in its header.*; expected an adapter"),
        (pack_safetensors({}, {}), "without `gazecast` in its texts; expected an adapter"),
        (pack_safetensors({}, {METADATA: "[]"}), "it holds nothing"),
        (pack_safetensors({}, {METADATA: f"[{WEIGHTS}, {WEIGHTS}]"}), "it holds iou of x, iou of x"),
        (
            pack_safetensors({}, {METADATA: f"[{WEIGHTS}, {json.dumps(asdict(INFO))}]"}),
            "ranker of mobile_sam",
        ),
        (pack_safetensors({}, {METADATA: "[[]]"}), "describes nothing that was learned"),
        (pack_safetensors({}, {METADATA: '{"version": 9}'}), "version 9"),
        (pack_safetensors({}, {METADATA: '{"version": 1, "part": "taste", "model": "x"}'}), "part"),
        (pack_safetensors({}, {METADATA: '{"version": 1, "part": "ranker", "model": "x"}'}), "ranker"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    file = tmp_path / "a.adapter"
    file.write_bytes(content)
    with pytest.raises(LearningError, match=message):
        load_adapter(file)
    with pytest.raises(LearningError, match=message):
        apply_adapter(RunConfig(adapter=file))


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "{}", '{"weights": [1], "slope": 1, "offset": 0}', RANKER.to_text().replace("0.5", "NaN"),
     RANKER.to_text().replace('"version":1', '"version":2'), RANKER.to_text().replace("0.5", '"a"')],
)  # fmt: skip
def test_a_setting_that_is_no_ranker_is_refused(text):
    with pytest.raises(SettingsError, match="ranker"):
        load_config(None, {"tracker": {"choice": {"ranker": text}}})


def test_a_run_takes_an_adapter_into_its_settings_and_a_recording_names_no_file(tmp_path):
    file = tmp_path / "a.adapter"
    save_adapter(file, INFO)
    config = apply_adapter(load_config(None, {"adapter": str(file)}))
    assert config.tracker.choice.ranker == INFO.ranker
    recorded = to_toml(select_recorded_settings(config))
    assert str(file) not in recorded
    (tmp_path / "run.toml").write_text(recorded)
    assert load_config(tmp_path / "run.toml", {}).tracker.choice.ranker == INFO.ranker
    with pytest.raises(LearningError, match="model mobile_sam, and this run uses sam_vit_b"):
        apply_adapter(load_config(None, {"adapter": str(file), "engine": {"model": "sam_vit_b"}}))


def test_the_rule_of_the_settings_is_a_ranker():
    hypotheses = make_hypotheses([(GAZE, FOUR)], GAZE, 20)
    same = SelectionSettings(ranker=make_ranker(SelectionSettings()).to_text())
    assert compute_evidence(hypotheses, same) == pytest.approx(compute_evidence(hypotheses, SelectionSettings()))
    beliefs = [update_belief(KEYFRAME, hypotheses, use) for use in (SelectionSettings(), same)]
    assert beliefs[0].confidence == pytest.approx(beliefs[1].confidence)


def test_a_ranker_selects_and_calibrates():
    hypotheses = make_hypotheses([(GAZE, FOUR)], GAZE, 20)
    smallest = CandidateRanker(tuple(-5.0 * (name == "log_area") for name in FEATURES), 0.0, 2.0)
    belief = update_belief(KEYFRAME, hypotheses, SelectionSettings(ranker=smallest.to_text()))
    assert belief.hypotheses[0].area_share == min(each.area_share for each in hypotheses)
    assert belief.confidence == pytest.approx(1 / (1 + np.exp(-2.0)))
