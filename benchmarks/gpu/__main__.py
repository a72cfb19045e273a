"""Measures accuracy and speed of the engine on this machine's GPU in one command.

    python -m benchmarks.gpu [--weights FOLDER] [--pictures FOLDER|VIDEO] [--out FILE] [--rehearse]

Needs torch with CUDA, and of the rest what is installed; what is missing is left out and reported. MobileSAM's
weights must be here. Times are the device's own, from events,
unless the table says "host". Writes benchmarks/results/gpu-NAME.json and prints a table. --rehearse runs every part
that can run on a CPU, a few times each, to see that the program works; its times mean nothing and nothing is written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.report import file_name, format_table
from benchmarks.gpu.run import GpuRun

ROOT = Path(__file__).parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="MobileSAM's; default: your cache, then .weights beside the code")
    parser.add_argument("--pictures", type=Path, help="for the gate; default: the picture in docs")
    parser.add_argument("--out", type=Path, help="default benchmarks/results/gpu-NAME.json")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the pipeline at each rate (default 20)")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, to see that it works")
    args = parser.parse_args(argv)
    if args.out is not None and not args.out.parent.is_dir():
        parser.error(f"--out: there is no folder {args.out.parent}")  # now, not after half an hour
    if not args.seconds > 0:
        parser.error(f"--seconds must be more than 0, got {args.seconds}")
    run = measure(args)
    print(format_table(run.result))
    if run.result["gpu"] is None:
        return 0 if args.rehearse else 1
    print(f"written to {run.file}")
    return 0 if all(gate["passed"] for gate in run.result["gates"]) else 1


def measure(args: argparse.Namespace) -> GpuRun:
    run = GpuRun("cpu" if args.rehearse else "cuda", 2 if args.rehearse else 200, args.seconds)
    try:
        import torch
    except ImportError:
        run.left_out("everything: torch is not installed")
        return run
    run.result["versions"]["torch"] = str(torch.__version__)
    if not args.rehearse and not torch.cuda.is_available():
        built = f"torch {torch.__version__} sees no GPU" if torch.version.cuda else "this torch was built without CUDA"
        run.left_out(f"everything: {built}; --rehearse runs what a CPU can")
        return run
    try:
        from benchmarks.gpu import engines
    except ImportError as error:
        run.left_out(f"everything: {error}; pip install opencv-python-headless numpy")
        return run
    if not args.rehearse:
        _describe(run)
        run.file = args.out or ROOT / "results" / file_name(run.result["gpu"]["name"])
    with tempfile.TemporaryDirectory() as folder:
        store = engines.open_store(run, args.weights, Path(folder))
        engines.measure_parts(run, store)
        if not args.rehearse:
            engines.measure_copies(run)
            engines.measure_plans(run, store)
        engines.measure_engines(run, store, args.pictures)
        if not args.rehearse:
            engines.measure_compiled(run, store)
    return run


def _describe(run: GpuRun) -> None:
    import torch

    from engines.backends.tensorrt.torch_memory import open_device

    gpu, properties = open_device().gpu, torch.cuda.get_device_properties(0)
    run.result["gpu"] = {
        "name": gpu.name, "compute": gpu.compute, "driver": gpu.driver,
        "memory_gib": round(properties.total_memory / 2**30), "multiprocessors": properties.multi_processor_count,
    }  # fmt: skip
    run.result["versions"]["cuda"] = str(torch.version.cuda)
    with run.part("the ceiling of matrix products"):
        torch.manual_seed(0)
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2))
        times = sorted(run.device_ms(lambda: a @ b))
        run.result["ceiling_tflops"] = round(2 * 8192**3 / times[len(times) // 2] / 1e9, 1)


if __name__ == "__main__":
    sys.exit(main())
