"""Learns weights of the mask decoder, judges them by the gate, and writes adapter and report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from engines import Decoder, Embedding, Encoder, EngineSettings, Floats, Image, Mask, Prompt, weights
from engines.base import LOGITS_SIDE
from engines.graphs import EncoderGraph
from engines.models.weight_arrays import read_arrays
from engines.sam import SamEncoder
from realtime.commands.learn.look_reader import BUNDLED_REPEATS, REHEARSED_FRAMES, LookReader, load_bundled_pictures
from realtime.commands.learn.ranker import BUNDLED, OWN, LearnedAdapter, describe_adapter
from realtime.correction.loop_metrics import measure_loop
from realtime.errors import LearningError
from realtime.infra.progress import ProgressReporter
from realtime.learning.adapter import AdapterInfo, Part, load_adapter, save_adapter
from realtime.learning.coco_pictures import LabelledPicture
from realtime.learning.gate import ChoiceFigures, judge, measure_choice
from realtime.learning.holdout import PictureIdentity, Role, assign_roles, has_learned
from realtime.learning.looks import LabelledLook, hash_texts
from realtime.learning.picture_looks import (
    PictureFixations,
    choose_on_pictures,
    find_error_click,
    label_pictures,
    list_fixations,
)
from realtime.learning.report import compare_masks, write_report
from realtime.session.engine import open_engine
from realtime.tracking.correction_prompt import make_correction_prompt

if TYPE_CHECKING:
    from engines.tuning.decoder_tuning import DecoderExample

MIN_OBJECTS = 30
"""Fewer right masks than these teach a decoder nothing that holds elsewhere; a hundred are better."""
MIN_STOP, MIN_TEST = 3, 5
"""Fewer right masks than these neither say when to stop nor can be told from chance by the gate."""
CLICKS = 2
"""Corrections of each mask that are learned, too: otherwise a tuned decoder is corrected worse than the old one."""
KEPT_POINTS = 2
"""Points of each picture whose old answers are kept."""
RATES = {"iou": 2e-4, "decoder": 3e-5}


@dataclass(frozen=True, slots=True, eq=False)
class _Division:
    """Holds pictures, none in two parts. test: by identity. learned: contents of those in `train` and `stop`."""

    train: list[LabelledPicture]
    stop: list[LabelledPicture]
    test: dict[PictureIdentity, list[LabelledPicture]]
    learned: frozenset[str]


def learn_decoder(
    reader: LookReader, part: Part, progress: ProgressReporter, go_on: Callable[[], bool]
) -> LearnedAdapter | None:
    """Learn from the right masks of a reader's pictures; None where it was stopped before the first epoch's end.

    Raises `LearningError` and `EngineError`.
    """
    try:
        from engines.tuning.decoder_tuning import TuningSettings, blend_weights, choose_share, tune_decoder
    except ImportError:
        raise LearningError('learning the decoder needs torch: pip install "gazecast[torch]"') from None
    encoder, decoder = reader.engine
    if not isinstance(encoder, SamEncoder):
        raise LearningError(f"the {encoder.info.backend} engine has no decoder that learns; choose openvino")
    parts = _divide(reader.pictures)
    fixations, settings = replace(reader.fixations, repeats=2), reader.config.engine
    # with the ranker that the adapter keeps, if there is one
    test = replace(fixations, repeats=BUNDLED_REPEATS, selection=reader.config.tracker.choice)
    reference, tested = _choose_reference(settings, parts.test, progress)

    def show(done: int, total: int) -> bool:
        progress.show_steps(done, total, "encoding")
        return go_on()

    arrays = read_arrays(weights.model_folder(settings.model, root=reader.config.models), settings.model)
    maker = _ExampleMaker(encoder, decoder, arrays)
    before = (
        _measure((encoder, decoder), tested, test, show)
        if reference == settings else _measure_apart(reader, reference, tested, test, progress, show)
    )  # fmt: skip
    train, stop = (maker.make_all(each, fixations, show) for each in (parts.train, parts.stop))
    others = maker.make_all(load_bundled_pictures(REHEARSED_FRAMES), replace(fixations, repeats=1), show)
    others = [each for each in others or () if not each.is_correction]  # these would hide what the gaze alone loses
    if before is None or train is None or stop is None or not others:
        return None

    def on_step(done: int, total: int) -> bool:
        progress.show_steps(done, total, f"learning the {part}")
        return go_on()

    tuned, epoch = tune_decoder(arrays, part, train, stop, TuningSettings(rate=RATES[part]), on_step)
    if not epoch:
        if not go_on():
            return None
        raise LearningError("nothing was learned: no epoch was better on the masks that were held out")
    if not (share := choose_share(arrays, part, tuned, stop, others)):
        raise LearningError("nothing was learned: what is gained on your masks is lost on the program's own pictures")
    progress.show_line(f"{share:.0%} of the new weights, {1 - share:.0%} of the old: more of the new forget others")
    tuned, is_complete = blend_weights(arrays, tuned, share), go_on()
    after = _measure_tuned(reader, part, tuned, tested, test, progress)
    verdict = judge(before.figures, after.figures, OWN)
    count = sum(not each.is_correction for each in (*train, *stop))
    info = describe_adapter(
        reader, part, verdict, answers={"corrected": count}, visits=len(parts.train) + len(parts.stop),
        groups=parts.learned,
    )  # fmt: skip
    changes = compare_masks(before.own, after.own)
    page = write_report(info, verdict, changes, measure_loop(reader.states), None)
    return LearnedAdapter(info, verdict, page, is_complete, tuned)


def _divide(pictures: Sequence[LabelledPicture]) -> _Division:
    """Divide pictures in a way that stays the same when more are added; raises `LearningError` for too few."""
    names = [PictureIdentity(hash_texts([each.load().tobytes()]), each.group) for each in pictures]
    parts: dict[Role, dict[PictureIdentity, list[LabelledPicture]]] = {"train": {}, "stop": {}, "test": {}}
    for name, role, picture in zip(names, assign_roles(names), pictures, strict=True):
        parts[role].setdefault(name, []).append(picture)
    train, stop, test = ([each for own in part.values() for each in own] for part in parts.values())
    tested, stopped, count = _count_masks(test), _count_masks(stop), _count_masks(pictures)
    if count < MIN_OBJECTS or tested < MIN_TEST or stopped < MIN_STOP:
        raise LearningError(
            f"there are {count} right masks in {len(set(names))} pictures, of which {tested} are kept apart for the "
            f"test and {stopped} to decide when to stop, and learning the decoder needs {MIN_OBJECTS} or more, "
            f"{MIN_TEST} and {MIN_STOP} of them for these: correct more in gazecast review, or add --coco FILE"
        )
    learned = {name.content for role in ("train", "stop") for name in parts[role]}
    return _Division(train, stop, parts["test"], frozenset(learned))


def _count_masks(pictures: Iterable[LabelledPicture]) -> int:
    return sum(1 for each in pictures for _ in each.read_objects())


def _choose_reference(
    settings: EngineSettings, test: Mapping[PictureIdentity, Sequence[LabelledPicture]], progress: ProgressReporter
) -> tuple[EngineSettings, list[LabelledPicture]]:
    """Choose what new weights are compared with, and pictures that neither of both has learned from.

    The adapter in use, on pictures that it has not learned from; the model without it, where too few of those are left.
    """
    every = [each for own in test.values() for each in own]
    if settings.adapter is None:
        return settings, every
    info = load_adapter(settings.adapter).weights
    fair = [each for name, own in test.items() if info is None or not has_learned(info, name) for each in own]
    if _count_masks(fair) < MIN_TEST:
        progress.show_line(
            f"{settings.adapter.name} learned from the masks that are kept apart for the test, so that new weights are "
            "compared with the model without it"
        )
        return replace(settings, adapter=None), every
    if len(fair) < len(every):
        progress.show_line(
            f"{len(every) - len(fair)} of {len(every)} pictures are left out of the test: {settings.adapter.name} "
            "learned from them"
        )
    return settings, fair


def _measure(
    engine: tuple[Encoder, Decoder], own: Sequence[LabelledPicture], fixations: PictureFixations,
    show: Callable[[int, int], bool],
) -> _Measurement | None:  # fmt: skip
    """Measure the choice by the settings' rule on the masks of an engine; None where it was stopped."""
    figures, found = {}, {}
    for name, pictures in ((OWN, own), (BUNDLED, load_bundled_pictures())):
        choices = choose_on_pictures(pictures, engine, fixations, show)
        if choices is None:
            return None
        # each mask is one answer, also where several are of one object
        looks = [replace(look, visit=look.choice.place) for look in label_pictures(pictures, choices, fixations)]
        # the first hypothesis is the rule's choice
        figures[name] = measure_choice(looks, [-np.arange(len(look.overlap), dtype=float) for look in looks])
        found[name] = looks
    return _Measurement(figures, found[OWN])


