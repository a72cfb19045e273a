"""Maps the clock of a connected page to the host's; called by one thread, without sockets."""

from __future__ import annotations

from collections.abc import Callable

from realtime.infra.clock import ClockMap
from realtime.viewer.page_messages import ClockSync, pack_text

CLOCK_PROBES = 8
"""Clock requests that follow one another at the start; later ones come at intervals."""


class PageClient:
    """A connected page with the mapping from its clock to the host's."""

    def __init__(self, send_text: Callable[[str], None]) -> None:
        """send_text: sends a packed message to the page, without waiting."""
        self.send_text = send_text
        self.clock = ClockMap()
        self._sent_ns: dict[int, int] = {}
        self._next = 0

    def request_clock(self, now_ns: int) -> None:
        """Ask the page for the time of its clock."""
        self._sent_ns = {n: sent_ns for n, sent_ns in self._sent_ns.items() if n > self._next - CLOCK_PROBES}
        self._sent_ns[self._next] = now_ns
        self.send_text(pack_text("sync", n=self._next))
        self._next += 1

    def on_clock(self, sync: ClockSync, now_ns: int) -> None:
        """Add the page's answer to the clock mapping, and send the offset back."""
        sent_ns = self._sent_ns.pop(sync.n, None)
        if sent_ns is None:
            return
        self.clock.add(sent_ns, sync.ms / 1e3, now_ns)
        host_ns = self.clock.host_ns(sync.ms / 1e3)
        if host_ns is not None:
            self.send_text(pack_text("clock", host_ms=round(host_ns / 1e6 - sync.ms, 3)))
        if self._next < CLOCK_PROBES:
            self.request_clock(now_ns)

    def captured_ns(self, ms: float, received_ns: int) -> int:
        """Map the page's `ms` to host time, not later than it was received."""
        mapped_ns = self.clock.host_ns(ms / 1e3)
        return received_ns if mapped_ns is None else min(mapped_ns, received_ns)
