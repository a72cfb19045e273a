"""Decides which format of frames a Pupil device is asked for, with regard to its other clients. Pure."""

from __future__ import annotations

REQUESTED_FORMATS = ("jpeg", "bgr", "gray")
"""Not every camera has each; the next one is asked for while nothing comes that can be used."""
FORMAT_HINT = (
    f"{', '.join(REQUESTED_FORMATS)} are asked for in turn, or choose the format of the Frame Publisher in Pupil "
    "Capture (plugin Network API)"
)


class FormatRequests:
    """Chooses the next format to ask for; a device has one format for all its clients.

    Once a format was usable, only that one is asked for again, which changes nothing while a camera pauses; others
    follow after the device was connected anew, or when what comes is of no use.
    """

    def __init__(self) -> None:
        self._usable, self._may_change, self._count = "", True, 0

    def on_usable(self, frame_format: str) -> None:
        """Remember the format of a frame that could be used."""
        self._usable, self._may_change, self._count = frame_format, False, 0

    def on_unusable(self) -> None:
        """Allow another format: a frame came that is of no use."""
        self._may_change = True

    def on_connect(self) -> None:
        """Allow another format: the device may have another camera now."""
        self._may_change, self._count = True, 0

    def next_format(self) -> str:
        """Return the format to ask for now, the last usable one first."""
        formats = [self._usable] if self._usable else []
        if self._may_change:
            formats += [name for name in REQUESTED_FORMATS if name != self._usable]
        self._count += 1
        return formats[(self._count - 1) % len(formats)]
