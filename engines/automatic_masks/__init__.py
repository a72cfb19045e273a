"""Segments every object of an image: SAM's automatic mask generator on gazecast's engines."""

from engines.automatic_masks.generate import (
    GenerationStep,
    Steps,
    generate_image_masks,
    generate_masks,
    run_to_end,
)
from engines.automatic_masks.packed_mask import AutomaticMask
from engines.automatic_masks.prompted import segment_prompt, segment_prompts
from engines.automatic_masks.settings import AutomaticSettings

__all__ = [
    "AutomaticMask",
    "AutomaticSettings",
    "GenerationStep",
    "Steps",
    "generate_image_masks",
    "generate_masks",
    "run_to_end",
    "segment_prompt",
    "segment_prompts",
]
