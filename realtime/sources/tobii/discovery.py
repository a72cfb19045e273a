"""Finds Tobii Pro Glasses 3 in the network by multicast DNS."""

from __future__ import annotations

import threading
from contextlib import closing
from importlib.util import find_spec

SERVICE = "_tobii-g3api._tcp.local."
DISCOVERY_S = 2.0
_INFO_MS = 1000


class GlassesUnavailable(Exception):
    """The reason why no glasses can be chosen."""


def has_discovery() -> bool:
    """Whether the library for discovery is installed."""
    return find_spec("zeroconf") is not None


def find_glasses(stop: threading.Event) -> str:
    """Return the address of the only glasses; raises `GlassesUnavailable` for none, or with the names of several."""
    found = list_glasses(stop)
    if not found:
        raise GlassesUnavailable(
            "no Tobii Pro Glasses 3 found in this network; switch them on, or name them: tobii://HOST"
        )
    if len(found) > 1:
        places = ", ".join(f"tobii://{address} ({name})" for name, address in found.items())
        raise GlassesUnavailable(f"{len(found)} glasses found; name one of them: {places}")
    return next(iter(found.values()))


def list_glasses(stop: threading.Event) -> dict[str, str]:
    """Return the address of all glasses by their name, sorted; raises `GlassesUnavailable` outside a network."""
    from zeroconf import ServiceBrowser, ServiceListener, Zeroconf

    names: set[str] = set()

    class Names(ServiceListener):
        def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
            names.add(name)

        def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
            names.add(name)

        def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
            names.discard(name)

    found: dict[str, str] = {}
    try:
        with closing(Zeroconf()) as network:
            browser = ServiceBrowser(network, SERVICE, Names())
            stop.wait(DISCOVERY_S)
            browser.cancel()
            for name in sorted(names):
                info = None if stop.is_set() else network.get_service_info(SERVICE, name, _INFO_MS)
                if info is not None and (addresses := info.parsed_addresses()):
                    found[name.removesuffix(f".{SERVICE}")] = addresses[0]
    except OSError:
        raise GlassesUnavailable("this computer is in no network in which glasses could be found") from None
    return found
