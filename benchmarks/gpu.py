"""Everything about this machine's GPU in one command: is the engine right on it, and how fast.

    python -m benchmarks.gpu [--weights FOLDER] [--pictures FOLDER|VIDEO] [--out FILE] [--rehearse]

Needs torch with CUDA, and of the rest what is installed; what is missing is left out, and said. Without MobileSAM's
weights it takes random ones, which are as fast, and leaves the gate out. Times are the device's own, from events,
unless the table says "host". Writes benchmarks/results/gpu-NAME.json and prints a table. --rehearse runs every part
that can run on a CPU, a few times each, to see that the program works; its times mean nothing and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu_report import file_name, row, table

ROOT = Path(__file__).parent


class Run:
    """What is measured, as it comes; a part that fails is left out with its reason, and the next one goes on."""

    def __init__(self, device: str, rounds: int, seconds: float) -> None:
        self.device, self.rounds, self.seconds = device, rounds, seconds
        self.file: Path | None = None
        """Where the result goes after every part, so that what is cut short is not lost."""
        self.result: dict[str, Any] = {
            "date": datetime.now(UTC).date().isoformat(), "machine": platform.platform(), "gpu": None,
            "versions": {"python": platform.python_version()}, "weights": "", "ceiling_tflops": None,
            "rows": [], "gates": [], "path": [], "memory_mib": {}, "left_out": [],
        }  # fmt: skip

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Whatever goes wrong inside is written down."""
        print(f"- {name}", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            yield
        except Exception as error:  # one part must not cost the others
            reason = (str(error).strip().splitlines() or [""])[0][:300]
            self.left_out(f"{name}: {type(error).__name__}: {reason}")
        print(f"  {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
        if self.file is not None:
            self.file.write_text(json.dumps(self.result, indent=2) + "\n")

    def left_out(self, reason: str) -> None:
        """Write down what was not done, and why."""
        self.result["left_out"].append(reason)

    def add(self, work: str, by: str, times_ms: Sequence[float], timer: str = "device") -> None:
        """Write down the times of one kind of work."""
        self.result["rows"].append(row(work, by, times_ms, self.result["ceiling_tflops"], timer))

    def device_ms(self, work: Callable[[], Any], stream: Any = None) -> list[float]:
        """Times of single runs on a stream, after some that do not count, by the device's events."""
        import torch

        for _ in range(max(3, self.rounds // 10)):
            work()
        if self.device == "cpu":
            return self.host_ms(work)
        times = []
        for _ in range(self.rounds):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record(stream)
            work()
            end.record(stream)
            end.synchronize()
            times.append(begin.elapsed_time(end))
        return times

    def host_ms(self, work: Callable[[], Any]) -> list[float]:
        """Times of single runs that end when the host has the result."""
        times = []
        for _ in range(self.rounds):
            begun = time.perf_counter_ns()
            work()
            times.append((time.perf_counter_ns() - begun) / 1e6)
        return times


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
    print(table(run.result))
    if run.result["gpu"] is None:
        return 0 if args.rehearse else 1
    print(f"written to {run.file}")
    return 0 if all(gate["passed"] for gate in run.result["gates"]) else 1


def measure(args: argparse.Namespace) -> Run:
    run = Run("cpu" if args.rehearse else "cuda", 2 if args.rehearse else 200, args.seconds)
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
        from benchmarks import gpu_engines
    except ImportError as error:
        run.left_out(f"everything: {error}; pip install opencv-python-headless numpy")
        return run
    if not args.rehearse:
        _describe(run)
        run.file = args.out or ROOT / "results" / file_name(run.result["gpu"]["name"])
    with tempfile.TemporaryDirectory() as folder:
        store = gpu_engines.open_store(run, args.weights, Path(folder))
        gpu_engines.measure_parts(run, store)
        if not args.rehearse:
            gpu_engines.measure_copies(run)
            gpu_engines.measure_plans(run, store)
        gpu_engines.measure_engines(run, store, args.pictures)
        if not args.rehearse:
            gpu_engines.measure_compiled(run, store)
    return run


def _describe(run: Run) -> None:
    import torch

    from engines.backends.tensorrt.torch_memory import TorchDevice

    gpu, shown = TorchDevice().gpu, torch.cuda.get_device_properties(0)
    run.result["gpu"] = {
        "name": gpu.name, "compute": gpu.compute, "driver": gpu.driver, "memory_gib": round(shown.total_memory / 2**30),
        "multiprocessors": shown.multi_processor_count,
    }  # fmt: skip
    run.result["versions"]["cuda"] = str(torch.version.cuda)
    with run.part("the ceiling of matrix products"):
        torch.manual_seed(0)
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2))
        times = sorted(run.device_ms(lambda: a @ b))
        run.result["ceiling_tflops"] = round(2 * 8192**3 / times[len(times) // 2] / 1e9, 1)


if __name__ == "__main__":
    sys.exit(main())
