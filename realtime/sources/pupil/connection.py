"""Connects to a Pupil-compatible device over ZeroMQ, through restarts, clock jumps and malformed messages.

A source has two threads: one asks the device's remote about once a second for its port and its time, the other
receives. Sources share nothing, so that decoding a JPEG never delays a gaze sample.
"""

from __future__ import annotations

import math
import threading
from contextlib import closing

from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, check_endpoint
from realtime.comms.sockets.pupil import PupilSubscription
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.errors import RequestTimeout, TransportError
from realtime.infra.clock import ClockMap, now_ns
from realtime.infra.threads import is_out_of_memory
from realtime.sources.base import ThreadedSource
from realtime.sources.pupil.messages import MAX_TIME_S, MalformedMessage
from realtime.types import OnEvent, SourceStatus

DEFAULT_PORT = 50020
CHECK_EVERY_S = 1.0
"""Period of the requests for port and time; a restart is detected within it."""
SILENCE_NS = 1_500_000_000
"""A device that answers is `waiting` after this time without a usable message."""
ASK_AFTER_NS = 2_000_000_000
INITIAL_PROBES = 5
FROZEN_NS = 300_000_000
"""A time that stays the same for longer, while messages come, stands still; both eyes may share one."""
MAX_AGE_NS = 10_000_000_000
"""Messages that are older by the device's own clock have times of another one."""
_USED = "the times of their arrival are used"
MAX_LAG_CHANGE_NS = 200_000_000
"""A larger change of a message's arrival minus its timestamp means that the device's clock may have been set."""


