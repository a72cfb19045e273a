"""Runs plans in fixed memory on an encoder and a decoder stream, as captured CUDA graphs.

    frame (pinned) --upload--> [letterbox] --> encoder --> embedding in a slot on the device      encoder's stream
    prompts (pinned) --upload--> decoder, which reads a slot --> masks --download--> pinned        decoder's stream

An embedding never leaves the device. It is stored in a slot; there are two, so that one can be decoded while the next
is written, and a slot is overwritten only when its embedding is no longer referenced. All addresses are fixed, so each
pair of run and slot has its own CUDA graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import numpy as np

from engines.backends.tensorrt.device import CAPTURE_LOCK, CudaDevice, CudaStream, DeviceArray, MemoryBlock
from engines.backends.tensorrt.embedding_slots import EmbeddingPool, EmbeddingSlot, PreparedEmbedding
from engines.backends.tensorrt.execution import CudaGraphRun, EnginePlan
from engines.backends.tensorrt.library import TensorRtLibrary, make_logger
from engines.backends.tensorrt.plans import AnyGraph, PlanStore
from engines.base import Floats, Image, PromptError
from engines.graphs import DecoderGraph, EncoderGraph, LetterboxGraph

FRAME_SHAPES = 4
"""Shapes of frames whose letterboxes are kept."""


class TensorRtRuntime:
    """See `sam.EngineRuntime`."""

    accepts_frames = True

    def __init__(self, library: TensorRtLibrary, device: CudaDevice, plans: PlanStore) -> None:
        self._library, self.device, self._plans = library, device, plans
        self._log = make_logger(library.trt)
        with device.make_current():
            self._runtime = library.create("Runtime", self._log)
            self.encoding = device.create_stream(high_priority=False)
            self.decoding = device.create_stream(high_priority=True)

    def plan(self, graph: AnyGraph) -> EnginePlan:
        """Load a graph's plan, building it first if missing."""
        with self.device.make_current():
            return EnginePlan(self._library, self._runtime, self._log, self._plans.plan(graph), self.device)

    def encoder(self, graph: EncoderGraph) -> TensorRtEncoder:
        """See `sam.EngineRuntime.encoder`."""
        return TensorRtEncoder(self.device, self.encoding, self.plan(graph), self.plan)

    def decoder(self, graph: DecoderGraph) -> TensorRtDecoder:
        """See `sam.EngineRuntime.decoder`."""
        return TensorRtDecoder(self.device, self.decoding, self.plan(graph))

    def array(self, tensor: tuple[EmbeddingSlot, str]) -> Floats:
        """See `sam.EngineRuntime.array`; for comparisons, as it copies to the host."""
        slot, name = tensor
        described = slot.tensors[name]
        with self.device.make_current():
            host = self.device.allocate_pinned(described.shape, described.dtype)
            self.device.download(host, slot.blocks[name], self.decoding)
            self.decoding.synchronize()
        if described.dtype == np.uint16:  # bfloat16: the upper half of a float32
            return (host.astype(np.uint32) << 16).view(np.float32)
        return np.array(host, np.float32)


class TensorRtEncoder:
    """See `sam.EncoderRun`; takes whole frames, on the host or on the device, and resizes them on the device."""

    def __init__(
        self,
        device: CudaDevice,
        stream: CudaStream,
        plan: EnginePlan,
        letterbox: Callable[[LetterboxGraph], EnginePlan],
    ) -> None:
        self._device, self._stream, self._plan, self._letterbox = device, stream, plan, letterbox
        outputs = [tensor for tensor in plan.tensors.values() if not tensor.is_input]
        with device.make_current():
            self._content = device.allocate(plan.tensors["image"].nbytes)
            self._slots = EmbeddingPool(lambda: EmbeddingSlot(device, outputs))
        self._frames: dict[tuple[int, ...], _FrameUpload] = {}

    def __call__(self, image: Image) -> tuple[PreparedEmbedding, int]:
        """See `sam.EncoderRun`."""
        with self._device.make_current():
            frames = self._frames_of(tuple(image.shape))
            prepared = self._slots.acquire()
            frames.encode(image, prepared.slot)
        return prepared, prepared.slot.nbytes

    def _frames_of(self, shape: tuple[int, ...]) -> _FrameUpload:
        if shape not in self._frames:
            while len(self._frames) >= FRAME_SHAPES:
                del self._frames[next(iter(self._frames))]
            height, width = shape[:2]
            content = self._plan.tensors["image"].shape[:2]
            fits = content == (height, width)
            letterbox = None if fits else self._letterbox(LetterboxGraph(height, width, *content))
            self._frames[shape] = _FrameUpload(self._device, self._stream, self._plan, letterbox, self._content, shape)
        return self._frames[shape]


