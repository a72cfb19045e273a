"""Learns a ranker, judges it by the gate, and writes adapter and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from engines import Floats
from realtime.commands.learn.look_reader import REHEARSED_FRAMES, LookReader
from realtime.correction.loop_metrics import measure_loop
from realtime.errors import LearningError
from realtime.infra.progress import ProgressReporter
from realtime.learning.adapter import AdapterInfo, Part, get_ranker, load_adapter
from realtime.learning.gate import MIN_LOOKS, GateVerdict, judge, measure_choice, score_looks
from realtime.learning.looks import LabelledLook
from realtime.learning.ranker_training import (
    TrainingSettings,
    calibrate_ranker,
    cross_validate,
    divide_looks,
)
from realtime.learning.report import find_changes, write_report
from realtime.tracking.candidate_ranker import CandidateRanker, Matrix
from realtime.tracking.mask_selection import make_ranker

OWN, BUNDLED = "your own looks", "the program's own pictures"


@dataclass(frozen=True, slots=True, eq=False)
class LearnedAdapter:
    """Holds what was learned with the verdict on it.

    report: the page. is_complete: False where the training was stopped early. arrays: changed weights by name.
    """

    info: AdapterInfo
    verdict: GateVerdict
    report: str
    is_complete: bool
    arrays: Mapping[str, Floats] = field(default_factory=dict, repr=False)


def learn_ranker(
    reader: LookReader, old: Path | None, progress: ProgressReporter, go_on: Callable[[], bool]
) -> LearnedAdapter | None:
    """Learn from the looks of a reader; None where it was stopped before anything could be tested.

    old: an adapter that is in use, which the new one must not fall behind either. Raises `LearningError`.
    """
    looks = reader.looks
    check_looks(looks)
    start = make_ranker(reader.fixations.selection)
    bundled, others = reader.read_bundled(), reader.read_bundled(REHEARSED_FRAMES)

    def on_step(done: int, total: int) -> bool:
        progress.show_steps(done, total, "learning the ranker")
        return go_on()

    training = cross_validate(looks, start, TrainingSettings(), on_step, others)
    if training is None:
        return None
    progress.show_line(f"{training.share:.0%} of what was learned is taken: others keep that")
    ranker = calibrate_ranker(training.ranker, looks, training.unseen)
    reference = load_adapter(old).ranker if old is not None else None
    before, keep = _score_before(looks, start, reference, progress)
    tested = [looks[k] for k in keep]
    unseen = [training.unseen[k] for k in keep]
    in_force = get_ranker(reference) if reference is not None else start
    verdict = judge(
        {OWN: measure_choice(tested, before), BUNDLED: measure_choice(bundled, score_looks(bundled, in_force))},
        {OWN: measure_choice(tested, unseen), BUNDLED: measure_choice(bundled, score_looks(bundled, ranker))},
        OWN,
    )
    info = describe_adapter(
        reader, "ranker", verdict, answers=Counter(look.answer for look in looks),
        visits=len({look.visit for look in looks}), groups=(look.group for look in looks), ranker=ranker.to_text(),
    )  # fmt: skip
    changes = find_changes(tested, before, unseen)
    page = write_report(info, verdict, changes, measure_loop(reader.states), (start, ranker))
    return LearnedAdapter(info, verdict, page, training.is_complete)


def check_looks(looks: Sequence[LabelledLook]) -> None:
    """Raise `LearningError` where there are too few looks to learn from and to test with."""
    visits, groups = {look.visit for look in looks}, {look.visit.partition("/")[0] for look in looks}
    if len(visits) < MIN_LOOKS or int(divide_looks(looks).max()) < 2:
        raise LearningError(
            f"there are answers about {len(visits)} objects of {len(groups)} recordings or pictures, and learning "
            f"needs {MIN_LOOKS} or more: keep, drop or correct more in gazecast review, or add --coco FILE"
        )


def _score_before(
    looks: Sequence[LabelledLook], rule: CandidateRanker, old: AdapterInfo | None, progress: ProgressReporter
) -> tuple[list[Matrix], list[int]]:
    """Score looks by what is in force, and list those that it may be compared on: not those that it learned from."""
    if old is not None:
        keep = [k for k, look in enumerate(looks) if look.group not in old.groups]
        if len({looks[k].visit for k in keep}) >= MIN_LOOKS:
            return score_looks([looks[k] for k in keep], get_ranker(old)), keep
        progress.show_line(
            "the ranker in use learned from these looks itself, so that they are compared with the rule before it"
        )
    return score_looks(looks, rule), list(range(len(looks)))


def describe_adapter(
    reader: LookReader, part: Part, verdict: GateVerdict, *, answers: Mapping[str, int], visits: int,
    groups: Iterable[str], ranker: str = "",
) -> AdapterInfo:  # fmt: skip
    """Describe what was learned from the sources of a reader."""
    return AdapterInfo(
        part, reader.config.engine.model, datetime.now(UTC).isoformat(timespec="seconds"),
        f"gazecast {version('gazecast')}", looks=sum(answers.values()), visits=visits, answers=answers,
        sources=reader.sources, groups=tuple(sorted(set(groups))), figures=verdict.to_fields(), ranker=ranker,
    )  # fmt: skip
