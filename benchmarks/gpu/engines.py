"""Measures the parts of `benchmarks.gpu`: networks in torch, opened engines, the acceptance check, and the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.gpu.report import GATE
from engines import Decoder, Encoder, EngineSettings, Image, Letterbox, ModelError, Prompt, weights
from engines.backends.torch_graph import TorchGraph
from engines.graph_store import GraphStore
from engines.graphs import DecoderGraph, EncoderGraph
from engines.reference import AREA, binarize, iou, probe_points
from engines.sam import SamDecoder, SamEncoder, open_sam

if TYPE_CHECKING:
    from benchmarks.gpu.run import GpuRun

ROOT = Path(__file__).parent.parent.parent
SQUARE = (1024, 1024)
FRAME = (1280, 720)
PROMPTS = (1, 4, 8)
FPS = (30, 60, 120)
EnginePair = tuple[SamEncoder, SamDecoder]


def open_store(run: GpuRun, folder: Path | None, root: Path) -> GraphStore:
    """Find installed weights. root: for engines, so that every run builds its own. Raises `ModelError` without any."""
    for place in (folder, _cached(), ROOT / ".weights"):
        if place is not None:
            try:
                store = GraphStore(place, "mobile_sam", root, lambda line: None)
            except ModelError:
                continue
            run.result["weights"] = "MobileSAM"
            return store
    raise ModelError("MobileSAM's weights are not here; give --weights FOLDER, or run gazecast models pull mobile_sam")


def _cached() -> Path | None:
    try:
        return weights.model_folder("mobile_sam")
    except ModelError:
        return None


# -- networks in torch ------------------------------------------------------------------------------------------------


def measure_parts(run: GpuRun, store: GraphStore) -> None:
    """Measure encoder and decoder in torch: plain, and recorded as CUDA graphs."""
    graphs = square_graphs()
    for work, graph in graphs.items():
        with run.part(f"torch, {work}"):
            net, inputs = _open_network(run, store, graph)
            run.add(work, "torch f32", run.device_ms(_call(run, net, inputs, half=False)))
            run.add(work, "torch f16", run.device_ms(_call(run, net, inputs, half=True)))
            if run.device == "cuda":
                run.add(work, "torch graph", run.device_ms(_recorded(net, inputs)))
            del net


def measure_compiled(run: GpuRun, store: GraphStore) -> None:
    """Measure both with torch.compile, last because compiling takes long."""
    for work, graph in square_graphs().items():
        with run.part(f"torch.compile, {work}"):
            net, inputs = _open_network(run, store, graph)
            net = torch.compile(net)
            run.add(work, "torch.compile", run.device_ms(_call(run, net, inputs, half=True)))
            run.add(work, "torch.compile graph", run.device_ms(_recorded(net, inputs)))


def _open_network(run: GpuRun, store: GraphStore, graph: EncoderGraph | DecoderGraph) -> tuple[Any, list[Any]]:
    """Open a graph in torch on the run's device, with inputs of zeros."""
    model = store.onnx_model(graph)
    shapes = {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in model.graph.input}
    inputs = [
        torch.zeros(shape, dtype=torch.uint8 if name == "image" else torch.float32, device=run.device)
        for name, shape in shapes.items()
    ]
    return TorchGraph(model).to(run.device), inputs


def square_graphs() -> dict[str, EncoderGraph | DecoderGraph]:
    """Measure the networks at the sizes of the roofline: the whole square, and so many prompts at once."""
    letterbox = Letterbox(*SQUARE)
    return {"encoder": EncoderGraph.of(letterbox)} | {
        f"decoder, {count} prompt{'s' * (count > 1)}": DecoderGraph.of(letterbox, count, 2, False) for count in PROMPTS
    }


def _call(run: GpuRun, net: Any, inputs: Sequence[Any], *, half: bool) -> Callable[[], Any]:
    reduced = torch.float16 if run.device == "cuda" else torch.bfloat16

    def call() -> Any:
        with torch.inference_mode(), torch.autocast(run.device, reduced, enabled=half):
            return net(*inputs)

    return call


def _recorded(net: Any, inputs: Sequence[Any]) -> Callable[[], Any]:
    """A CUDA graph of a network in float16, launched on the current stream."""
    side = torch.cuda.Stream()
    with torch.inference_mode(), torch.autocast("cuda", torch.float16, cache_enabled=False):
        with torch.cuda.stream(side):
            for _ in range(3):
                net(*inputs)
        side.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            kept = net(*inputs)

    def launch(kept: Any = kept) -> None:
        graph.replay()

    return launch


