"""Simulates wearers on one device, with the scheduler and the choice of picture sides that the program uses. Pure.

Time is simulated, randomness seeded. The device's engine is one encoder and one decoder, each serving one batch at a
time; what a wearer costs beside it, and the engine too where it runs on the CPU, shares the cores by weight (processor
sharing, at most one core for each thread).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engines.graphs import SHARED_BATCHES
from realtime.config.sharing import SharingSettings
from realtime.pipeline.side_control import MOVING_SPEED, PictureSideControl
from realtime.pipeline.track_worker import MAX_FRAMES_WAITED
from realtime.serving.batch_costs import BatchCosts
from realtime.serving.batch_scheduler import BatchScheduler, EngineRequest

WARM_UP_MS = 2000.0


@dataclass(frozen=True)
class MachineModel:
    """Holds the measured service times of one machine.

    encode_ms: of one picture, or of one megapixel as the encoder sees it where there are `sides` to choose from.
    decode_ms: of one prompt. frame_ms: CPU time of tracking a frame. source_ms: CPU time of receiving one, also
    of those that are not tracked. *_ratios: see `BatchCosts.ratios`.
    engine_on_cpu: whether the engine shares the cores; engine_in_python: the interpreter, too, as the fake one. slots:
    wearers that track at a time. python_cores: what all of them use together: one process holds one interpreter, which
    lets one thread at a time run Python.
    """

    name: str
    encode_ms: Sequence[float]
    decode_ms: Sequence[float]
    frame_ms: Sequence[float]
    cores: float
    engine_on_cpu: bool = True
    engine_in_python: bool = False
    encode_ratios: Mapping[int, float] = field(default_factory=dict)
    decode_ratios: Mapping[int, float] = field(default_factory=dict)
    sides: tuple[int, ...] = ()
    aspect: float = 9 / 16
    source_ms: float = 0.0
    slots: int = 2
    python_cores: float = 1.2


@dataclass(frozen=True)
class WearerModel:
    """Holds what one wearer asks for.

    decodes_per_frame, decodes_per_keyframe: requests to the decoder, means. speed: of the picture, as share of its
    longest side a frame, for the choice of picture sides.
    """

    fps: float
    decodes_per_frame: float
    decodes_per_keyframe: float
    speed: float = MOVING_SPEED


@dataclass
class SimulatedTimes:
    """Holds the outcome, in ms: of every mask, and by wearer."""

    frame_to_mask: list[float] = field(default_factory=list)
    keyframe_age: list[float] = field(default_factory=list)
    by_wearer: dict[int, list[float]] = field(default_factory=dict)
    keyframes: int = 0
    seconds: float = 0.0
    sides: list[int] = field(default_factory=list)


class SimulatedClock:
    """Runs callbacks at simulated times, and CPU work that shares cores."""

    def __init__(self, cores: float, python_cores: float = np.inf) -> None:
        """python_cores: cores that threads of one interpreter use together, see `MachineModel`."""
        self.now_ms = 0.0
        self._cores, self._python_cores = cores, python_cores
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._work: dict[int, tuple[float, Callable[[], None]]] = {}
        self._python: set[int] = set()
        self._left: dict[int, float] = {}
        self._rates: dict[int, float] = {}

    def at(self, at_ms: float, call: Callable[[], None]) -> None:
        """Call at a time."""
        heapq.heappush(self._events, (at_ms, next(self._order), call))

    def work(self, cpu_ms: float, weight: float, done: Callable[[], None], *, is_python: bool = False) -> None:
        """Call `done` when so much CPU time was spent; is_python: by a thread of the interpreter."""
        number = next(self._order)
        if is_python:
            self._python.add(number)
        self._work[number], self._left[number] = (weight, done), cpu_ms
        self._share()

    def run(self, until_ms: float) -> None:
        """Run until a time."""
        while True:
            ends = min(((self._left[each] / self._rates[each], each) for each in self._work), default=None)
            end_ms = np.inf if ends is None else self.now_ms + ends[0]
            event_ms = self._events[0][0] if self._events else np.inf
            if min(end_ms, event_ms) > until_ms:
                return
            passed_ms = max(0.0, min(end_ms, event_ms) - self.now_ms)
            for each in self._left:
                self._left[each] -= passed_ms * self._rates[each]
            self.now_ms += passed_ms
            if ends is not None and end_ms <= event_ms:
                _, done = self._work.pop(ends[1])
                del self._left[ends[1]]
                self._python.discard(ends[1])
                self._share()
                done()
            else:
                heapq.heappop(self._events)[2]()

    def _share(self) -> None:
        """Divide the cores by weight, at most one for each thread, and less for those of the interpreter."""
        left, free = dict(self._work), self._cores
        shared = min(1.0, self._python_cores / max(1, len(self._python)))
        most = {each: shared if each in self._python else 1.0 for each in left}
        self._rates = {}
        while left:
            unit = free / sum(weight for weight, _ in left.values())
            full = [each for each, (weight, _) in left.items() if weight * unit >= most[each]]
            if not full:
                self._rates.update({each: weight * unit for each, (weight, _) in left.items()})
                return
            for each in full:
                self._rates[each] = most[each]
                free -= most[each]
                del left[each]
            if free <= 1e-9:
                self._rates.update(dict.fromkeys(left, 1e-6))
                return


class SimulatedLane:
    """One part of the engine, as `EngineLane`, in simulated time."""

    def __init__(
        self, clock: SimulatedClock, draw: Callable[[EngineRequest], float], ratios: Mapping[int, float],
        wait_ms: float, settings: SharingSettings, weight: float | None, is_python: bool,
    ) -> None:  # fmt: skip
        """draw: the service time of a request alone. weight: on the cores; None for a device of its own."""
        self._is_python = is_python
        self._clock, self._draw, self._weight, self._ratios = clock, draw, weight, dict(ratios)
        self._costs = BatchCosts(settings.max_batch, ratios)
        self._scheduler = BatchScheduler(
            self._costs, wait_ns=round(wait_ms * 1e6), idle_delay_ns=round(settings.idle_delay_ms * 1e6)
        )
        self._done: dict[str, Callable[[], None]] = {}
        self._served_ns: dict[str, int] = {}
        self._is_busy = False

    def request(self, stream: str, shape: object, done: Callable[[], None]) -> None:
        """Ask for a service, after which `done` is called."""
        for size in SHARED_BATCHES[1:]:
            self._costs.set_ready(shape, size)
        self._done[stream] = done
        now_ns = round(self._clock.now_ms * 1e6)
        self._scheduler.add(
            EngineRequest(stream, now_ns, self._served_ns.get(stream), is_locked=True, shape=shape)  # type: ignore[arg-type]
        )
        self._serve()

    def _serve(self) -> None:
        if self._is_busy:
            return
        batch = self._scheduler.next_batch(round(self._clock.now_ms * 1e6))
        if not batch:
            if (wake_ns := self._scheduler.wake_ns()) is not None:
                self._clock.at(max(self._clock.now_ms, wake_ns / 1e6), self._serve)
            return
        self._is_busy = True
        ratio = float(np.prod([self._ratios[size] for size in SHARED_BATCHES[1:] if size <= len(batch)] or [1.0]))
        service_ms = sum(self._draw(request) for request in batch) * ratio
        if self._weight is None:
            self._clock.at(self._clock.now_ms + service_ms, lambda: self._finish(batch))
        else:
            self._clock.work(service_ms, self._weight, lambda: self._finish(batch), is_python=self._is_python)

    def _finish(self, batch: Sequence[EngineRequest]) -> None:
        self._is_busy = False
        for request in batch:
            self._served_ns[request.stream] = request.arrived_ns
        for request in batch:
            self._done.pop(request.stream)()
        self._serve()


class SimulatedSlots:
    """The slots of `WorkSlots`, in simulated time and in its order: start-time fair queueing."""

    def __init__(self, count: int, clock: SimulatedClock) -> None:
        self._free, self._clock = count, clock
        self._queue: list[tuple[float, int, int, Callable[[], None]]] = []  # a heap: tag, ticket, wearer, call
        self._tickets = itertools.count()
        self._virtual_ms = 0.0
        self._ended_ms: dict[int, float] = {}
        self._begun_ms: dict[int, float] = {}

    @property
    def has_waiting(self) -> bool:
        """Whether a wearer waits for a slot."""
        return bool(self._queue)

    def acquire(self, wearer: int, call: Callable[[], None]) -> None:
        """Call when there is a slot."""
        tag = max(self._virtual_ms, self._ended_ms.get(wearer, 0.0))
        heapq.heappush(self._queue, (tag, next(self._tickets), wearer, call))
        self._assign_free()

    def release(self, wearer: int) -> None:
        """Pass the slot on."""
        self._ended_ms[wearer] += self._clock.now_ms - self._begun_ms[wearer]
        self._free += 1
        self._assign_free()

    def _assign_free(self) -> None:
        while self._free and self._queue:
            self._free -= 1
            tag, _, wearer, call = heapq.heappop(self._queue)
            self._virtual_ms = max(self._virtual_ms, tag)
            self._ended_ms[wearer], self._begun_ms[wearer] = tag, self._clock.now_ms
            call()


class SimulatedWearer:
    """The loop of one wearer: frames arrive, are tracked and published; keyframes are encoded beside it."""

    def __init__(
        self, number: int, machine: MachineModel, model: WearerModel, clock: SimulatedClock,
        lanes: tuple[SimulatedLane, SimulatedLane], slots: SimulatedSlots, times: SimulatedTimes,
        rng: np.random.Generator, wearers: int,
    ) -> None:  # fmt: skip
        self._number, self._stream, self._machine, self._model = number, str(number), machine, model
        self._clock, (self._encoder, self._decoder), self._times, self._rng = clock, lanes, times, rng
        self._slots = slots
        self._newest: float | None = None
        self._to_encode: float | None = None
        self._keyframe: float | None = None
        self._new_keyframe: float | None = None
        self._is_tracking = self._is_encoding = False
        self._waited = 0
        self._side = None
        if machine.sides:
            known = float(np.median(machine.encode_ms)) * wearers
            self._side = PictureSideControl(machine.sides, machine.aspect, known)
        clock.at(float(rng.uniform(0, 1000 / model.fps)), self._receive)

    def _receive(self) -> None:
        """Receive a frame, and wait for the next."""
        at_ms = self._clock.now_ms
        self._clock.at(at_ms + 1000 / self._model.fps, self._receive)
        if self._machine.source_ms:
            self._clock.work(self._machine.source_ms, 1.0, lambda: self._take_frame(at_ms), is_python=True)
        else:
            self._take_frame(at_ms)

    def _take_frame(self, captured_ms: float) -> None:
        self._newest = captured_ms
        self._continue()

    def _continue(self) -> None:
        """Do what the track thread does next: a frame, or else a new keyframe's decode."""
        if not self._is_tracking and (self._new_keyframe is not None or self._newest is not None):
            self._is_tracking = True
            self._slots.acquire(self._number, self._step)

    def _step(self) -> None:
        has_new = self._new_keyframe is not None
        if has_new and (self._newest is None or self._waited >= MAX_FRAMES_WAITED or self._slots.has_waiting):
            self._decode(self._draw_count(self._model.decodes_per_keyframe), self._use_keyframe)
        elif self._newest is not None:
            self._waited += has_new
            frame, self._newest = self._newest, None
            cost = float(self._rng.choice(self._machine.frame_ms))
            self._clock.work(cost, 1.0, lambda: self._decode_frame(frame), is_python=True)

    def _decode_frame(self, frame: float) -> None:
        count = self._draw_count(self._model.decodes_per_frame) if self._keyframe is not None else 0
        self._decode(count, lambda: self._publish(frame))

    def _decode(self, count: int, then: Callable[[], None]) -> None:
        if not count:
            then()
            return
        self._decoder.request(self._stream, "prompt", lambda: self._decode(count - 1, then))

    def _use_keyframe(self) -> None:
        self._keyframe, self._new_keyframe, self._waited = self._new_keyframe, None, 0
        if self._newest is not None:
            self._step()  # with the same slot
        else:
            self._end_step()

    def _end_step(self) -> None:
        self._is_tracking = False
        self._slots.release(self._number)
        self._continue()

    def _publish(self, frame: float) -> None:
        if self._clock.now_ms > WARM_UP_MS and self._keyframe is not None:
            late = self._clock.now_ms - frame
            self._times.frame_to_mask.append(late)
            self._times.by_wearer.setdefault(self._number, []).append(late)
            self._times.keyframe_age.append(frame - self._keyframe)
        if self._side is not None:
            self._side.observe_frame(round(frame * 1e6), self._model.speed)
        self._to_encode = frame
        self._encode()
        self._end_step()

    def _encode(self) -> None:
        if self._is_encoding or self._to_encode is None:
            return
        self._is_encoding = True
        frame, self._to_encode, begun = self._to_encode, None, self._clock.now_ms
        side = self._side.side if self._side is not None else 0
        self._encoder.request(self._stream, side, lambda: self._end_encode(frame, side, begun))

    def _end_encode(self, frame: float, side: int, begun: float) -> None:
        self._is_encoding, self._new_keyframe = False, frame
        if self._side is not None:
            self._side.set_ready(side)
            for each in self._machine.sides:
                self._side.set_ready(each)
            self._side.observe_encode(side, self._clock.now_ms - begun)
            self._times.sides.append(side)
        if self._clock.now_ms > WARM_UP_MS:
            self._times.keyframes += 1
        self._encode()
        self._continue()

    def _draw_count(self, mean: float) -> int:
        return int(mean) + bool(self._rng.random() < mean % 1)


