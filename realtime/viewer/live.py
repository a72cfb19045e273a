"""The live page as a run sees it: what it puts in, what it gets out, one start and one close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from realtime.clock import now_ns
from realtime.controls import VERBS, Command, Commands, Verb
from realtime.latest import Latest
from realtime.pipeline import Shown
from realtime.sources.browser import BrowserFrames, BrowserGaze
from realtime.types import GazeSample
from realtime.viewer.desk import Desk
from realtime.viewer.hub import Hub
from realtime.viewer.messages import pack_text
from realtime.viewer.server import Server
from realtime.viewer.settings import ViewSettings
from realtime.viewer.snapshot import SnapshotError, save
from realtime.wire import HealthMessage


class LivePage:
    """Serves from `__init__` to `close`; everything that is put in returns at once."""

    def __init__(
        self,
        settings: ViewSettings,
        *,
        frames: BrowserFrames | None = None,
        gaze: BrowserGaze | None = None,
        stream: str = "gazecast",
        source: str = "",
        least_confidence: float = 0.5,
        clock: Callable[[], time.struct_time] = time.localtime,
    ) -> None:
        """Bind and serve; raises `ViewError`.

        frames, gaze: the sources that pages feed; None where they come from elsewhere. source: as it was named.
        least_confidence: of looks that are shown. clock: names snapshots.
        """
        self.commands = Commands()
        self._settings, self._clock = settings, clock
        self._hub = Hub(settings.jpeg_quality, now_ns, least_confidence=least_confidence)
        self._hello = {
            "stream": stream, "source": source, "page_frames": frames is not None, "page_gaze": gaze is not None,
            "can": [], "homography": list(settings.homography), "display_size": list(settings.display_size),
        }  # fmt: skip
        self._snapshots: Latest[Shown] = Latest()
        self._snapper = threading.Thread(target=self._snap, name="gazecast-snapshots", daemon=True)
        self._server = Server(settings, self._hub, Desk(frames, gaze, self.commands), self._hello)
        self._hub.start()
        self._snapper.start()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return self._server.address

    def put(self, shown: Shown) -> None:
        """Show a frame with its mask."""
        self._hub.put(shown)

    def look(self, sample: GazeSample) -> None:
        """Show a look of the eyes."""
        self._hub.look(sample)

    def health(self, health: HealthMessage) -> None:
        """Show how it is."""
        said = {key: health.fields()[key] for key in ("state", "reason", "rates", "latency_ms", "dropped")}
        engine = {key: health.engine.get(key, "") for key in ("backend", "model", "precision")}
        self._server.health(pack_text("health", **said, memory_mib=health.memory_mib, engine=engine))

    def allow(self, verbs: Collection[Verb]) -> None:
        """Let pages offer the buttons of these verbs."""
        self._hello["can"] = [verb for verb in VERBS if verb in verbs]
        self._server.tell_all(pack_text("can", can=self._hello["can"]))

    def notice(self, text: str) -> None:
        """Tell every page a short text."""
        self._server.tell_all(pack_text("notice", text=text))

    def recording(self, on: bool) -> None:
        """Tell every page whether what happens is being recorded."""
        self._hello["recording"] = on
        self._server.tell_all(pack_text("recording", on=on))

    def obey(self, command: Command, shown: Shown) -> None:
        """Do what is the page's own to do with the frame that a command came to."""
        if command.verb == "snapshot":
            self._snapshots.put(shown)

    def dropped(self) -> dict[str, int]:
        """What viewers missed and what was refused of them, for `health`."""
        counts = {**self._hub.counts(), **self._server.counts(), "commands lost": self.commands.lost}
        return {f"view.{name}": count for name, count in counts.items() if count}

    def close(self) -> None:
        """Send everybody off and free the port, within a second."""
        self._snapshots.close()
        self._server.close()
        self._hub.stop()
        self._snapper.join(0.9)

    def _snap(self) -> None:
        while (shown := self._snapshots.take()) is not None:
            try:
                left = save(shown, self._settings.snapshots, time.strftime("%Y%m%d-%H%M%S", self._clock()))
                self.notice(f"saved {left[0].with_suffix('')}-*.png")
            except SnapshotError as error:
                self.notice(str(error))
