"""Defines the settings of an engine that several wearers share."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BATCH_SIZES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class SharingSettings:
    """Holds how several wearers share one engine.

    encode_wait_ms: longest time that a picture waits for others to be encoded with it, in ms; a tenth of the time
        that a GPU needs for it, so that a batch never costs more than it saves. Nothing waits where batches do not pay.
    decode_wait_ms: the same for prompts, in ms; 0 takes what came during the last call, since a mask is late at once.
    max_batch: most pictures, or prompts, in one call: 1, 2, 4 or 8. Which of them pay is measured.
    idle_delay_ms: how much older the keyframe of a wearer who is locked on nothing may become, in ms, because those
        who look at an object come first.
    tracking_slots: sessions that may track at a time; more would delay all of them. 0 is the number of cores, which
        the encoder shares with them at a lower priority.
    max_keyframe_age_ms: age of keyframes, in ms, beyond which no more wearers are admitted; a mask that is carried
        over half a second of motion has lost its object.
    min_decode_hz: masks a second that every wearer must be able to have decoded for more to be admitted.
    max_load: share of the time of the encoder's and of the decoder's thread that admitted wearers may use, 0.1 to 1;
        beyond, waits grow without bound.
    """

    encode_wait_ms: float = 2.0
    decode_wait_ms: float = 0.0
    max_batch: int = 8
    idle_delay_ms: float = 250.0
    tracking_slots: int = 0
    max_keyframe_age_ms: float = 500.0
    min_decode_hz: float = 10.0
    max_load: float = 0.9

    def __post_init__(self) -> None:
        """Raise `ValueError` for a value out of its range."""
        for name, least, most in (
            ("encode_wait_ms", 0, 100), ("decode_wait_ms", 0, 100), ("idle_delay_ms", 0, 10_000),
            ("max_keyframe_age_ms", 10, 60_000), ("min_decode_hz", 0.1, 1000), ("max_load", 0.1, 1),
            ("tracking_slots", 0, 1024),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least} to {most}, got {getattr(self, name)}")
        if self.max_batch not in MAX_BATCH_SIZES:
            raise ValueError(f"max_batch must be 1, 2, 4 or 8, got {self.max_batch}")