def _measure_apart(
    reader: LookReader, settings: EngineSettings, own: Sequence[LabelledPicture], fixations: PictureFixations,
    progress: ProgressReporter, show: Callable[[int, int], bool],
) -> _Measurement | None:  # fmt: skip
    """Measure an engine other than the reader's; None where it was stopped."""
    engine = open_engine(settings, reader.config.models, None, progress)
    try:
        return _measure(engine, own, fixations, show)
    finally:
        for each in engine:
            each.close()


def _measure_tuned(
    reader: LookReader, part: Part, tuned: Mapping[str, Floats], own: Sequence[LabelledPicture],
    fixations: PictureFixations, progress: ProgressReporter,
) -> _Measurement:  # fmt: skip
    """Measure a tuned decoder in an engine of its own, built from its adapter as a run does."""
    with tempfile.TemporaryDirectory(prefix="gazecast-learn-") as folder:
        file = Path(folder) / "tuned.adapter"
        save_adapter(file, AdapterInfo(part, reader.config.engine.model), tuned)
        settings = replace(reader.config.engine, adapter=file)
        found = _measure_apart(reader, settings, own, fixations, progress, lambda done, total: True)
        assert found is not None
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Measurement:
    """Holds figures by the name of the looks, and the own looks."""

    figures: dict[str, ChoiceFigures]
    own: list[LabelledLook]