def measure_plans(run: GpuRun, store: GraphStore) -> None:
    """Measure TensorRT's plans alone, launched anew and recorded."""
    runtime: Any = None
    with run.part("TensorRT"):
        runtime = _tensorrt_runtime(run, store)
    for work, graph in square_graphs().items() if runtime is not None else ():
        with run.part(f"TensorRT, {work}"):
            _time_plan(run, runtime, work, graph)


def _time_plan(run: GpuRun, runtime: Any, work: str, graph: EncoderGraph | DecoderGraph) -> None:
    plan, device, stream = runtime.plan(graph), runtime.device, runtime.encoding
    blocks = {name: device.allocate(tensor.nbytes) for name, tensor in plan.tensors.items()}
    places = {name: block.address for name, block in blocks.items()}
    events = getattr(stream, "torch", None)  # pycuda's streams take none of torch's events
    if events is None:
        run.left_out(f"TensorRT, {work}: device events need torch's streams (GAZECAST_CUDA_MEMORY=torch)")
        return
    run.add(work, "tensorrt, no graph", run.device_ms(lambda: plan.run(places, stream), events))
    if plan.supports_capture(stream):
        run.add(work, "tensorrt", run.device_ms(device.capture_graph(stream, lambda: plan.run(places, stream)), events))
    else:
        run.left_out(f"TensorRT, {work}, recorded: its stream cannot be captured")
    stream.synchronize()


def measure_copies(run: GpuRun) -> None:
    """Measure the copies to and from the GPU for every frame and every decode."""
    with run.part("copies"):
        frame = torch.zeros(FRAME[1] * FRAME[0] * 3, dtype=torch.uint8).pin_memory()
        masks = torch.zeros(4 * 256 * 256, dtype=torch.float32).pin_memory()
        there = [value.cuda() for value in (frame, masks)]
        run.add("frame up, 1280x720", "copy", run.device_ms(lambda: there[0].copy_(frame, non_blocking=True)))
        run.add("four masks down", "copy", run.device_ms(lambda: masks.copy_(there[1], non_blocking=True)))


# -- engines as they are served ---------------------------------------------------------------------------------------


def measure_engines(run: GpuRun, store: GraphStore, pictures: Path | None) -> None:
    """Measure the acceptance check, latencies, memory and the whole pipeline, for every engine that runs here."""
    images = _pictures(run, pictures) if run.result["weights"] == "MobileSAM" else []
    if run.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for by, opener in _openers(run, store).items():
        with run.part(f"engine {by}"):
            encoder, decoder = opener(FRAME)
            if images:
                _gate(run, store, by, (encoder, decoder), images)
            _times(run, by, encoder, decoder)
            if run.device == "cuda":
                free, total = torch.cuda.mem_get_info()
                run.result["memory_mib"][f"{by}, torch's peak"] = torch.cuda.max_memory_allocated() / 2**20
                run.result["memory_mib"][f"{by}, device in use"] = (total - free) / 2**20
            encoder.close()
            decoder.close()
        for fps in FPS[:1] if run.device == "cpu" else FPS:
            with run.part(f"pipeline with {by} at {fps} fps"):
                try:
                    from benchmarks.gpu.pipeline_latency import measure_pipeline
                except ImportError as error:
                    raise RuntimeError(f"{error}; pip install zstandard msgpack opencv-python-headless") from error
                run.result["path"].append(measure_pipeline(opener(FRAME), by, fps, run.seconds))


def _gate(run: GpuRun, store: GraphStore, by: str, engine: EnginePair, pictures: Sequence[Image]) -> None:
    """Measure the accuracy as a part of its own, so that the engine is timed even when it fails."""
    with run.part(f"the gate for {by}"):
        agreement, points = mean_agreement(_torch_engine(run, store, "f32", FRAME), engine, pictures)
        if not points:
            raise ValueError("no mask on these pictures is large enough to compare; give other --pictures")
        run.result["gates"].append(
            {"by": by, "iou": round(agreement, 4), "points": points, "passed": agreement >= GATE}
        )


