"""Measures engines against the published MobileSAM graphs in ONNX Runtime, in turns in one run; ratios are what counts.

    python benchmarks/engine_speed.py PICTURES [--weights FOLDER] [--threads 1 2] [--picture-side 512 1024] [--out FILE]

PICTURES is a folder of pictures or a video. Times one click on a 16:9 frame of 854 x 480; masks are compared with the
float32 reference on the full square, with the picture at the same size in it, on a 15-point grid of each of eight
pictures. An int8 encoder is timed where `gazecast engine build --precision int8 --picture-side PX` has made one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from engines import EngineError, EngineSettings, weights
from engines.bench import benchmark_engine
from realtime.sources.video.file_decoder import read_samples

FRAME = (854, 480)
ENGINES = (("openvino", "int8"), ("openvino", "bf16"), ("openvino", "f32"), ("onnxruntime", "f32"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--picture-side", type=int, nargs="*", default=[512, 1024], metavar="PX")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "engine_speed.json")
    args = parser.parse_args()
    pictures = read_samples(args.pictures)
    rows = []
    for threads, side in product(args.threads, args.picture_side):
        for backend, precision in ENGINES:
            settings = EngineSettings(
                backend, precision=precision, encoder_threads=threads, decoder_threads=threads, picture_side=side
            )
            try:
                # The masks do not depend on the threads.
                row = benchmark_engine(
                    settings, args.weights or weights.model_folder("mobile_sam"), FRAME, pictures,
                    rounds=args.rounds, quality=threads == args.threads[0], report=print,
                )  # fmt: skip
            except EngineError as error:
                print(f"{backend} {precision}: {error}")
                continue
            rows.append(row)
            print(json.dumps(row), flush=True)
    out = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "frame": list(FRAME),
        "rows": rows,
    }
    args.out.write_text(json.dumps(out, indent=2) + "\n")


if __name__ == "__main__":
    main()
