"""Decides by the settings how each output of a run lets other programs in, and reports it."""

from __future__ import annotations

from collections.abc import Mapping

from realtime.comms.hosts import is_loopback
from realtime.comms.keys import KeyFolder
from realtime.comms.sockets.base import split_endpoint
from realtime.comms.sockets.curve import ServerAccess
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.access import AccessSettings, Output
from realtime.pipeline.observers import PipelineObserver
from realtime.session.view import RunView


def choose_access(settings: AccessSettings, output: Output, endpoint: str) -> ServerAccess:
    """Choose how a socket lets peers in: with keys beyond loopback, unless the settings say otherwise.

    Without a key of this machine the socket then refuses to bind. Raises `TransportError` for an invalid address,
    `AccessError` for a user without a folder for keys.
    """
    is_own = is_loopback(split_endpoint(endpoint, bind=True)[0])
    if is_own and not settings.loopback_keys:
        return ServerAccess(output=output)
    if output in settings.insecure:
        return ServerAccess(is_open=True, output=output)
    keys = KeyFolder(settings.keys)
    return ServerAccess(keys if is_own or keys.key_file.exists() else None, output=output)


def report_access(access: ServerAccess, endpoint: str, view: RunView) -> None:
    """Report in one line who may connect to an output, unless only this machine can reach it."""
    if access.is_open:
        view.progress.show_line(f"WARNING: {access.output} at {endpoint} is open to all who can connect (--insecure)")
    elif access.keys is not None:
        count = len(access.keys.read_clients())
        hint = "" if count else "; let one in with: gazecast keys allow KEY"
        view.progress.show_line(f"{access.output} at {endpoint} with keys: {count} may connect{hint}")


class AccessObserver(PipelineObserver):
    """An observer that counts the subscribers that were refused, for `health`."""

    name = "access"

    def __init__(self, socket: PublisherSocket) -> None:
        self._socket = socket

    def drop_counts(self) -> Mapping[str, int]:
        """Return the number of refused subscribers."""
        return {"publish.refused_peers": self._socket.refused_peers}
