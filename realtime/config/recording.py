"""Defines the settings of recordings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Holds the settings of recordings.

    file: record from the start into this file, or into a new file in this folder if the path has no ending; unset to
        record on request.
    folder: folder of the recordings that are started from the page.
    frames: format, jpeg or png, of frames that did not arrive as JPEG. Frames that did are kept as they are; these and
        PNG are lossless, so that an exact replay gives the masks of the run itself. none records no pictures at all:
        times, gaze and masks only.
    jpeg_quality: JPEG quality of frames that did not arrive as JPEG, 1 to 100.
    overlays: keep published overlays too, which could be drawn again; only while a subscriber wants them.
    recipients: public keys (age1...) of those who may read the recordings, which are then encrypted; of
        `gazecast keys recording`, or of age-keygen.
    passphrase_file: file with a passphrase of at least 12 characters that recordings are encrypted with, too.
    """

    file: Path | None = None
    folder: Path = Path("recordings")
    frames: Literal["jpeg", "png", "none"] = "jpeg"
    jpeg_quality: int = 90
    overlays: bool = True
    recipients: tuple[str, ...] = ()
    passphrase_file: Path | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether recordings are encrypted."""
        return bool(self.recipients or self.passphrase_file)

    def __post_init__(self) -> None:
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be 1 to 100, got {self.jpeg_quality}")