class PupilSource(ThreadedSource):
    """A base of sources that receive one topic of a device and map its clock to the host's. port: the remote's."""

    _hint = ""
    """What the user can do about a device that sends nothing of use."""

    def __init__(self, host: str, port: int, topic: str, queue: int) -> None:
        self._host = f"[{host}]" if ":" in host else host
        self._address = check_endpoint(f"tcp://{self._host}:{port}")
        self._topic, self._queue = topic, queue
        super().__init__(f"asking {self._address}")
        self._clock = ClockMap()
        self._feed_port: int | None = None
        self._good_ns = self._asked_ns = 0  # last usable message, last `_on_silence`
        self._connected_ns: int | None = None
        self._lag_ns: int | None = None
        self._flaw = self._flaw_detail = ""  # of the last messages, which could not be used
        self._timestamp, self._timestamp_ns = math.nan, 0  # the newest, and when it was new
        self._clock_doubt_ns = self._probed_ns = 0
        self._probes = 0
        self._wake = threading.Event()

    def _connect(self, on_event: OnEvent | None) -> None:
        self._start_threads(
            on_event, **{f"{self._topic} remote": self._poll_remote, f"{self._topic} feed": self._receive}
        )

    def _process(self, feed: PupilSubscription, parts: list[bytes]) -> None:
        """Process a message, and more from `feed` if needed; `MalformedMessage` is counted by its reason."""
        raise NotImplementedError

    def _rest(self) -> None:
        """Wait, where messages may come together: none waits now."""

    def _on_connect(self) -> None:
        """Prepare for a device that has just answered, or has another feed."""

    def _on_silence(self, remote: RequestSocket) -> None:
        """Ask a device that answers, but sends nothing of use, for messages; after `ASK_AFTER_NS` each time."""

    def stop(self) -> None:
        """Stop within a second."""
        self._stop.set()
        self._wake.set()
        super().stop()

    def status(self) -> SourceStatus:
        """Return state, counts and clock."""
        return self._monitor.status(self._clock.status(now_ns()))

    def _accept(self, timestamp: float, received_ns: int) -> int:
        """Set the state `running` for a usable message, and return its capture time on the host.

        That is the receive time before the first probe, and where the device's clock has been set back by much.
        """
        self._good_ns = received_ns
        self._flaw = self._flaw_detail = ""
        if timestamp != self._timestamp:
            self._timestamp, self._timestamp_ns = timestamp, received_ns
        if received_ns - self._timestamp_ns > FROZEN_NS:
            self._monitor.set_state("running", f"the times of {self._topic!r} stand still at {timestamp:g} s; {_USED}")
            return received_ns
        lag_ns = received_ns - round(timestamp * 1e9)
        if self._lag_ns is not None and abs(lag_ns - self._lag_ns) > MAX_LAG_CHANGE_NS:
            self._clock_doubt_ns = received_ns
            self._wake.set()
        self._lag_ns = lag_ns
        mapped_ns = self._clock.host_ns(timestamp)
        is_doubted = self._clock_doubt_ns >= self._probed_ns
        reason, captured_ns = "", received_ns
        if mapped_ns is not None and received_ns - mapped_ns <= MAX_AGE_NS:
            captured_ns = min(mapped_ns, received_ns)  # in doubt too: a message that a network held back is not new
        elif mapped_ns is not None and not is_doubted:
            late_s = (received_ns - mapped_ns) / 1e9
            reason = f"the times of {self._topic!r} are {late_s:.0f} s behind the device's clock; {_USED}"
        self._monitor.set_state("running", reason)
        return captured_ns

    def _poll_remote(self) -> None:
        pause_s = 0.1
        with closing(RequestSocket(self._address)) as remote:
            while not self._stop.is_set():
                try:
                    self._check_device(remote)
                    pause_s = 0.1
                except TransportError as error:
                    self._connected_ns, self._probes = None, 0
                    if now_ns() - self._good_ns > SILENCE_NS:
                        silent = f"no answer from {self._address}; start the device there"
                        reason = silent if isinstance(error, RequestTimeout) else str(error)
                        self._monitor.set_state("connecting", reason)
                    self._stop.wait(pause_s)
                    pause_s = min(2 * pause_s, 0.5)
                    continue
                self._wake.wait(CHECK_EVERY_S)
                self._wake.clear()
                self._stop.wait(0.05)  # limits the rate while doubts about the clock wake this thread

    def _check_device(self, remote: RequestSocket) -> None:
        """Request port and time, and report missing messages in the state."""
        reply = remote.request("SUB_PORT")
        if not (len(reply) < 6 and reply.isascii() and reply.isdigit() and 0 < int(reply) < 65536):
            self._monitor.set_state(
                "connecting", f"{self._address} answers SUB_PORT with {reply[:40]!r}; is it a Pupil device?"
            )
            return
        is_new = self._connected_ns is None or self._feed_port != int(reply)
        self._feed_port = int(reply)
        if is_new:
            self._on_connect()
        for _ in range(INITIAL_PROBES if self._probes < INITIAL_PROBES else 1):
            if self._stop.is_set():
                return
            self._probe(remote)
        now = now_ns()
        if self._connected_ns is None:
            self._connected_ns = now
        silent_ns = now - max(self._good_ns, self._connected_ns)
        if silent_ns > SILENCE_NS:
            self._monitor.set_state("waiting", self._describe_silence())
        if now - max(self._good_ns, self._connected_ns, self._asked_ns) > ASK_AFTER_NS:
            self._asked_ns = now
            self._on_silence(remote)

    def _describe_silence(self) -> str:
        """Explain why a device that answers gives nothing: the last flaw, and what can be done."""
        text = f"{self._address} answers, but sends no usable {self._topic!r} messages"
        if self._flaw:
            text += f": {self._flaw_detail}"
        return f"{text}; {self._hint}" if self._hint else text

    def _probe(self, remote: RequestSocket) -> None:
        sent_ns = now_ns()
        reply = remote.request("t")
        received_ns = now_ns()
        try:
            device_s = float(reply)
        except ValueError:
            device_s = math.nan
        if not abs(device_s) <= MAX_TIME_S:
            self._monitor.count_dropped("clock answer")
            return
        jumped = self._clock.add(sent_ns, device_s, received_ns)
        self._probed_ns = sent_ns
        self._probes = 1 if jumped else self._probes + 1
        if jumped:
            self._wake.set()

    def _receive(self) -> None:
        while not self._stop.is_set():
            port = self._feed_port
            if port is None:
                self._stop.wait(0.02)
                continue
            limits = {"queue": self._queue, "max_bytes": MAX_MESSAGE_BYTES}
            with closing(PupilSubscription(f"tcp://{self._host}:{port}", [self._topic], **limits)) as feed:
                self._receive_from(feed, port)

    def _receive_from(self, feed: PupilSubscription, port: int) -> None:
        """Process messages until the device's port changes."""
        refused = 0
        while not self._stop.is_set() and port == self._feed_port:
            try:
                parts = feed.receive(0)
                if parts is None:
                    self._rest()
                    parts = feed.receive(0.1)
                self._monitor.count_dropped("oversize", feed.refused - refused)
                refused = feed.refused
                if parts is not None:
                    self._process(feed, parts)
            except MalformedMessage as error:
                self._count_malformed(error)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._monitor.count_dropped("no memory")  # and keep the connection, as another one needs memory, too

    def _count_malformed(self, error: MalformedMessage) -> None:
        self._monitor.count_dropped(str(error))
        if str(error) != self._flaw:  # else the values of each message would make the reason another one
            self._flaw, self._flaw_detail = str(error), error.detail
