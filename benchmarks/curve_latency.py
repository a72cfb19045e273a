"""Measures what encryption costs a subscriber: `python -m benchmarks.curve_latency`.

The time from sending a message to its receipt, on loopback, with and without keys in turn, in one process.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from realtime.comms.keys import AllowedClient, ClientAccess, KeyFolder
from realtime.comms.sockets.curve import ServerAccess, make_key_pair
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.subscription import TopicSubscription

SIZES = {"a mask": 2_000, "an overlay": 100_000}
ROUNDS = 500


def open_pair(access: ServerAccess | None, client: ClientAccess | None) -> tuple[PublisherSocket, TopicSubscription]:
    publisher = PublisherSocket("tcp://127.0.0.1:0", access=access)
    subscription = TopicSubscription(publisher.endpoint, "mask", newest_only=False, access=client)
    while subscription.receive(0.02) is None:
        publisher.send("mask", b"")
    while subscription.receive(0.1) is not None:
        pass
    return publisher, subscription


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        keys, server, client = KeyFolder(Path(folder) / "keys"), make_key_pair(), make_key_pair()
        keys.write_own(server)
        keys.allow_client(AllowedClient(client.public))
        pairs = open_pair(None, None), open_pair(ServerAccess(keys), ClientAccess(server.public, client))
        for name, size in SIZES.items():
            taken_s: tuple[list[float], list[float]] = ([], [])
            for _ in range(ROUNDS):
                for (publisher, subscription), found in zip(pairs, taken_s, strict=True):
                    begun_s = time.perf_counter()
                    publisher.send("mask", bytes(size))
                    assert subscription.receive(10) is not None
                    found.append(time.perf_counter() - begun_s)
            plain, encrypted = (statistics.median(found) * 1e3 for found in taken_s)
            print(
                f"{name:16} {size:8} bytes: {plain:.3f} ms, with keys {encrypted:.3f} ms, {encrypted / plain:.2f} times"
            )
        for publisher, subscription in pairs:
            subscription.close()
            publisher.close()


if __name__ == "__main__":
    main()