class _FrameUpload:
    """Encodes frames of one shape: holds the upload buffers, and the captured runs by slot and by origin."""

    def __init__(
        self, device: CudaDevice, stream: CudaStream, plan: EnginePlan, letterbox: EnginePlan | None,
        content: MemoryBlock, shape: tuple[int, ...],
    ) -> None:  # fmt: skip
        self._device, self._stream, self._plan, self._letterbox = device, stream, plan, letterbox
        self._content, self._shape = content, shape
        self._host = device.allocate_pinned(shape, np.uint8)
        self._frame = content if letterbox is None else device.allocate(int(np.prod(shape)))
        self._runs: dict[tuple[EmbeddingSlot, bool], CudaGraphRun] = {}

    def encode(self, image: Image, slot: EmbeddingSlot) -> None:
        """Upload or copy a frame and encode it into a slot."""
        on_device = hasattr(image, "__cuda_array_interface__")
        if on_device:
            self._copy_device_frame(DeviceArray.of(image))
        else:
            np.copyto(self._host, image)
        key = (slot, on_device)
        if key not in self._runs:
            plans = [self._plan] if self._letterbox is None else [self._letterbox, self._plan]
            self._runs[key] = CudaGraphRun(self._device, self._stream, self._work(slot, on_device), plans)
        self._runs[key]()

    def _copy_device_frame(self, given: DeviceArray) -> None:
        if given.shape != self._shape or given.typestr != "|u1":
            raise PromptError(f"a picture must be {self._shape} of |u1, got {given.shape} of {given.typestr}")
        if given.needs_sync:
            with CAPTURE_LOCK:
                self._device.synchronize()  # the owner may still be writing, on its own stream
        self._device.copy_from_device(self._frame, given.address, given.nbytes, self._stream)

    def _work(self, slot: EmbeddingSlot, on_device: bool) -> Callable[[], None]:
        addresses = {"image": self._content.address, **{name: block.address for name, block in slot.blocks.items()}}

        def work() -> None:
            if not on_device:
                self._device.upload(self._frame, self._host, self._stream)
            if self._letterbox is not None:
                places = {"frame": self._frame.address, "image": self._content.address}
                self._letterbox.run(places, self._stream)
            self._plan.run(addresses, self._stream)

        return work


class TensorRtDecoder:
    """See `sam.DecoderRun`."""

    def __init__(self, device: CudaDevice, stream: CudaStream, plan: EnginePlan) -> None:
        self._device, self._stream, self._plan = device, stream, plan
        tensors = plan.tensors.values()
        self._shared = [tensor.name for tensor in tensors if tensor.is_input and tensor.name in ("keys", "k", "q", "v")]
        given = [tensor for tensor in tensors if tensor.is_input and tensor.name not in self._shared]
        made = [tensor for tensor in tensors if not tensor.is_input]
        with device.make_current():
            self._blocks = {tensor.name: device.allocate(tensor.nbytes) for tensor in (*given, *made)}
            self._given = {tensor.name: device.allocate_pinned(tensor.shape, tensor.dtype) for tensor in given}
            self._made = {tensor.name: device.allocate_pinned(tensor.shape, tensor.dtype) for tensor in made}
        self._runs: weakref.WeakKeyDictionary[EmbeddingSlot, CudaGraphRun] = weakref.WeakKeyDictionary()

    def __call__(self, prepared: PreparedEmbedding, inputs: Sequence[Floats]) -> tuple[Floats, Floats]:
        """See `sam.DecoderRun`."""
        for host, value in zip(self._given.values(), inputs, strict=True):
            np.copyto(host, value)
        with self._device.make_current():
            slot = prepared.slot
            if slot not in self._runs:
                self._runs[slot] = CudaGraphRun(self._device, self._stream, self._work(slot), [self._plan])
            self._runs[slot]()
        return self._made["logits_out"].copy(), self._made["iou"].copy()

    def _work(self, slot: EmbeddingSlot) -> Callable[[], None]:
        # No reference to the slot: it must be collectable while its runs are kept.
        addresses = {name: block.address for name, block in self._blocks.items()}
        addresses |= {name: slot.blocks[name].address for name in self._shared}

        def work() -> None:
            for name, host in self._given.items():
                self._device.upload(self._blocks[name], host, self._stream)
            self._plan.run(addresses, self._stream)
            for name, host in self._made.items():
                self._device.download(host, self._blocks[name], self._stream)

        return work
