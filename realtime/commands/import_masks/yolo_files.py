"""Reads data sets of YOLO's segmentation task as COCO's fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path

import msgspec

from calibration.text import to_utf8
from realtime.correction.coco_file import AnnotationFields, CategoryFields, DatasetFields, ImageFields
from realtime.errors import AnnotationError
from realtime.validation import read_value

EXPECTED = "expected data.yaml of a data set of YOLO, with `names` and `train`, as gazecast export --yolo writes it"


class _DataFields(msgspec.Struct):
    """The fields of a file that are read; folders of pictures are from `path`, which is from the file's own folder."""

    names: list[str] | dict[int, str]
    path: str | None = None
    train: str | list[str] | None = None
    val: str | list[str] | None = None
    test: str | list[str] | None = None


def read_yolo(
    file: Path, find_sizes: Callable[[Set[str]], Mapping[str, tuple[int, int]]]
) -> DatasetFields:  # fmt: skip
    """Read `data.yaml` and the labels that it names; raises `AnnotationError`.

    find_sizes: finds (width, height) of the recorded frames by the stems of pictures' names: outlines are in shares.
    """
    import yaml

    try:
        found = yaml.safe_load(to_utf8(file.read_bytes()))
    except OSError as error:
        raise AnnotationError(f"cannot read {file}: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{file} is no YAML: {error!s:.200}; {EXPECTED}") from None
    if not isinstance(found, dict) or not found.get("names"):
        raise AnnotationError(f"{file} {'has no `names`' if found else 'is empty'}; {EXPECTED}")
    fields = read_value(found, _DataFields, AnnotationError, file.name)
    names = dict(enumerate(fields.names)) if isinstance(fields.names, list) else fields.names
    root = file.parent / (fields.path or "")
    folders = {each for split in (fields.train, fields.val, fields.test) if split for each in _list_folders(split)}
    texts = {path.stem: path for each in sorted(folders) for path in _list_labels(root, each)}
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


def _list_folders(split: str | list[str]) -> list[str]:
    return [split] if isinstance(split, str) else split


def _read_lines(path: Path, size: tuple[int, int]) -> Iterator[tuple[int, list[float]]]:
    for number, line in enumerate(to_utf8(path.read_bytes()).decode().splitlines(), 1):
        try:
            kind, *shares = line.split()
            if len(shares) < 6 or len(shares) % 2:
                raise ValueError(f"{len(shares)} numbers, expected at least three x, y pairs")
            yield int(kind), [float(share) * size[k % 2] for k, share in enumerate(shares)]
        except ValueError as error:
            raise AnnotationError(f"line {number} of {path}: {error}") from None
