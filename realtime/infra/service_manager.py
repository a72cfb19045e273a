"""Reports the state of the run to systemd by datagrams, see sd_notify(3). Does nothing where systemd does not ask."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class ServiceNotifier:
    """Sends states to the service manager that started this process, such as READY=1. From any thread.

    is_wanted: a manager listens. has_watchdog: it also restarts the process when WATCHDOG=1 is missing.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the NUL of an address that is no file.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.is_wanted = bool(address)
        is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.has_watchdog = self.is_wanted and is_ours and environment.get("WATCHDOG_USEC", "0").isdecimal()

    def notify(self, *states: str) -> bool:
        """Send states in one datagram; False where nobody listens or it was not accepted."""
        if not self.is_wanted:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(states).encode(), self._address)
        except OSError:  # a manager that is gone or busy ends no run
            return False
        return True
