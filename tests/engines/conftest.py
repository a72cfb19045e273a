"""Provides weights, pictures and opened engines for the whole session, because opening is slow."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import Decoder, Encoder, EngineSettings, EngineUnavailable, Image, ModelError, load, weights

FRAME = (320, 180)
"""(width, height) of the pictures of most tests: small, and 16:9 as most cameras."""


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    try:
        return weights.model_folder("mobile_sam")
    except ModelError as error:
        pytest.skip(f"no weights: {error}")


@pytest.fixture(scope="session")
def engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def picture() -> Image:
    """Draw coloured shapes on a wavy ground."""
    rng = np.random.default_rng(7)
    width, height = FRAME
    ground = cv2.resize(rng.integers(60, 200, (9, 16, 3)).astype(np.uint8), FRAME, interpolation=cv2.INTER_CUBIC)
    cv2.circle(ground, (width // 3, height // 2), 40, (30, 40, 220), -1)
    cv2.rectangle(ground, (200, 50), (290, 140), (220, 160, 20), -1)
    return np.asarray(ground, np.uint8)


@pytest.fixture(scope="session")
def sam(weights_folder: Path):
    pytest.importorskip("torch")
    from tests.engines.networks.model import read_model

    return read_model(weights_folder, "mobile_sam")


@pytest.fixture(scope="session")
def stock(weights_folder: Path):
    """Open the published graphs in ONNX Runtime, as a reference from outside this project."""
    ort = pytest.importorskip("onnxruntime")
    files = [weights_folder / name for name in ("encoder.onnx", "sam.onnx")]
    if not all(file.is_file() for file in files):
        pytest.skip("the weights here are not the published ONNX pair")
    return tuple(ort.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in files)


ENGINES = {
    "fake": EngineSettings("fake"),
    "stock": EngineSettings("stock"),
    "openvino-f32": EngineSettings("openvino", precision="f32"),
    "openvino-auto": EngineSettings("openvino"),
    "onnxruntime": EngineSettings("onnxruntime"),
    "torch": EngineSettings("torch"),
}


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, engine_cache: Path) -> Iterator[tuple[Encoder, Decoder]]:
    """Open every backend that can run here."""
    from dataclasses import replace

    settings = replace(ENGINES[request.param], cache_dir=engine_cache)
    folder = None if settings.backend == "fake" else request.getfixturevalue("weights_folder")
    try:
        encoder, decoder = load(settings, folder, frame_size=FRAME)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    yield encoder, decoder
    encoder.close()
    decoder.close()