def simulate(
    machine: MachineModel, wearers: int, model: WearerModel, *, seconds: float = 10.0, seed: int = 0,
    settings: SharingSettings | None = None, first: tuple[MachineModel, WearerModel] | None = None,
) -> SimulatedTimes:  # fmt: skip
    """Simulate wearers on one machine; the first two seconds are not counted.

    first: the costs and the wishes of the first wearer, where they differ from the others'.
    Raises `ValueError` without a wearer, and without the times of the engine.
    """
    if wearers < 1:
        raise ValueError(f"a simulation has 1 wearer or more, got {wearers}")
    if not (machine.encode_ms and machine.decode_ms and machine.frame_ms):
        raise ValueError(f"{machine.name}: measure its times first, of encoding, decoding or tracking there are none")
    chosen, rng, times = settings or SharingSettings(), np.random.default_rng(seed), SimulatedTimes()
    clock = SimulatedClock(machine.cores, machine.python_cores)
    slots = SimulatedSlots(machine.slots, clock)

    def draw_encode(request: EngineRequest) -> float:
        cost = float(rng.choice(machine.encode_ms))
        side = request.shape
        return cost * side * side * machine.aspect / 1e6 if isinstance(side, int) and side else cost

    def draw_decode(request: EngineRequest) -> float:
        return float(rng.choice(machine.decode_ms))

    on_cpu = machine.engine_on_cpu
    lanes = (
        SimulatedLane(clock, draw_encode, machine.encode_ratios, chosen.encode_wait_ms, chosen,
                      1.0 if on_cpu else None, machine.engine_in_python),
        SimulatedLane(clock, draw_decode, machine.decode_ratios, chosen.decode_wait_ms, chosen,
                      1.0 if on_cpu else None, machine.engine_in_python),
    )  # fmt: skip
    for number in range(wearers):
        own = first if first is not None and number == 0 else (machine, model)
        SimulatedWearer(number, *own, clock, lanes, slots, times, rng, wearers)
    clock.run(WARM_UP_MS + seconds * 1000)
    times.seconds = seconds
    return times
