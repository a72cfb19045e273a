"""Keeps the wearer's confirmation of the shown object, and confirms by dwell. Pure."""

from __future__ import annotations

from realtime.errors import CommandRejected
from realtime.types import Confirmation, ConfirmationMeans, MaskResult


class ObjectConfirmer:
    """Confirms the shown object, and ends that where it is lost or another one is shown. One thread.

    Confirmation by dwell is the selection technique of gaze interfaces (Jacob, What you look at is what you get, 1990);
    a confirmed object is not confirmed by dwell again until it was lost or left.

    confirmation: of the shown object; None without one.
    """

    def __init__(self, dwell_s: float = 0.0) -> None:
        """dwell_s: rest of the gaze on the shown object that confirms it; 0 for never."""
        self._dwell_s = dwell_s
        self._count = self._rest_ns = self._now_ns = self._since_ns = 0
        self._object: int | None = None
        self.confirmation: Confirmation | None = None

    def update(self, result: MaskResult | None, captured_ns: int, now_ns: int) -> Confirmation | None:
        """Follow the shown object to the next frame, and return its confirmation.

        captured_ns: of the frame. now_ns: host time.
        """
        elapsed_ns, self._now_ns = max(now_ns - self._now_ns, 0), now_ns
        shown = result.object if result is not None and result.state != "lost" else None
        if shown != self._object:
            self._object, self._since_ns = shown, captured_ns
            self.revoke()
        elif result is not None and result.state in ("preview", "locked") and result.prompt == "gaze":
            self._rest_ns += elapsed_ns
        is_due = 0 < self._dwell_s * 1e9 <= self._rest_ns
        if is_due and self._object is not None and self.confirmation is None:
            self._add("dwell", now_ns)
        return self.confirmation

    def confirm(self, by: ConfirmationMeans, now_ns: int, seen_ns: int | None = None) -> None:
        """Confirm the shown object, now or as seen in an earlier frame.

        seen_ns: capture of the frame in which the wearer confirms. Raises `CommandRejected` when the object was not on
        show in that frame yet: it may have been another one that was meant.
        """
        if seen_ns is not None and seen_ns < self._since_ns:
            raise CommandRejected(f"object {self._object} was not on show yet")
        self._add(by, now_ns if seen_ns is None else seen_ns)

    def revoke(self) -> None:
        """End the confirmation, as when the user chooses another mask; the dwell begins anew."""
        self.confirmation, self._rest_ns = None, 0

    def reset(self) -> None:
        """Forget the shown object; numbers go on."""
        self._object = None
        self.revoke()

    def _add(self, by: ConfirmationMeans, at_ns: int) -> None:
        self._count += 1
        self.confirmation = Confirmation(by, self._count, at_ns)
