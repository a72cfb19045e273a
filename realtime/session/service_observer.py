"""Reports a run to the service manager: ready, state, and that its threads make progress."""

from __future__ import annotations

from realtime.comms.messages import HealthMessage
from realtime.infra.service_manager import ServiceNotifier
from realtime.pipeline.observers import PipelineObserver

START_EXTENSION_US = 60_000_000
"""How much longer the start may take after each report of `preparing`: weights may be on their way."""


class ServiceObserver(PipelineObserver):
    """An observer that reports every `health` to the service manager.

    READY=1 when the first mask can be published. WATCHDOG=1 while no thread hangs: a device that is silent or eyes that
    are closed are no reason to start the run again. Nothing is sent when the health thread itself hangs.
    """

    name = "service"

    def __init__(self, notifier: ServiceNotifier) -> None:
        self._notifier = notifier
        self._is_ready = False

    def on_health(self, health: HealthMessage) -> None:
        """Report one state."""
        reason = f": {health.reason}" if health.reason else ""
        states = [f"STATUS={health.state}{reason}"]
        if health.state == "stopping":
            states.append("STOPPING=1")
        elif health.state in ("starting", "preparing"):
            states.append(f"EXTEND_TIMEOUT_USEC={START_EXTENSION_US}")
        elif not self._is_ready:
            self._is_ready = True
            states.append("READY=1")
        if not health.hung:
            states.append("WATCHDOG=1")
        self._notifier.notify(*states)
