"""Projects points to pixels and unprojects pixels to rays through pinhole and fisheye cameras.

Frames of reference: the camera's is optical, x right, y down, z forward, in metres. Pixels are of the distorted
picture as captured: x right, y down, the centre of the top-left pixel is (0, 0), so that the picture ends at
(width - 0.5, height - 0.5). Outside the model's valid range results are NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration import lens
from calibration.errors import CalibrationError
from calibration.lens import Floats

Model = Literal["pinhole", "fisheye"]
_DEGREE = math.radians(1)
_SMALL_DEG = 0.01


@dataclass(frozen=True, slots=True)
class CameraModel:
    """A camera model that holds at one resolution; `PinholeCamera` or `FisheyeCamera`.

    size: (width, height) in pixels. fx, fy: focal lengths, px. cx, cy: principal point, px.
    coefficients: of the lens, in OpenCV's order; missing ones are 0.
    """

    size: tuple[int, int]
    fx: float
    fy: float
    cx: float
    cy: float
    coefficients: tuple[float, ...] = ()

    model: ClassVar[Model]
    _LENS: ClassVar[lens.LensFunctions]

    def __post_init__(self) -> None:
        width, height = self.size
        if not (isinstance(width, int) and isinstance(height, int) and 0 < width <= 100_000 and 0 < height <= 100_000):
            raise CalibrationError(f"a camera's size must be (width, height) in whole pixels, got {self.size!r}")
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.coefficients)
        if not all(math.isfinite(value) for value in numbers) or self.fx <= 0 or self.fy <= 0:
            raise CalibrationError(f"focal lengths must be above 0 and all numbers finite, got {numbers}")
        if len(self.coefficients) not in self._LENS.lengths:
            expected = ", ".join(map(str, self._LENS.lengths))
            raise CalibrationError(
                f"a {self.model} camera has {expected} lens coefficients, got {len(self.coefficients)}; "
                "models with thin prism or tilted sensor are not supported"
            )

    @classmethod
    def from_matrix(cls, size: tuple[int, int], matrix: ArrayLike, coefficients: ArrayLike) -> Self:
        """Create it from K, (3, 3), px, and coefficients of any shape, in OpenCV's order."""
        k = np.asarray(matrix, np.float64)
        if k.shape != (3, 3) or abs(k[0, 1]) > 1e-9 * abs(k[0, 0]):
            raise CalibrationError(f"a camera's matrix must be 3 x 3 without skew, got {k.tolist()}")
        numbers = tuple(np.asarray(coefficients, np.float64).ravel().tolist())
        return cls(size, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), numbers)

    @property
    def matrix(self) -> Floats:
        """K, (3, 3), px."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def max_angle_rad(self) -> float:
        """Angle from the axis up to which the lens model holds, radians: where its polynomial increases."""
        return self._LENS.limit_rad(self._padded_coefficients)

    def project(self, points: ArrayLike, *, margin_px: float = 0.0) -> Floats:
        """Project (N, 3) points or rays in the camera's frame to (N, 2) px.

        NaN behind the camera, outside the picture and where the model is invalid. margin_px: the results may lie this
        far outside the picture, where the model is valid.
        """
        points = _as_rows(points, 3)
        pixels = self._distort_to_pixels(points)
        return np.asarray(np.where(self.contains(pixels, margin_px=margin_px)[:, None], pixels, np.nan))

    def unproject(self, points_px: ArrayLike, *, margin_px: float = 0.0) -> Floats:
        """Unproject (N, 2) px to (N, 3) unit rays; NaN outside the picture and where the model is invalid."""
        points = _as_rows(points_px, 2)
        points = np.where(self.contains(points, margin_px=margin_px)[:, None], points, np.nan)
        return self._LENS.undistort(self._padded_coefficients, (points - (self.cx, self.cy)) / (self.fx, self.fy))

    def contains(self, points_px: ArrayLike, *, margin_px: float = 0.0) -> NDArray[np.bool_]:
        """Whether each of (N, 2) px lies in the picture, (N,)."""
        pixels = _as_rows(points_px, 2)
        low, high = -0.5 - margin_px, np.array(self.size) - 0.5 + margin_px
        return np.asarray(((pixels >= low) & (pixels <= high)).all(1))

    def pixel_grid(self) -> Floats:
        """Compute the (H W, 2) positions of all pixels, row by row."""
        return np.indices(self.size[::-1], np.float64).reshape(2, -1)[::-1].T

    def normalize_points(self, points_px: ArrayLike) -> Floats:
        """Undistort (N, 2) px to (N, 2) on the plane z = 1; NaN where there is no ray."""
        rays = self.unproject(points_px)
        return np.asarray(np.where(rays[:, 2:] > 1e-6, rays[:, :2] / np.maximum(rays[:, 2:], 1e-6), np.nan))

    def without_distortion(self) -> PinholeCamera:
        """Create the distortion-free camera of `undistort`'s pictures: same size and focal lengths."""
        return PinholeCamera(self.size, self.fx, self.fy, self.cx, self.cy)

    def undistort(self, image: NDArray[Any]) -> NDArray[Any]:
        """Remove the lens distortion from an (H, W) or (H, W, C) picture.

        The result is a picture of `without_distortion()`; black outside the camera's field of view.
        """
        if image.shape[1::-1] != self.size:
            raise CalibrationError(
                f"the picture is {image.shape[1]} x {image.shape[0]}, the camera was calibrated at "
                f"{self.size[0]} x {self.size[1]}; capture at that resolution or calibrate again"
            )
        return np.asarray(cv2.remap(image, _undistortion_map(self), np.empty(0, np.float32), cv2.INTER_LINEAR))

    def px_per_degree(self, at_px: tuple[float, float] | None = None) -> float:
        """Compute the pixels per degree at a point, by default the principal point.

        The geometric mean over directions; NaN where the model is invalid.
        """
        rays = self.unproject([at_px]) if at_px is not None else np.array([[0.0, 0.0, 1.0]])
        return float(self.px_per_degree_along(rays)[0])

    def px_per_degree_along(self, rays: Floats) -> Floats:
        """Compute the (N,) pixels per degree along (N, 3) unit rays, as `px_per_degree` does at points."""
        tangents = np.cross(rays, np.where(np.abs(rays[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]))
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
        ahead, behind = (
            [self._distort_to_pixels(rays + step * d) for d in (tangents, np.cross(rays, tangents))]
            for step in (_SMALL_DEG * _DEGREE, -_SMALL_DEG * _DEGREE)
        )
        a, b = ((there - here) / (2 * _SMALL_DEG) for there, here in zip(ahead, behind, strict=True))
        return np.asarray(np.sqrt(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])))

    def to_dict(self) -> dict[str, Any]:
        """Convert it to JSON values; `camera_from_dict` reads them."""
        fields = asdict(self) | {"size": list(self.size), "coefficients": list(self.coefficients)}
        return {"model": self.model, **fields}

    @property
    def _padded_coefficients(self) -> lens.Coefficients:
        return self.coefficients + (0.0,) * (self._LENS.lengths[-1] - len(self.coefficients))

    def _distort_to_pixels(self, points: Floats) -> Floats:
        distorted = self._LENS.distort(self._padded_coefficients, points)
        return np.asarray(distorted * (self.fx, self.fy) + (self.cx, self.cy))


