"""Starts the command `gazecast`, after a check that its packages are its own.

The import names `realtime`, `engines` and `calibration` are general. Where another distribution with one of them is
installed into the same environment, Python would import that one, or pip has let one overwrite the other's files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("realtime", "engines", "calibration")


def find_conflicts() -> Iterator[str]:
    """Yield a sentence for each package of ours that another distribution hides or has overwritten."""
    ours = Path(__file__).resolve().parent
    for name in PACKAGES:
        spec = find_spec(name)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if found is None:
            yield f"its package {name} is missing"
        elif found.parent.parent != ours:
            yield f"Python finds another package {name} at {found.parent}"
        elif any(ours.glob(f"{name}-*.dist-info")) or "gazecast" not in found.read_text(encoding="utf-8"):
            yield f"another distribution has installed a package {name} into {found.parent}"


def main() -> int:
    """Run the command; 2 where its packages are not its own."""
    conflicts = list(find_conflicts())
    if conflicts:
        print(
            f"gazecast: cannot start: {'; '.join(conflicts)}. Install gazecast into an environment of its own: "
            "python3 -m venv gazecast-env, then gazecast-env/bin/pip install gazecast's folder",
            file=sys.stderr,
        )
        return 2
    from realtime.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
