"""What a recording keeps and where. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How recordings are made.

    file: record from the start into this file, or into a new one of this folder, which is what has no ending; None to
        record when asked to.
    folder: where recordings go that are started from the page.
    frames: `jpeg` or `png` for pictures that did not come as JPEG; only those that did, and PNG, are recorded as they
        were seen, so that an exact replay gives the masks of the run itself.
    jpeg_quality: of pictures that did not come as JPEG, 1 to 100.
    overlays: keep published overlays too, which could be drawn again; there are some only where somebody subscribes.
    """

    file: Path | None = None
    folder: Path = Path("recordings")
    frames: Literal["jpeg", "png"] = "jpeg"
    jpeg_quality: int = 90
    overlays: bool = True

    def __post_init__(self) -> None:
        """Refuse a quality that JPEG does not have."""
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be 1 to 100, got {self.jpeg_quality}")
