"""Builds, lists and verifies engines for `gazecast engine`; returns data and prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import cache
from engines.acceptance import AcceptanceRefused, assess_comparison
from engines.base import Decoder, Encoder, EngineUnavailable, Image
from engines.graph_store import GraphStore
from engines.graphs import BUILT, DecoderGraph, EncoderGraph, Graph, LetterboxGraph
from engines.letterbox import Letterbox
from engines.load import load
from engines.pictures import resize_and_crop, sample_evenly
from engines.sam import open_store
from engines.settings import EngineSettings, Precision, Report, default_cache_dir, picture_side
from engines.speed import time_alternating

if TYPE_CHECKING:
    from engines.reference import EngineComparison

TIMED_ROUNDS = 5
MAX_ACCEPTANCE_IMAGES = 8
"""Pictures that the gate compares: fifteen points on each, about ten seconds of the reference."""


def build_engine(
    settings: EngineSettings,
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    *,
    force: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Build what takes time for frames of (width, height), verify the engine on real pictures and store its note.

    For a CPU nothing needs building ahead; int8 is compared with float by its masks and its time, and kept where it
    passes. Returns the engine's description with `gate`. Raises `AcceptanceRefused` with the figures.
    """
    if settings.backend == "tensorrt":
        from engines.backends.tensorrt import check_available

        check_available()
    store = open_store(settings, weights, report or (lambda line: None))
    if settings.backend == "tensorrt":
        return _build_tensorrt(settings, weights, frame_size, pictures, store, force)
    if settings.precision != "int8":
        return verify_engine(settings, weights, frame_size, pictures, report=report)
    return _build_int8(settings, frame_size, pictures, store, force)


def _letterbox(settings: EngineSettings, frame_size: tuple[int, int]) -> Letterbox:
    return Letterbox(*frame_size, picture_side=picture_side(settings, on_gpu=settings.backend == "tensorrt"))


def _build_tensorrt(
    settings: EngineSettings,
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    store: GraphStore,
    force: bool,
) -> dict[str, Any]:
    from engines.backends.tensorrt import build_plans

    letterbox = _letterbox(settings, frame_size)
    encoder = EncoderGraph.of(letterbox)
    decoders = [DecoderGraph.of(letterbox, *use) for use in BUILT]
    graphs: list[Graph] = [encoder, *decoders, DecoderGraph.of(letterbox, 1, 2, True)]
    quantised = settings.precision in ("int8", "fp8")
    if quantised and (force or not store.has_ranges(encoder)):
        from engines.models.ranges import measure_ranges, shipped_ranges

        ranges = shipped_ranges(store.weights_hash)
        if ranges is None:
            store.report("measuring how large the encoder's numbers get")
            ranges = measure_ranges(store.onnx_model(encoder), encoder, pictures)
        store.save_ranges(encoder, ranges)
    resize = (
        []
        if letterbox.content_size == frame_size
        else [LetterboxGraph(frame_size[1], frame_size[0], encoder.height, encoder.width)]
    )
    build_plans(settings, store, [*graphs, *resize], force=force)
    try:
        return verify_engine(settings, weights, frame_size, pictures, report=store.report)
    except AcceptanceRefused:
        if quantised:
            store.clear_ranges(encoder)
        raise


def _build_int8(
    settings: EngineSettings,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    store: GraphStore,
    force: bool,
) -> dict[str, Any]:
    if settings.backend != "openvino":
        raise EngineUnavailable(
            f"int8 engines are OpenVINO's and TensorRT's; choose backend openvino or tensorrt, not {settings.backend}"
        )
    from engines.backends.openvino import OpenVinoRuntime, open_pair

    runtime = OpenVinoRuntime(store, settings, unjudged=True)
    root, name, key = runtime.int8_verdict()
    file = cache.file_path(root, name, key, ".json")
    int8 = open_pair(runtime, store, settings, None)
    figures = None if force else cache.read_verdict(root, name, key)
    if figures is None:
        file.unlink(missing_ok=True)
        figures = _judge_int8(int8, settings, store, runtime.float_precision, frame_size, pictures)
        if not figures["passed"]:
            raise AcceptanceRefused(f"the int8 engine of openvino was refused: {figures['why']}")
        cache.write_note(file, name, key, gate=figures)
    return {**asdict(int8[0].info), "frame_size": list(frame_size), "gate": figures}


