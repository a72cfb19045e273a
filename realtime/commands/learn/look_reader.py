"""Reads the looks of recordings, data sets and the program's own pictures, and keeps what took long to compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from engines import Decoder, Encoder
from engines.graphs import GRAPH_VERSION
from engines.models.safetensors import hash_arrays
from engines.settings import default_cache_dir
from realtime.commands.demo.demo_clip import TABLE, load_table
from realtime.commands.replay import read_recorded_config
from realtime.config.schema import RunConfig
from realtime.correction.editor import load_answers
from realtime.correction.state import CorrectionState
from realtime.errors import LearningError
from realtime.infra.progress import ProgressReporter
from realtime.learning.coco_pictures import LabelledObject, LabelledPicture, read_coco
from realtime.learning.looks import FixationChoice, LabelledLook, hash_texts, load_choices, save_choices
from realtime.learning.picture_looks import PictureFixations, choose_on_pictures, label_pictures
from realtime.learning.recording_looks import (
    RecordingAnswers,
    ReplayedChoices,
    identify_recording,
    list_corrected_pictures,
)
from realtime.recording.reader import RecordingReader
from realtime.session.engine import open_engine, open_recognizer
from realtime.sources.video.video_reader import VideoFile
from realtime.tracking.candidate_ranker import VERSION

BUNDLED_FRAMES = (6, 14)
"""Of the second in which each object of the rendered table is fixated: two pictures of each."""
BUNDLED_REPEATS = 6
"""Gaze points of each: they cost a few prompts, and make the verdict less a matter of chance."""
REHEARSED_FRAMES = (2, 10)
"""Others, on which what is learned shall lose nothing before it is tested on those."""


class LearningStopped(Exception):
    """An interrupt while looks were read."""


@dataclass
class LookReader:
    """Reads looks, opening the engine only for what is not in the cache. One thread."""

    config: RunConfig
    progress: ProgressReporter
    go_on: Callable[[], bool]
    identity: Path | None = None
    looks: list[LabelledLook] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    states: list[CorrectionState] = field(default_factory=list)
    pictures: list[LabelledPicture] = field(default_factory=list)

    @cached_property
    def engine(self) -> tuple[Encoder, Decoder]:
        """The engine, which is opened on first use; raises `EngineError`."""
        return open_engine(self.config.engine, self.config.models, None, self.progress)

    def close(self) -> None:
        """Close the engine, if it was opened."""
        if "engine" in self.__dict__:
            for part in self.engine:
                part.close()

    @property
    def fixations(self) -> PictureFixations:
        """The fixations on labelled pictures, by the run's settings without a learned ranker."""
        tracker = self.config.tracker
        return PictureFixations(selection=replace(tracker.choice, ranker=""), prompter=tracker.prompter)

    def read_recording(self, file: Path) -> None:
        """Add the answered looks of a recording; raises `RecordingError`, `LearningError` or `LearningStopped`."""
        recording = RecordingReader(file, self.identity)
        recording.check_pictures("learned from")
        content = identify_recording(recording)
        if content in self.sources.values():
            self.progress.show_line(f"{file.name} is a recording that was named already, and is used once")
            return
        labels, corrections = load_answers(file)
        config = read_recorded_config(recording)
        make = partial(self._replay, recording, config)
        choices = self._read_cached([content, str(recording.span_ns), str(config.tracker)], make)
        found = list(RecordingAnswers(labels, corrections).label(choices))
        self._add(file, content, found)
        self.states.append(corrections)

    def read_coco(self, file: Path) -> None:
        """Add the looks of a data set; raises `LearningError` or `LearningStopped`."""
        pictures = read_coco(file)
        self._add(file, hash_texts([file.read_bytes()]), self._read_pictures(pictures, file.read_bytes(), file.name))

    def read_bundled(self, at_frames: tuple[int, ...] = BUNDLED_FRAMES) -> list[LabelledLook]:
        """Return looks at the objects of the rendered table; raises `LearningStopped`."""
        pictures, name = load_bundled_pictures(at_frames), "the program's own pictures"
        content = f"{at_frames}".encode() + TABLE.read_bytes()
        return self._read_pictures(pictures, content, name, BUNDLED_REPEATS)

    def read_corrected_pictures(self, file: Path) -> None:
        """Add the frames of a recording that were corrected, for learning the decoder; raises `RecordingError`."""
        recording = RecordingReader(file, self.identity)
        recording.check_pictures("learned from")
        content = identify_recording(recording)
        if content in self.sources.values():
            return
        _, corrections = load_answers(file)
        self.sources[file.name] = content
        self.states.append(corrections)
        self.pictures += list_corrected_pictures(recording, corrections, content)

    def read_labelled_pictures(self, file: Path) -> None:
        """Add the pictures of a data set, for learning the decoder; raises `LearningError`."""
        self.pictures += read_coco(file)
        self.sources[file.name] = hash_texts([file.read_bytes()])

    def _add(self, file: Path, content: str, looks: Sequence[LabelledLook]) -> None:
        seen = {look.choice.place for look in self.looks}
        fresh = [look for look in looks if look.choice.place not in seen]
        self.sources[file.name] = content
        self.looks += fresh
        self.progress.show_line(f"{file.name}: {len(fresh)} answered looks")

    def _read_pictures(
        self, pictures: Sequence[LabelledPicture], content: bytes, name: str, repeats: int = 1
    ) -> list[LabelledLook]:
        fixations = replace(self.fixations, repeats=repeats)

        def make() -> list[FixationChoice] | None:
            return choose_on_pictures(pictures, self.engine, fixations, partial(self._show, name))

        choices = self._read_cached([content, repr(fixations)], make)
        return list(label_pictures(pictures, choices, fixations))

    def _replay(self, recording: RecordingReader, config: RunConfig) -> list[FixationChoice] | None:
        size = next(recording.read_frames()).decode().size
        # with the decoder's weights in use: what is learned is for its candidates
        settings = replace(config.engine, adapter=self.config.engine.adapter)
        encoder, decoder = open_engine(settings, self.config.models, size, self.progress)
        try:
            open_objects = partial(open_recognizer, config.engine, self.config.models, self.progress)
            choices = ReplayedChoices(recording, (encoder, decoder), config.tracker, open_objects)
            start_ns, end_ns = (at - recording.about.wall_ns for at in recording.span_ns)

            def show(at_ns: int) -> bool:
                done = min(max(at_ns - start_ns, 0), end_ns - start_ns)
                return self._show(recording.path.name, done // 1_000_000, max((end_ns - start_ns) // 1_000_000, 1))

            return choices.collect(show)
        finally:
            encoder.close()
            decoder.close()

    def _read_cached(
        self, key: Sequence[str | bytes], make: Callable[[], list[FixationChoice] | None]
    ) -> list[FixationChoice]:
        engine = self.config.engine
        about = f"{engine.backend} {engine.model} {engine.precision} {engine.picture_side} {GRAPH_VERSION} {VERSION}"
        if engine.adapter is not None:
            about += f" {hash_arrays(engine.adapter)}"
        folder = (engine.cache_dir or default_cache_dir()).parent / "looks"
        file = folder / f"{hash_texts([about, *key])}.npz"
        choices = load_choices(file)
        if choices is None:
            choices = make()
            if choices is None:
                raise LearningStopped
            save_choices(file, choices)
        return choices

    def _show(self, name: str, done: int, total: int) -> bool:
        self.progress.show_steps(done, total, f"reading {name}")
        return self.go_on()


def load_bundled_pictures(at_frames: tuple[int, ...] = BUNDLED_FRAMES) -> list[LabelledPicture]:
    """Load pictures of the rendered table, one object each; raises `LearningError`."""
    _, targets = load_table()
    frames = [image for _, image in VideoFile(TABLE).frames()]
    found = []
    for target in targets:
        numbers = sorted(target.masks)
        if len(numbers) <= max(at_frames) or numbers[-1] >= len(frames):
            raise LearningError(f"{TABLE} does not fit its masks; install gazecast anew")
        for at in at_frames:
            labelled = LabelledObject(target.masks[numbers[at]], target.name)
            load, read = partial(frames.__getitem__, numbers[at]), partial(_list_one, labelled)
            found.append(LabelledPicture(f"{target.name} {at}", load, read, group=target.name))
    return found


def _list_one(labelled: LabelledObject) -> list[LabelledObject]:
    return [labelled]
