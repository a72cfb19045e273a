"""What a service manager learns of a run."""

from realtime.comms.messages import HealthMessage
from realtime.session.service_observer import ServiceObserver


class Notifier:
    """Collects the states of each report."""

    def __init__(self):
        self.sent = []

    def notify(self, *states):
        self.sent.append(states)
        return True


def report(*healths):
    notifier = Notifier()
    observer = ServiceObserver(notifier)
    for state, reason, hung in healths:
        observer.on_health(HealthMessage(state, reason, {}, {}, {}, 1.0, {}, hung=hung))
    return notifier.sent


def test_ready_is_reported_once_when_masks_can_be_published():
    sent = report(("starting", "", ()), ("preparing", "", ()), ("degraded", "gaze: none yet", ()), ("running", "", ()))
    assert [("READY=1" in states) for states in sent] == [False, False, True, False]
    assert [any("EXTEND_TIMEOUT_USEC" in state for state in states) for states in sent] == [True, True, False, False]
    assert sent[2][0] == "STATUS=degraded: gaze: none yet"


def test_the_watchdog_is_fed_unless_a_thread_hangs():
    sent = report(("running", "", ()), ("degraded", "encode: ...", ("encode",)), ("degraded", "gaze: stopped", ()))
    assert [("WATCHDOG=1" in states) for states in sent] == [True, False, True]


def test_the_stop_is_reported():
    assert "STOPPING=1" in report(("stopping", "", ()))[0]
