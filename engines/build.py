"""Builds, lists and verifies engines for `gazecast engine`; returns data and prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
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
from engines.settings import EngineSettings, Report, default_cache_dir, picture_side

if TYPE_CHECKING:
    from engines.reference import EngineComparison

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
    """Build the graphs for frames of (width, height), verify the engine on real pictures and store its note.

    Precisions int8 and fp8 quantise the encoder on the same pictures; an encoder that fails the gate is deleted.
    Returns the engine's description with `gate`. Raises `AcceptanceRefused` with the figures.
    """
    if settings.backend == "tensorrt":
        from engines.backends.tensorrt import check_available

        check_available()
    store = open_store(settings, weights, report or (lambda line: None))
    letterbox = _letterbox(settings, frame_size)
    store.prompt_table(force=force)
    decoders = [DecoderGraph.of(letterbox, batch, points, False) for batch, points in BUILT]
    graphs: list[Graph] = [EncoderGraph.of(letterbox), *decoders, DecoderGraph.of(letterbox, 1, 2, True)]
    for graph in graphs:
        store.onnx_file(graph, force=force)
    if settings.backend == "tensorrt":
        return _build_tensorrt(settings, weights, frame_size, pictures, store, graphs, force)
    if settings.precision != "int8":
        return verify_engine(settings, weights, frame_size, pictures, report=report)
    return _build_int8(settings, weights, frame_size, pictures, store, force)


def _letterbox(settings: EngineSettings, frame_size: tuple[int, int]) -> Letterbox:
    return Letterbox(*frame_size, picture_side=picture_side(settings, on_gpu=settings.backend == "tensorrt"))


def _build_tensorrt(
    settings: EngineSettings,
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    store: GraphStore,
    graphs: Sequence[Graph],
    force: bool,
) -> dict[str, Any]:
    from engines.backends.tensorrt import build_plans

    letterbox = _letterbox(settings, frame_size)
    encoder = EncoderGraph.of(letterbox)
    quantised = settings.precision in ("int8", "fp8")
    if quantised and (force or not store.has_ranges(encoder)):
        from engines.models.ranges import measure_ranges

        store.report("measuring how large the encoder's numbers get")
        store.save_ranges(encoder, measure_ranges(store.model_module(), encoder, pictures))
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
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    store: GraphStore,
    force: bool,
) -> dict[str, Any]:
    if settings.backend != "openvino":
        raise EngineUnavailable(
            f"int8 engines are OpenVINO's and TensorRT's; choose backend openvino or tensorrt, not {settings.backend}"
        )
    from engines.backends.openvino import OpenVinoRuntime, save
    from engines.backends.openvino_int8 import quantize_model

    graph = EncoderGraph.of(_letterbox(settings, frame_size))
    runtime = OpenVinoRuntime(store, settings)
    file, key = runtime.int8_path(graph)
    if not force and cache.find_cached(file, key) is not None:
        return verify_engine(settings, weights, frame_size, pictures, report=store.report)
    # The note is deleted first: a file without one is ignored, so an interrupted build leaves nothing in use.
    cache.note_path(file).unlink(missing_ok=True)
    store.report(f"quantising the encoder for {frame_size[0]} x {frame_size[1]}; this takes a minute or two")
    save(quantize_model(runtime.core.read_model(store.onnx_file(graph)), graph, pictures), file)
    try:
        cache.write_note(file, f"{graph.name}-int8", key)
        return verify_engine(settings, weights, frame_size, pictures, report=store.report)
    except BaseException:
        for part in (cache.note_path(file), file, file.with_suffix(".bin")):
            part.unlink(missing_ok=True)
        raise


def verify_engine(
    settings: EngineSettings,
    weights: Path,
    frame_size: tuple[int, int],
    pictures: Sequence[Image],
    *,
    report: Report | None = None,
) -> dict[str, Any]:
    """Compare an engine with the torch reference on real pictures and write its note.

    Returns its description with `gate`; raises `AcceptanceRefused` with the figures where it fails the gate.
    """
    store = open_store(settings, weights, report or (lambda line: None))
    with opened_engine(settings, weights, frame_size, store.report) as (encoder, decoder):
        comparison = compare_with_reference(store, encoder, decoder, frame_size, pictures)
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
    store: GraphStore, encoder: Encoder, decoder: Decoder, frame_size: tuple[int, int], pictures: Sequence[Image]
) -> EngineComparison:
    """Compare an opened engine with the torch reference on real pictures, cropped to the shape of its frames."""
    from engines.reference import ReferenceEngine, compare_engines

    store.report(f"comparing {encoder.info.backend} {encoder.info.precision} with the reference")
    chosen = [resize_and_crop(picture, frame_size) for picture in sample_evenly(pictures, MAX_ACCEPTANCE_IMAGES)]
    return compare_engines(ReferenceEngine(store.model_module()), encoder, decoder, chosen)


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
    """Open an engine and close it on exit."""
    encoder, decoder = load(settings, weights, frame_size=frame_size, report=report)
    try:
        yield encoder, decoder
    finally:
        encoder.close()
        decoder.close()
