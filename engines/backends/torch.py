"""Runs graphs by torch: on the CPU for comparison, on a CUDA GPU in float16 with CUDA graphs.

On the CPU the nodes run one by one, exactly and slowly. On a GPU every graph is captured once at its fixed shape and
replayed, because at batch size 1 a launch costs more than a kernel. The CUDA path was written without a GPU and has not
yet run on one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import EngineUnavailable, Floats, Image
from engines.graph_store import GraphStore
from engines.graphs import DecoderGraph, EncoderGraph
from engines.sam import DecoderRun, EncoderRun, SamDecoder, SamEncoder, open_sam, open_store
from engines.settings import EngineSettings, Report

try:
    import torch

    from engines.backends.torch_graph import TorchGraph
except ImportError as error:
    raise EngineUnavailable("torch is not installed; pip install 'gazecast[torch]'") from error


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[SamEncoder, SamDecoder]:
    """See `engines.load`."""
    store = open_store(settings, weights, report)
    cuda = torch.cuda.is_available()
    known = ("f32", "f16") if cuda else ("f32", "bf16")
    if settings.precision not in ("auto", *known):
        where = "on a CUDA GPU" if cuda else "on this CPU"
        raise EngineUnavailable(f"the torch engine runs in {' or '.join(known)} {where}, not {settings.precision}")
    precision = settings.precision if settings.precision != "auto" else "f16" if cuda else "f32"
    return open_sam(
        settings, store, (CudaRuntime if cuda else TorchRuntime)(store, settings, precision),
        precision=precision, device=torch.cuda.get_device_name() if cuda else "CPU",
        versions={"torch": str(torch.__version__)}, frame_size=frame_size, on_gpu=cuda,
    )  # fmt: skip


class TorchRuntime:
    """Runs graphs on the CPU."""

    accepts_frames = False

    def __init__(self, store: GraphStore, settings: EngineSettings, precision: str) -> None:
        self._store, self._settings, self._reduced = store, settings, precision != "f32"

    def _runner(self, graph: EncoderGraph | DecoderGraph, threads: int) -> Callable[..., Any]:
        net = TorchGraph(self._store.onnx_model(graph))

        def run(*inputs: Any) -> Any:
            # OpenMP keeps the count per calling thread, so encoder and decoder do not affect each other.
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._reduced):
                return net(*inputs)

        return run

    def encoder(self, graph: EncoderGraph) -> EncoderRun:
        """See `EngineRuntime.encoder`."""
        run = self._runner(graph, self._settings.encoder_threads)

        def encode(image: Image) -> tuple[tuple[Any, ...], int]:
            outputs = tuple(output.float() for output in run(torch.from_numpy(image)))
            return outputs, sum(output.nbytes for output in outputs)

        return encode

    def decoder(self, graph: DecoderGraph) -> DecoderRun:
        """See `EngineRuntime.decoder`."""
        run = self._runner(graph, self._settings.decoder_threads)

        def decode(prepared: tuple[Any, ...], inputs: Sequence[Floats]) -> tuple[Floats, Floats]:
            logits, scores = run(*prepared[: graph.image_inputs], *(torch.from_numpy(value) for value in inputs))
            return logits.float().cpu().numpy(), scores.float().cpu().numpy()

        return decode

    def array(self, tensor: Any) -> Floats:
        """See `EngineRuntime.array`."""
        return np.array(tensor.cpu(), np.float32)

    def split(self, prepared: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """See `BatchRuntime.split`; the parts share the batch's memory."""
        return list(zip(*(tensor.unbind() for tensor in prepared), strict=True))

    def stack(self, prepared: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        """See `BatchRuntime.stack`."""
        return tuple(torch.stack(parts) for parts in zip(*prepared, strict=True))


class CudaRuntime(TorchRuntime):
    """Captures graphs as CUDA graphs on the current device; tensors between encoder and decoder stay there.

    Autocast keeps LayerNorm and softmax in float32: the neck's activations reach 239, whose squares summed over the
    channels overflow float16.
    """

    def _runner(self, graph: EncoderGraph | DecoderGraph, threads: int) -> Callable[..., Any]:
        return _CapturedGraph(TorchGraph(self._store.onnx_model(graph)).cuda(), self._reduced)


class _CapturedGraph:
    """A module that runs as one CUDA graph on its own stream, overlapping encode and decode. One thread at a time."""

    def __init__(self, net: Any, half: bool) -> None:
        self._net, self._half = net, half
        self._stream = torch.cuda.Stream()
        self._graph: Any = None
        self._inputs: tuple[Any, ...] = ()
        self._outputs: tuple[Any, ...] = ()

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """Map tensors of any device to float32 tensors on this one, not overwritten by later calls."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            if self._graph is None:
                self._capture(inputs)
            for mine, given in zip(self._inputs, inputs, strict=True):
                mine.copy_(given, non_blocking=True)
            self._graph.replay()
            outputs = tuple(output.float().clone() for output in self._outputs)
        # The other thread's stream does not wait for this one: the outputs must be complete.
        self._stream.synchronize()
        return outputs

    def _capture(self, inputs: tuple[Any, ...]) -> None:
        """Run a few times, since libraries select kernels first, then capture one run on fixed memory."""
        self._inputs = tuple(given.to("cuda", copy=True) for given in inputs)
        with torch.autocast("cuda", torch.float16, enabled=self._half, cache_enabled=False):
            for _ in range(3):
                self._net(*self._inputs)
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # thread_local: the other thread may allocate or launch while this one captures.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                outputs = self._net(*self._inputs)
        self._outputs = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
        self._graph = graph
