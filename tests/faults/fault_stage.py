"""A device, the network in front of it and a run that uses both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults import engine_faults
from tests.faults.device import FaultyDevice
from tests.faults.observed_run import ObservedRun
from tests.faults.tcp_proxy import NetworkFault, TcpProxy
from tests.realtime.waiting import eventually

PROXY_HOST = "127.0.0.2"


class FaultStage:
    """Holds a device, the network in front of it and a run that uses both."""

    def __init__(self, device: FaultyDevice, run: ObservedRun, proxies: list[TcpProxy], folder: Path) -> None:
        self.device, self.run, self._proxies, self.folder = device, run, proxies, folder
        self.closers: list[Callable[[], None]] = []  # that end a fault

    def sent_ns(self) -> dict[float, int]:
        """Return the host time at which each frame was sent, by its timestamp."""
        return self.device.sent_ns.copy()  # the device goes on sending

    def set_engine(self, fault: str) -> None:
        """Set the fault of the engine; "" for none."""
        (self.folder / "fault").write_text(fault)

    def end_fault(self) -> None:
        """Call what the fault has left to be called."""
        while self.closers:
            self.closers.pop()()

    def set_network(self, fault: NetworkFault) -> None:
        """Set the fault of all connections between device and run."""
        for proxy in self._proxies:
            proxy.fault = fault

    def cut_network(self) -> None:
        """Close all connections between device and run."""
        for proxy in self._proxies:
            proxy.cut()

    def restart_device(self) -> None:
        """Open the device again at its address, with a network in front of its new feed."""
        self.device.restart()
        self._proxies.append(TcpProxy(PROXY_HOST, self.device.publish_port))

    def close_network(self) -> None:
        """Close the network."""
        for proxy in self._proxies:
            proxy.close()

    def is_healthy(self, since_ns: int) -> bool:
        """Return whether the newest health since then is `running`, and a mask of a frame sent since then arrived."""
        health = self.run.health(since_ns)
        return bool(health) and health[-1][1].state == "running" and self.find_fresh_mask(since_ns) is not None

    def find_fresh_mask(self, since_ns: int) -> int | None:
        """Find the arrival of the first mask, locked or preview, of a frame that was sent since a host time."""
        times = self.sent_ns()
        for each in self.run.arrivals:
            message = each.message
            if each.arrived_ns >= since_ns and hasattr(message, "mask") and message.mask is not None:
                sent_ns = times.get(message.frame.timestamp)
                if sent_ns is not None and sent_ns >= since_ns and message.state in ("locked", "preview"):
                    return each.arrived_ns
        return None


class CameraStage(FaultStage):
    """A stage whose frames come from a camera of the machine, and the gaze from the device."""

    def sent_ns(self) -> dict[float, int]:
        """Return the times of the frames that have masks: a camera's timestamps are host time."""
        return {mask.frame.timestamp: round(mask.frame.timestamp * 1e9) for mask in self.run.masks()}


@contextmanager
def open_camera_stage() -> Iterator[FaultStage]:
    """Start a device that sends gaze alone and a run with a camera, and wait until masks come."""
    device = FaultyDevice()
    device.sends_frames = False
    with TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        (folder / "fault").touch()
        flags, environment = (
            ["--gaze", f"pupil://127.0.0.1:{device.port}"],
            {engine_faults.FILE: str(folder / "fault")},
        )
        with ObservedRun("camera:0", flags, module="tests.faults.camera_fault", environment=environment) as run:
            yield from _use(CameraStage(device, run, [], folder))
    device.kill()


def _use(stage: FaultStage) -> Iterator[FaultStage]:
    run = stage.run
    try:
        eventually(lambda: stage.is_healthy(run.started_ns) or run.process.poll() is not None, "a healthy run")
        assert run.process.poll() is None, run.output
        yield stage
    finally:
        stage.set_engine("")
        stage.end_fault()
        stage.close_network()


@contextmanager
def open_stage() -> Iterator[FaultStage]:
    """Start a device and a run that records, and wait until masks come."""
    device = FaultyDevice()
    proxies = [TcpProxy(PROXY_HOST, port) for port in (device.port, device.publish_port)]
    with TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        (folder / "fault").touch()
        flags = ["--record", str(folder / "run.mcap")]
        environment = {engine_faults.FILE: str(folder / "fault")}
        with ObservedRun(
            f"pupil://{PROXY_HOST}:{device.port}", flags, module="tests.faults.engine_faults", environment=environment
        ) as run:
            yield from _use(FaultStage(device, run, proxies, folder))
    device.kill()
