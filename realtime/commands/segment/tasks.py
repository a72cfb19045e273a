"""Computes the result of one picture: masks, edges, proposals or named objects, drawn and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engines import Decoder, Encoder, Image, PromptError
from engines.automatic_masks import (
    AutomaticMask,
    GenerationStep,
    generate_image_masks,
    run_to_end,
    segment_prompt,
)
from engines.automatic_masks.edges import detect_edges
from engines.automatic_masks.proposals import rank_proposals, score_proposal
from realtime.commands.export.coco_json import (
    OBJECT,
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    build_dataset,
    convert_annotation,
)
from realtime.commands.segment.instance_overlay import draw_instances, draw_strength
from realtime.commands.segment.request import PictureRequest
from realtime.errors import SettingsError

DRAWN_PROPOSALS = 60
"""Of the best ones; more hide each other."""
OnStep = Callable[[GenerationStep], None]


@dataclass(frozen=True, slots=True, eq=False)
class PictureResult:
    """Holds the result of a picture. count: of its masks. document: its JSON, None for edges."""

    count: int
    drawn: Image
    document: Any | None


class PictureTask(Protocol):
    """A protocol that computes the result of a picture."""

    def compute(self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep) -> PictureResult:
        """Compute the result of an image, read from a file; raises `SettingsError` where the request does not fit."""


class MaskTask:
    """Segments the object of a prompt, or every object."""

    def __init__(self, request: PictureRequest) -> None:
        self._request = request

    def compute(self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep) -> PictureResult:
        """See `PictureTask.compute`."""
        prompt = self._request.prompt
        found = self._find_masks(encoder, decoder, image, file, on_step)
        document = build_document(self._request, encoder, image, file, annotate_masks(found))
        return PictureResult(len(found), draw_instances(image, found, prompt), document)

    def _find_masks(
        self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep
    ) -> Sequence[AutomaticMask]:
        prompt = self._request.prompt
        if prompt is None:
            return run_to_end(generate_image_masks(encoder, decoder, image, self._request.settings), on_step)
        try:
            found = segment_prompt(decoder, encoder.encode(image), prompt)
        except PromptError as error:
            raise SettingsError(f"{file}: {error}") from error
        return (found,) if found.area_px else ()


class EdgeTask:
    """Detects edges."""

    def __init__(self, request: PictureRequest) -> None:
        self._request = request

    def compute(self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep) -> PictureResult:
        """See `PictureTask.compute`."""
        assert self._request.settings is not None
        edges = run_to_end(detect_edges(encoder, decoder, image, self._request.settings), on_step)
        return PictureResult(0, draw_strength(edges), None)


class ProposalTask:
    """Ranks many masks as proposals, in the format of COCO's results."""

    def __init__(self, request: PictureRequest) -> None:
        self._request = request

    def compute(self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep) -> PictureResult:
        """See `PictureTask.compute`."""
        steps = generate_image_masks(encoder, decoder, image, self._request.settings)
        found = rank_proposals(run_to_end(steps, on_step))
        number = int(file.stem) if file.stem.isdecimal() else 1
        document = [self._convert(mask, number, file.name) for mask in found]
        return PictureResult(len(found), draw_instances(image, found[:DRAWN_PROPOSALS]), document)

    @staticmethod
    def _convert(mask: AutomaticMask, image_id: int, file_name: str) -> dict[str, Any]:
        annotation = CocoAnnotation(
            image_id, 1, mask.mask, OBJECT.id, mask.predicted_iou, mask.stability_score, mask.point_coords
        )
        fields = convert_annotation(annotation)
        return {
            "image_id": image_id,
            "category_id": OBJECT.id,
            "score": score_proposal(mask),
            **{name: fields[name] for name in ("segmentation", "bbox", "predicted_iou", "stability_score")},
            "point_coords": fields["point_coords"],
            "file_name": file_name,
        }


def annotate_masks(found: Sequence[AutomaticMask]) -> Iterator[CocoAnnotation]:
    """Yield an annotation of each mask, numbered from 1, so that one mask at a time is unpacked."""
    yield from (
        CocoAnnotation(1, number, each.mask, OBJECT.id, each.predicted_iou, each.stability_score, each.point_coords,
                       each.crop_box) for number, each in enumerate(found, 1)
    )  # fmt: skip


def build_document(
    request: PictureRequest, encoder: Encoder, image: Image, file: Path, annotations: Iterable[CocoAnnotation],
    categories: Sequence[CocoCategory] = (OBJECT,),
) -> dict[str, Any]:  # fmt: skip
    """Build COCO's JSON of one picture; its `info` describes engine and request."""
    engine = encoder.info
    info = {
        "description": "masks by gazecast segment",
        "engine": f"{engine.backend} {engine.precision}",
        "model": engine.model,
        "picture_side": engine.picture_side,
        **request.describe(),
    }
    picture = CocoImage(1, file.name, image.shape[1], image.shape[0])
    return build_dataset([picture], annotations, categories, info)