def _openers(run: GpuRun, store: GraphStore) -> dict[str, Callable[[tuple[int, int]], EnginePair]]:
    found: dict[str, Callable[[tuple[int, int]], EnginePair]] = {
        "torch graph": lambda size: _torch_engine(run, store, "f16", size)
    }
    if run.device == "cpu":
        run.left_out("TensorRT: it needs a GPU")
    elif any(name.startswith("TensorRT") for name in run.result["versions"]):
        found["tensorrt"] = lambda size: _tensorrt_engine(run, store, size)
    return found


def _torch_engine(run: GpuRun, store: GraphStore, precision: str, size: tuple[int, int]) -> EnginePair:
    from engines.backends.torch import CudaRuntime, TorchRuntime

    settings = EngineSettings("torch", encoder_threads=2, decoder_threads=2)
    runtime = CudaRuntime(store, settings, precision) if run.device == "cuda" else TorchRuntime(store, settings, "f32")
    pair = open_sam(
        settings, store, runtime,
        precision=precision, device=run.device, versions={}, frame_size=size, on_gpu=run.device == "cuda",
    )  # fmt: skip
    return pair


def _tensorrt_runtime(run: GpuRun, store: GraphStore) -> Any:
    """Open the engine as `engines.backends.tensorrt.open_engine` does, with this run's weights."""
    from engines.backends.tensorrt.device import open_device
    from engines.backends.tensorrt.library import find_library
    from engines.backends.tensorrt.plans import PlanStore
    from engines.backends.tensorrt.runner import TensorRtRuntime

    library, device = find_library(), open_device()
    library.capability(device.gpu.compute)
    run.result["versions"][library.name] = library.version
    return TensorRtRuntime(library, device, PlanStore(library, device.gpu, store, "f16", current=device.make_current))


def _tensorrt_engine(run: GpuRun, store: GraphStore, size: tuple[int, int]) -> EnginePair:
    runtime = _tensorrt_runtime(run, store)
    return open_sam(
        EngineSettings("tensorrt"), store, runtime,
        precision="f16", device=runtime.device.gpu.name, versions={}, frame_size=size, on_gpu=True,
    )  # fmt: skip


def _times(run: GpuRun, by: str, encoder: Encoder, decoder: Decoder) -> None:
    """Measure the latencies for a caller, copies included."""
    image = np.full((FRAME[1], FRAME[0], 3), 128, np.uint8)
    embedding = encoder.encode(image)
    encoder.encode(image)
    run.add("encode a frame, 1280x720", f"{by}, host", run.host_ms(lambda: encoder.encode(image)), "host")
    for count in PROMPTS:
        prompts = [Prompt.click(200 + 100 * index, 300) for index in range(count)]
        decoder.decode(embedding, prompts)
        name = f"decode {count} prompt{'s' * (count > 1)}"
        run.add(name, f"{by}, host", run.host_ms(lambda prompts=prompts: decoder.decode(embedding, prompts)), "host")


def mean_agreement(
    exact: tuple[Encoder, Decoder], other: tuple[Encoder, Decoder], pictures: Sequence[Image]
) -> tuple[float, int]:
    """Compute the mean IoU of the exact engine's best mask with the other engine's nearest one: (mean, count)."""
    found = []
    for image in pictures:
        ours, theirs = exact[0].encode(image), other[0].encode(image)
        prompts = [Prompt.click(*point) for point in probe_points(image.shape[1], image.shape[0])]
        for wanted, offered in zip(exact[1].decode(ours, prompts), other[1].decode(theirs, prompts), strict=True):
            mask = binarize(wanted)[wanted.best_index]
            if AREA[0] <= mask.mean() <= AREA[1]:
                found.append(max(iou(mask, each) for each in binarize(offered)))
    return float(np.mean(found)) if found else float("nan"), len(found)


def _pictures(run: GpuRun, place: Path | None) -> list[Image]:
    from engines.pictures import resize_and_crop, sample_evenly
    from realtime.sources.video.file_decoder import read_samples

    found: list[Image] = []
    with run.part("pictures for the gate"):
        if place is not None:
            found = read_samples(place, 8)
        else:
            import cv2

            strip = np.asarray(cv2.imread(str(ROOT / "docs" / "looked-at.jpg")), np.uint8)
            third = strip.shape[1] // 3
            found = [strip[:, index * third : (index + 1) * third] for index in range(3)]
    return [resize_and_crop(picture, FRAME) for picture in sample_evenly(found, 2 if run.device == "cpu" else 8)]
