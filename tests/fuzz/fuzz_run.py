"""Calls a reader with many invalid inputs; those that had a new effect become seeds of others."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import resource
import signal
import time
import warnings
from random import Random
from typing import Any

from tests.fuzz.failures import failed_folder, find_cause, is_out_of_memory, locate, read_failed
from tests.fuzz.mutation import mutate
from tests.fuzz.readers import READERS

MAX_CPU_S = 1.0
"""Of one input."""
MEMORY_BYTES = 1 << 30
"""What a reader may take at most; more is a MemoryError."""
MAX_SEEDS = 1000
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|b'.*|[\d.]+|got .*", re.DOTALL)
"""What differs in messages with the same cause."""


class TooSlow(BaseException):
    """More than `MAX_CPU_S` for one input."""


def fuzz_reader(name: str, runs: int, seed: int, seconds: float = math.inf) -> dict[str, Any]:
    """Call a reader in this process, which it limits, and return figures; writes the inputs that failed to files.

    It ends after so many runs or seconds, and `runs` is their number.
    """
    _limit_process()
    reader = READERS[name]
    random = Random(f"{name} {seed}")
    valid = [*reader.make_seeds(), *read_failed(name)]
    seeds = list(valid)
    effects: set[str] = set()
    failures: dict[str, str] = {}
    read, slowest_s, begun_s = 0, 0.0, time.process_time()
    done, until_s = 0, time.monotonic() + seconds
    while done < runs and time.monotonic() < until_s:
        done += 1
        data = mutate(valid if random.random() < 0.3 else seeds, random)
        at_s = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU_S)
        try:
            reader.read(data)
            read, effect = read + 1, "read"
        except (Exception, TooSlow) as error:
            if isinstance(error, reader.errors) and not is_out_of_memory(find_cause(error)):
                effect = f"{type(error).__name__} {_VALUES.sub('', str(error)[:300])}"
            else:
                effect = locate(find_cause(error))
                if effect not in failures:
                    failures[effect] = _write_failed(name, data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        slowest_s = max(slowest_s, time.process_time() - at_s)
        if effect not in effects and len(effects) < MAX_SEEDS:
            effects.add(effect)
            seeds.append(data)
    return {
        "runs": done,
        "cpu_s": round(time.process_time() - begun_s, 1),
        "read_share": round(read / max(1, done), 3),
        "effects": len(effects),
        "slowest_ms": round(slowest_s * 1e3, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "failures": failures,
    }


def _limit_process() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    def stop(number: int, frame: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGVTALRM, stop)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))


def _write_failed(name: str, data: bytes) -> str:
    path = failed_folder(name) / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path.name