def _judge_int8(
    int8: tuple[Encoder, Decoder],
    settings: EngineSettings,
    store: GraphStore,
    float_precision: Precision,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
) -> dict[str, Any]:
    """Compare int8's masks with those of float32 on the same shape, and its time with the float that runs here.

    Returns the gate's figures with `time_ratio`, int8's time over float's.
    """
    from engines.backends.openvino import OpenVinoRuntime, open_pair
    from engines.reference import compare_engines

    def open_float(precision: Precision) -> tuple[Encoder, Decoder]:
        chosen = replace(settings, precision=precision)
        return open_pair(OpenVinoRuntime(store, chosen), store, chosen, None)

    store.report(f"comparing int8 with f32 for {frame_size[0]} x {frame_size[1]}")
    chosen = [resize_and_crop(picture, frame_size) for picture in sample_evenly(pictures, MAX_ACCEPTANCE_IMAGES)]
    reference = open_float("f32")
    figures = assess_comparison(compare_engines(reference, *int8, chosen), "int8")
    usual, _ = reference if float_precision == "f32" else open_float(float_precision)
    runs = {"int8": lambda: int8[0].encode(chosen[0]), "float": lambda: usual.encode(chosen[0])}
    medians = time_alternating(runs, TIMED_ROUNDS)
    return figures | {"time_ratio": round(medians["int8"] / medians["float"], 3)}


def verify_engine(
    settings: EngineSettings,
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    *,
    report: Report | None = None,
) -> dict[str, Any]:
    """Compare an engine with the reference on real pictures and write its note.

    Returns its description with `gate`; raises `AcceptanceRefused` with the figures where it fails the gate.
    """
    store = open_store(settings, weights, report or (lambda line: None))
    with opened_engine(settings, weights, frame_size, store.report) as (encoder, decoder):
        if encoder.info.masks == 1:
            raise EngineUnavailable(
                f"the {settings.backend} engine gives one mask for a prompt, and cannot be compared with the four of "
                "the reference; gazecast engine bench times it"
            )
        engine = encoder, decoder
        comparison = compare_with_reference(weights, settings, engine, frame_size, pictures, store.report)
        figures = assess_comparison(comparison, encoder.info.precision)
        described = asdict(encoder.info)
    described["frame_size"] = list(frame_size)
    described["gate"] = figures
    if not figures["passed"]:
        raise AcceptanceRefused(
            f"the {described['precision']} engine of {described['backend']} was refused: {figures['why']}"
        )
    letterbox = Letterbox(*frame_size, picture_side=described["picture_side"])
    key = store.key(
        format="gate", backend=described["backend"], precision=described["precision"], device=described["device"],
        versions=str(sorted(described["versions"].items())), shape=EncoderGraph.of(letterbox).name,
    )  # fmt: skip
    name = f"{settings.model}-{described['backend']}-{described['precision']}-{frame_size[0]}x{frame_size[1]}"
    cache.write_note(cache.file_path(store.root, name, key, ".json"), name, key, gate=figures)
    return described


def compare_with_reference(
    weights: Path,
    settings: EngineSettings,
    engine: tuple[Encoder, Decoder],
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    report: Report,
) -> EngineComparison:
    """Compare an opened engine with the reference on real pictures, cropped to the shape of its frames."""
    from engines.reference import compare_engines, open_reference

    info = engine[0].info
    report(f"comparing {info.backend} {info.precision} with the reference")
    chosen = [resize_and_crop(picture, frame_size) for picture in sample_evenly(pictures, MAX_ACCEPTANCE_IMAGES)]
    return compare_engines(open_reference(weights, settings, info.picture_side, report), *engine, chosen)


def list_engines(cache_dir: Path | None = None) -> list[dict[str, Any]]:
    """List the cache, oldest first: note, file, size in bytes, and `state`.

    State: "verdict" for a gate's result alone, "whole", or "damaged" for a file that does not match its note.
    """
    root = cache_dir or default_cache_dir()
    return [
        {**asdict(note), "file": str(file), "bytes": size, "state": state}
        for note, file, size, state in cache.list_cached(root)
    ]


@contextmanager
def opened_engine(
    settings: EngineSettings, weights: Path, frame_size: tuple[int, int], report: Report
) -> Iterator[tuple[Encoder, Decoder]]:
    """Open an engine and close it on exit; graphs that take long to build are made ready before."""
    size = frame_size if settings.backend == "tensorrt" else None
    encoder, decoder = load(settings, weights, frame_size=size, report=report)
    try:
        yield encoder, decoder
    finally:
        encoder.close()
        decoder.close()
