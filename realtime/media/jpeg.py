"""Encodes images as JPEG."""

from __future__ import annotations

import cv2

from engines import Image


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Encode a BGR image at a quality of 1 to 100; raises `ValueError` where it cannot be encoded."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"an image of {image.shape} cannot be encoded as JPEG")
    return data.tobytes()
