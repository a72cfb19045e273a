"""Defines the settings of the live page and refuses unsafe ones. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.comms.hosts import is_loopback

Homography = tuple[float, ...]
IDENTITY: Homography = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
MIN_TOKEN_LENGTH = 16
_MIN_DETERMINANT = 1e-9


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """Holds the settings of the live page and its server (`--view`).

    enabled: serve the page; `--view` sets it.
    host: address to listen at; one that other machines can reach needs a token and TLS.
    port: port to listen at, 0 to 65535; 0 selects a free one.
    token: secret that every request must carry as `?token=`, at least 16 letters and digits; empty for none. Other
        users see a command line: write it into a settings file, or use token_file.
    token_file: file that holds the token, for its user alone; unset for `token`.
    tls_cert: PEM file of the certificate; together with tls_key.
    tls_key: PEM file of the private key; together with tls_cert.
    jpeg_quality: JPEG quality of frames and overlays, 1 to 100.
    max_viewers: number of viewers, 1 to 256; further ones are refused.
    homography: nine numbers, row by row, from a frame's pixels to a see-through display's; for contours alone.
    display_size: width and height of that display, px, up to 8192; 0, 0 for the frame's own.
    snapshots: folder that snapshots are written to.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 8770
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    jpeg_quality: int = 80
    max_viewers: int = 16
    homography: Homography = IDENTITY
    display_size: tuple[int, int] = (0, 0)
    snapshots: Path = Path("gazecast-snapshots")

    def __post_init__(self) -> None:
        """Refuse invalid values, and settings that would show a camera to strangers."""
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be 1 to 100, got {self.jpeg_quality}")
        if not 1 <= self.max_viewers <= 256:
            raise ValueError(f"max_viewers must be 1 to 256, got {self.max_viewers}")
        if min(self.display_size) < 0 or max(self.display_size) > 8192 or (0 in self.display_size) != (
            self.display_size == (0, 0)
        ):  # fmt: skip
            raise ValueError(f"display_size must be two numbers of 1 to 8192, or 0, 0, got {self.display_size}")
        if self.token and (len(self.token) < MIN_TOKEN_LENGTH or not (self.token.isascii() and self.token.isalnum())):
            raise ValueError(
                f"token must be at least {MIN_TOKEN_LENGTH} ASCII letters and digits, got {len(self.token)}"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together, got one of them")
        check_homography(self.homography)
        token = self.token or self.token_file
        if not self.loopback and not (token and self.tls_cert):
            missing = " and ".join(
                name for name, value in (("token", token), ("tls_cert with tls_key", self.tls_cert)) if not value
            )
            raise ValueError(
                f"host {self.host} can be reached from other machines, which needs {missing}; make them with --share "
                "in place of view.host, or stay on 127.0.0.1"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the host."""
        return is_loopback(self.host)


def check_homography(numbers: Homography) -> NDArray[np.float64]:
    """Return nine numbers as (3, 3) float64; raises `ValueError` unless it can be inverted."""
    if len(numbers) != 9 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"homography must be nine finite numbers, row by row, got {numbers!r:.200}")
    matrix = np.array(numbers, np.float64).reshape(3, 3)
    scale = float(np.abs(matrix).max())
    if not scale or abs(float(np.linalg.det(matrix / scale))) < _MIN_DETERMINANT:
        raise ValueError(f"homography {numbers!r:.200} cannot be inverted; it would map the picture to a line")
    return matrix
