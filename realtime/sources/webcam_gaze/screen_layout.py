"""Converts places of a screen to places of the picture that a page shows there. Pure."""

from __future__ import annotations

from dataclasses import dataclass

Rectangle = tuple[float, float, float, float]
"""x, y, width, height, px of the screen."""


@dataclass(frozen=True, slots=True)
class ScreenLayout:
    """Holds where a page is on its screen; px are those of the browser (CSS).

    size: of the screen. page: the rectangle of the page's contents. picture: that of the frame, None while none is
    shown. frame_width: of the frame, its own px.
    """

    size: tuple[int, int]
    page: Rectangle
    picture: Rectangle | None = None
    frame_width: int = 0

    def place_on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Convert shares of the page to px of the screen."""
        left, top, width, height = self.page
        return left + x * width, top + y * height

    def place_in_picture(self, x: float, y: float) -> tuple[float, float] | None:
        """Convert px of the screen to shares of the picture, which are outside 0..1 beside it; None without one."""
        if self.picture is None:
            return None
        left, top, width, height = self.picture
        return (x - left) / width, (y - top) / height

    @property
    def frame_scale(self) -> float:
        """Pixels of the frame per px of the screen."""
        return self.frame_width / self.picture[2] if self.picture else 1.0
