"""Serves frames and gaze by the code of a Pupil checkout, without its windows and cameras.

Run as a script, with a Python that has what Pupil's network code imports (pyzmq, msgpack, zeromq-pyre, numpy):

    python pupil_checkout.py CHECKOUT FORMATS

FORMATS are those that the camera has, such as `bgr,gray` for a video file in Pupil Capture. It prints the port of Pupil
Remote. Pupil's own code are the plugin Network API with Pupil Remote and the Frame Publisher, and its messages; ours
are the launcher's sockets, the loop of the world process, pictures and gaze. Names of windows and drawing libraries
that are not installed are replaced by empty modules.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import socket
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

GRAPHICS = ("pyglui", "glfw", "OpenGL", "gl_utils", "cysignals", "ndsi", "uvc", "sounddevice")
WIDTH, HEIGHT = 64, 48


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module without contents for each name of `GRAPHICS` that is not installed; asked last."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in GRAPHICS:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: type(name, (), {})  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def open_backbone(zmq: Any, context: Any) -> dict[str, str]:
    """Open the launcher's sockets: a proxy from publishers to subscribers, and one where messages are pushed."""
    incoming, outgoing, pushed = (context.socket(kind) for kind in (zmq.XSUB, zmq.XPUB, zmq.PULL))
    urls = {}
    for name, opened in (("ipc_pub_url", incoming), ("ipc_sub_url", outgoing), ("ipc_push_url", pushed)):
        urls[name] = f"tcp://127.0.0.1:{opened.bind_to_random_port('tcp://127.0.0.1')}"
    bridge = context.socket(zmq.PUB)
    bridge.connect(urls["ipc_pub_url"])

    def pass_on() -> None:
        while True:
            bridge.send_multipart(pushed.recv_multipart())

    threading.Thread(target=zmq.proxy, args=(incoming, outgoing), daemon=True).start()
    threading.Thread(target=pass_on, daemon=True).start()
    return urls


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_frame(index: int, timestamp: float, formats: list[str]) -> SimpleNamespace:
    """Make a frame as a capture backend gives it, with the buffers that its camera has."""
    import numpy as np

    image = np.full((HEIGHT, WIDTH, 3), (10, 20, 200), np.uint8)
    buffers = {"bgr": image, "gray": np.ascontiguousarray(image[..., 2])}
    frame = SimpleNamespace(width=WIDTH, height=HEIGHT, index=index, timestamp=timestamp)
    for name in formats:
        setattr(frame, name, buffers[name])
    return frame


def main(checkout: str, formats: list[str]) -> None:
    modules = Path(checkout) / "pupil_src" / "shared_modules"
    if not (modules / "network_api").is_dir():
        sys.exit(f"{modules} has no network_api; expected a checkout of github.com/pupil-labs/pupil, version 3")
    sys.path.insert(0, str(modules))
    sys.meta_path.append(EmptyModules())
    import zmq
    import zmq_tools
    from network_api import NetworkApiPlugin

    context = zmq.Context()
    port = find_free_port()
    urls = open_backbone(zmq, context)
    pool = SimpleNamespace(
        app="capture", process="world", zmq_ctx=context, preferred_remote_port=port, version="3.6.7",
        timebase=SimpleNamespace(value=0.0), get_now=time.monotonic, get_timestamp=time.monotonic, **urls,
    )  # fmt: skip
    pool.ipc_pub = zmq_tools.Msg_Dispatcher(context, pool.ipc_push_url)
    notifications = zmq_tools.Msg_Receiver(context, pool.ipc_sub_url, topics=("notify.",))
    plugin = NetworkApiPlugin(pool, host="127.0.0.1", format="jpeg")
    wants_topic = (
        len(inspect.signature(pool.ipc_pub.send).parameters) > 1
        and "deprecated" not in inspect.signature(pool.ipc_pub.send).parameters
    )

    def send(message: dict[str, Any]) -> None:
        pool.ipc_pub.send(*([message["topic"]] if wants_topic else []), message)

    print(port, flush=True)
    index = 0
    while True:
        while notifications.new_data:
            plugin.on_notify(notifications.recv()[1])
        events: dict[str, Any] = {"frame": make_frame(index, time.monotonic(), formats)}
        plugin.recent_events(events)
        for message in events.get("frame.world", []):
            send(message)
        now = time.monotonic()
        send({"topic": "gaze.2d.01.", "norm_pos": (0.25, 0.25), "confidence": 0.9, "timestamp": now, "base_data": []})
        index += 1
        time.sleep(1 / 30)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","))
