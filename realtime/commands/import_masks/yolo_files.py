"""Reads data sets of YOLO's segmentation task as COCO's fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from calibration.text import to_utf8
from realtime.correction.coco_file import AnnotationFields, CategoryFields, DatasetFields, ImageFields
from realtime.errors import AnnotationError

SPLITS = ("train", "val", "test")


def read_yolo(
    file: Path, find_sizes: Callable[[Set[str]], Mapping[str, tuple[int, int]]]
) -> DatasetFields:  # fmt: skip
    """Read `data.yaml` and the labels that it names; raises `AnnotationError`.

    find_sizes: finds (width, height) of the recorded frames by the stems of pictures' names: outlines are in shares.
    """
    import yaml

    try:
        fields = yaml.safe_load(to_utf8(file.read_bytes()))
        names = _read_names(fields["names"])
        root = file.parent / str(fields.get("path") or "")
        folders = {str(fields[split]) for split in SPLITS if fields.get(split)}
        texts = {path.stem: path for each in sorted(folders) for path in _list_labels(root, each)}
    except OSError as error:
        raise AnnotationError(f"cannot read {file}: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f"{file} does not describe a data set of YOLO: {error!r:.120}") from None
    images: list[ImageFields] = []
    annotations: list[AnnotationFields] = []
    sizes = find_sizes(texts.keys())
    for number, (stem, path) in enumerate(sorted(texts.items()), 1):
        size = sizes.get(stem, (0, 0))
        images.append(ImageFields(number, stem, *size))
        for kind, polygon in _read_lines(path, size):
            annotations.append(AnnotationFields(len(annotations) + 1, number, [polygon], kind + 1))
    if not images:
        raise AnnotationError(f"{file}: there are no labels beside its pictures, in `labels` in place of `images`")
    return DatasetFields(images, annotations, [CategoryFields(kind + 1, name) for kind, name in names.items()])


def _list_labels(root: Path, pictures: str) -> list[Path]:
    return sorted((root / pictures.replace("images", "labels", 1)).glob("*.txt"))


def _read_names(names: Any) -> dict[int, str]:
    numbered = enumerate(names) if isinstance(names, list) else names.items()
    return {int(number): str(name) for number, name in numbered}


def _read_lines(path: Path, size: tuple[int, int]) -> Iterator[tuple[int, list[float]]]:
    for number, line in enumerate(to_utf8(path.read_bytes()).decode().splitlines(), 1):
        try:
            kind, *shares = line.split()
            if len(shares) < 6 or len(shares) % 2:
                raise ValueError(f"{len(shares)} numbers, expected at least three x, y pairs")
            yield int(kind), [float(share) * size[k % 2] for k, share in enumerate(shares)]
        except ValueError as error:
            raise AnnotationError(f"line {number} of {path}: {error}") from None