@dataclass(frozen=True, slots=True)
class PinholeCamera(CameraModel):
    """A camera that has OpenCV's standard lens.

    Coefficients: k1 k2 p1 p2 [k3 [k4 k5 k6]]; 5 for ordinary, 8 for wide lenses, up to 110 degrees.
    """

    model = "pinhole"
    _LENS = lens.PINHOLE


@dataclass(frozen=True, slots=True)
class FisheyeCamera(CameraModel):
    """A camera that has the equidistant lens of `cv2.fisheye`, k1 k2 k3 k4; rays may point sideways and backwards."""

    model = "fisheye"
    _LENS = lens.FISHEYE


def camera_from_dict(fields: Mapping[str, Any]) -> CameraModel:
    """Read what `to_dict` wrote; `CalibrationError` names what is missing or wrong."""
    classes: dict[str, type[PinholeCamera] | type[FisheyeCamera]] = {"pinhole": PinholeCamera, "fisheye": FisheyeCamera}
    try:
        camera_class = classes[fields["model"]]
        width, height = fields["size"]
        fx, fy, cx, cy = (float(fields[name]) for name in ("fx", "fy", "cx", "cy"))
        return camera_class((width, height), fx, fy, cx, cy, tuple(float(value) for value in fields["coefficients"]))
    except KeyError as error:
        raise CalibrationError(f"the camera has no {error}, or a model other than pinhole and fisheye") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"the camera's numbers do not read as numbers: {error}") from None


def angles_deg(rays: ArrayLike, others: ArrayLike) -> Floats:
    """Compute the (N,) degrees between pairs of (N, 3) rays; exact for small angles, too."""
    a, b = _as_rows(rays, 3), _as_rows(others, 3)
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(1))))


def _as_rows(values: ArrayLike, width: int) -> Floats:
    rows = np.asarray(values, np.float64)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise CalibrationError(f"expected an (N, {width}) array, got {rows.shape}")
    return rows


@functools.lru_cache(maxsize=4)
def _undistortion_map(camera: CameraModel) -> NDArray[np.float32]:
    """Compute the (H, W, 2) map for `cv2.remap`: the source pixel of each undistorted pixel."""
    points = (camera.pixel_grid() - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    pixels = np.nan_to_num(camera.project(np.column_stack([points, np.ones(len(points))])), nan=-10.0)
    return pixels.astype(np.float32).reshape(*camera.size[::-1], 2)
