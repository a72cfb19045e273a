"""Decides which labelled pictures are never learned from: by what each one is, whatever else there is to learn from.

People learn again and again from more answers, and compare what is new with what is in use. A draw that hung on the
number of pictures would test today what was learned from yesterday; a hash of the picture does not. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from realtime.learning.adapter import AdapterInfo
from realtime.learning.looks import hash_texts

PARTS = 5
"""One part is tested, another decides when to stop, and the rest is learned from."""
MIN_RECORDINGS = 5
"""From so many on, one recording in five is tested as a whole, too."""
Role = Literal["test", "stop", "train"]


@dataclass(frozen=True, slots=True)
class PictureIdentity:
    """Names a picture. content: hash of its pixels. recording: hash of the recording that it is of; empty for none."""

    content: str
    recording: str = ""


def assign_roles(pictures: Sequence[PictureIdentity]) -> list[Role]:
    """Assign a role to each picture, in their order.

    What is tested stays so, whatever is added, and the same picture has one role under each name. Frames of one
    recording resemble each other; so, with `MIN_RECORDINGS` or more, some recordings are tested as a whole besides.
    Which pictures decide when to stop may change when there are more: nothing is compared on them later, and so a few
    pictures are enough for some to do it.
    """
    is_many = len({each.recording for each in pictures if each.recording}) >= MIN_RECORDINGS
    tested = [_is_tested(each, is_many) for each in pictures]
    known = {each.content for each, is_tested in zip(pictures, tested, strict=True) if not is_tested}
    ordered = sorted(known, key=lambda content: _hash("stop", content))
    count = max(round(len(ordered) / (PARTS - 1)), 1) if len(ordered) > 1 else 0
    stopping = set(ordered[:count])
    return [
        "test" if is_tested else "stop" if each.content in stopping else "train"
        for each, is_tested in zip(pictures, tested, strict=True)
    ]


def has_learned(adapter: AdapterInfo, picture: PictureIdentity) -> bool:
    """Return whether an adapter learned from a picture, or from its recording where it does not say from which part."""
    return picture.content in adapter.groups or (picture.recording != "" and picture.recording in adapter.groups)


def _is_tested(picture: PictureIdentity, is_many: bool) -> bool:
    if is_many and picture.recording and _hash("recording", picture.recording) % PARTS == 0:
        return True
    return _hash("picture", picture.content) % PARTS == 0


def _hash(kind: str, name: str) -> int:
    return int(hash_texts(["held out", kind, name]), 16)