@dataclass(frozen=True, slots=True)
class _ExampleMaker:
    """Makes examples with an engine. arrays: the weights of its model."""

    encoder: SamEncoder
    decoder: Decoder
    arrays: Mapping[str, Floats]

    def make_all(
        self, pictures: Sequence[LabelledPicture], fixations: PictureFixations, show: Callable[[int, int], bool]
    ) -> list[DecoderExample] | None:
        """Make examples of every object of some pictures; None where it was stopped."""
        examples: list[DecoderExample] = []
        for number, picture in enumerate(pictures):
            if not show(number, len(pictures)):
                return None
            image = picture.load()
            embedding, content = self.encoder.encode(image), hash_texts([image.tobytes()])
            rng, corrected = np.random.default_rng(int(content, 16)), set()
            for each, point, _ in list_fixations(picture, image.shape[1], fixations, content):
                kept = self.encoder.tokens(embedding.letterbox, _draw_prompts(image, rng))
                examples.append(self.make(embedding, Prompt.click(*point), each.mask, kept))
                if each.name not in corrected:
                    examples += self.make_corrections(embedding, point, each.mask)
                corrected.add(each.name)
        return examples

    def make(
        self, embedding: Embedding, prompt: Prompt, mask: Mask, kept: tuple[Floats, Floats] | None = None
    ) -> DecoderExample:
        """Make one example, of a correction where the prompt has a mask."""
        from engines.tuning.decoder_tuning import DecoderExample
        from engines.tuning.trainable_decoder import encode_mask_prompt

        keys, graph = self.encoder.keys(embedding), EncoderGraph.of(embedding.letterbox)
        is_correction = prompt.mask_logits is not None
        if prompt.mask_logits is not None:
            keys = keys + encode_mask_prompt(self.arrays, prompt.mask_logits, graph.tokens)
        tokens, absent = self.encoder.tokens(embedding.letterbox, [prompt])
        fitted = fit_mask(mask, embedding, graph)
        return DecoderExample(keys, graph.tokens, tokens[0], absent[0], fitted, kept, is_correction)

    def make_corrections(self, embedding: Embedding, point: tuple[float, float], truth: Mask) -> list[DecoderExample]:
        """Make examples of clicks into the largest error, each on the mask before, beginning with a gaze point."""
        (found,) = self.decoder.decode(embedding, [Prompt.click(*point)])
        logits, clicks, examples = found.logits[found.best_index], [], []
        for _ in range(CLICKS):
            mask = np.asarray(embedding.letterbox.logits_to_picture(logits) > 0)
            click = find_error_click(truth, mask)
            if click is None:
                break
            clicks.append(click)
            prompt = make_correction_prompt(clicks, None, point, logits)
            examples.append(self.make(embedding, prompt, truth))
            logits = self.decoder.decode(embedding, [prompt])[0].logits[0]
        return examples


def _draw_prompts(image: Image, rng: np.random.Generator) -> list[Prompt]:
    height, width = image.shape[:2]
    points = rng.uniform(0, 1, (KEPT_POINTS, 2)) * (width - 1, height - 1)
    return [Prompt.click(*point) for point in points.tolist()]


def fit_mask(mask: Mask, embedding: Embedding, graph: EncoderGraph) -> Mask:
    """Resample an (H, W) mask to the logits that cover the picture's tokens."""
    box = embedding.letterbox
    step = LOGITS_SIDE / box.side
    width, height = (max(1, round(side * step)) for side in box.content_size)
    fitted = np.zeros((4 * graph.tokens[0], 4 * graph.tokens[1]), np.bool_)
    small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    fitted[:height, :width] = small[: fitted.shape[0], : fitted.shape[1]] > 0.5
    return fitted
