"""Subscribers and viewers of a run, all in this process: python -m benchmarks.whole_program.peers --subscribers 50.

Prints a line of JSON once a second: for each subscriber and viewer how many masks came, of how many since its first,
and the ages in that second. An age is the time from a frame's capture to the arrival of its mask, one clock of the
machine for both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgpack
import zmq

SLOW_S = 0.2
"""A slow subscriber reads one message in this time."""
MAX_AGES = 2000
"""Kept between two lines of output."""


@dataclass
class Peer:
    """Counts what one subscriber or viewer received."""

    kind: str
    received: int = 0
    first_seq: int | None = None
    last_seq: int = 0
    unordered: int = 0
    ages_ms: list[float] = field(default_factory=list)

    def count(self, seq: int, captured_ns: float) -> None:
        """Count a mask or frame that arrived now."""
        if self.first_seq is None:
            self.first_seq = seq
        elif seq <= self.last_seq:
            self.unordered += 1
        self.received, self.last_seq = self.received + 1, seq
        if captured_ns and len(self.ages_ms) < MAX_AGES:
            self.ages_ms.append(round((time.monotonic_ns() - captured_ns) / 1e6, 1))

    def report(self) -> dict[str, Any]:
        """Return the counts since the start and the ages since the last report."""
        ages, self.ages_ms = self.ages_ms, []
        published = 0 if self.first_seq is None else self.last_seq - self.first_seq + 1
        fields = {"kind": self.kind, "received": self.received, "published": published}
        return {**fields, "unordered": self.unordered, "ages_ms": ages}


class MaskReaders:
    """Plain SUB sockets for `mask`, as programs in any language open them.

    "prompt" ones read at once, "slow" ones one message in `SLOW_S`, "deaf" ones never.
    """

    def __init__(self, endpoint: str, counts: dict[str, int]) -> None:
        self.peers = [Peer(kind) for kind, count in counts.items() for _ in range(count)]
        self._endpoint = endpoint
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        context, poller, slow = zmq.Context(io_threads=1), zmq.Poller(), []
        prompt = {}
        for peer in self.peers:
            socket = context.socket(zmq.SUB)
            socket.subscribe("mask\0")
            if peer.kind == "slow":  # as MaskSubscriber: the newest message only
                socket.set(zmq.CONFLATE, 1)
                slow.append((socket, peer))
            elif peer.kind == "deaf":
                socket.set(zmq.RCVHWM, 4)
            else:
                poller.register(socket, zmq.POLLIN)
                prompt[socket] = peer
            socket.connect(self._endpoint)
        due_s = time.monotonic()
        while True:
            for socket, _ in poller.poll(50):
                self._receive(socket, prompt[socket])
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + SLOW_S
                for socket, peer in slow:
                    self._receive(socket, peer)

    def _receive(self, socket: zmq.Socket[bytes], peer: Peer) -> None:
        while True:
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            fields = msgpack.unpackb(message.partition(b"\0")[2])
            peer.count(fields["seq"], fields["captured_ns"])


async def watch_page(session: aiohttp.ClientSession, address: str, peer: Peer) -> None:
    """Be a page that watches: receive frames with masks, and acknowledge each; connect again when disconnected."""
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            await receive_frames(session, address, peer)
        await asyncio.sleep(1)


async def receive_frames(session: aiohttp.ClientSession, address: str, peer: Peer) -> None:
    """Receive frames until the page is disconnected."""
    async with session.ws_connect(address + "ws", max_msg_size=0) as page:
        await page.send_json({"t": "view", "kind": "frames"})
        async for message in page:
            if message.type == aiohttp.WSMsgType.BINARY:
                (length,) = struct.unpack_from("<I", message.data)
                header = json.loads(message.data[4 : 4 + length])
                peer.count(header["seq"], header["frame"]["captured_ms"] * 1e6)
                await page.send_json({"t": "ack", "seq": header["seq"]})


async def watch(address: str, viewers: list[Peer], peers: list[Peer]) -> None:
    """Serve all viewers, and print all reports once a second."""
    async with aiohttp.ClientSession() as session:
        jobs = [asyncio.ensure_future(watch_page(session, address, peer)) for peer in viewers]
        while not any(job.done() for job in jobs):
            await asyncio.sleep(1)
            print(json.dumps([peer.report() for peer in peers]), flush=True)
        await asyncio.gather(*jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--page", default="", help="the live page's address")
    for kind in ("prompt", "slow", "deaf", "viewers"):
        parser.add_argument(f"--{kind}", type=int, default=0, help=f"number of {kind} subscribers"
                            if kind != "viewers" else "number of viewers")  # fmt: skip
    args = parser.parse_args()
    viewers = [Peer("viewer") for _ in range(args.viewers)]
    readers = MaskReaders(args.endpoint, {"prompt": args.prompt, "slow": args.slow, "deaf": args.deaf})
    asyncio.run(watch(args.page, viewers, [*readers.peers, *viewers]))


if __name__ == "__main__":
    main()
