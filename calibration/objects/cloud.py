"""Extracts an object's points from its mask and a depth image, without background and flying points.

Frames of reference: the camera's optical one, metres. A depth image is (H, W) float32 in metres **along the camera's
axis** (REP 118, not the distance), 0 or NaN for no measurement, its pixels those of the camera and the mask.

Masks bleed by a few pixels onto the background, and depth cameras put "flying" points between the two. So a core (the
mask, eroded; near its median depth; in connected surfaces) is grown back as far as its surface continues.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import CameraModel
from calibration.errors import CalibrationError

Depth = NDArray[np.float32]
Points = NDArray[np.float32]
_MIN_PIXELS = 30
_ROUNDING_SD_M = 0.0003  # standard deviation of rounding to millimetres
_MAX_VOXELS = 4_000_000  # of the object's bounding box, including empty ones
_ROUND_FACTORS = (1, 1.5, 2, 3, 5, 7)


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """Holds the settings of the point cloud of an object.

    erode_px: width of the mask's edge that is left out because masks may bleed there, px.
    least_valid: smallest share of the mask's pixels that must have depth, 0..1.
    voxel_m: side of the cells that points are averaged in, m; 0 selects one that gives about `cells` cells.
    cells: number of cells of an object where voxel_m is 0.
    most_pixels: number of pixels above which only every second or third is used.
    """

    erode_px: int = 3
    least_valid: float = 0.1
    voxel_m: float = 0.0
    cells: int = 1500
    most_pixels: int = 30_000

    def __post_init__(self) -> None:
        if not 0 <= self.erode_px <= 50:
            raise ValueError(f"erode_px must be 0 to 50, got {self.erode_px}")
        if not 0 < self.least_valid <= 1:
            raise ValueError(f"least_valid must be above 0 and at most 1, got {self.least_valid:g}")
        if not (self.voxel_m == 0 or 1e-4 <= self.voxel_m <= 1):
            raise ValueError(f"voxel_m must be 0.0001 to 1, or 0 to choose one, got {self.voxel_m:g}")
        if not 100 <= self.cells <= 20_000 or not 1000 <= self.most_pixels <= 10_000_000:
            raise ValueError(f"cells must be 100 to 20000 and most_pixels 1000 to 10000000, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class PointCloud:
    """Holds the points of one object, m.

    points: (N, 3), one for each kept pixel. voxel_centroids: (M, 3), means over cells of `voxel_m`. valid_share: of
    the mask's pixels with depth; kept_share: of those that `points` represent. noise_m: standard deviation of depth
    from pixel to pixel. pixel_pitch_m: distance of neighbouring pixels on the object.
    """

    points: Points
    voxel_centroids: Points
    voxel_m: float
    valid_share: float
    kept_share: float
    noise_m: float
    pixel_pitch_m: float


class CloudError(CalibrationError):
    """An error for a mask without a connected surface or with too little depth. `valid_share` as in `PointCloud`."""

    def __init__(self, reason: str, valid_share: float) -> None:
        super().__init__(reason)
        self.valid_share = valid_share


MILLIMETRE_M = 0.001


def convert_to_metres(image: NDArray[np.generic], scale_m: float = MILLIMETRE_M) -> Depth:
    """Convert (H, W) depth, uint16 steps of `scale_m` (65535 is none) or float m, to float32 m, 0 for none."""
    if image.ndim != 2 or image.dtype not in (np.uint16, np.float32, np.float64):
        raise CalibrationError(
            f"a depth image must be (H, W) of 16-bit steps (16UC1) or float metres (32FC1), got {image.shape} of "
            f"{image.dtype}"
        )
    if image.dtype == np.uint16:
        return np.asarray(np.where(image != 65535, image, 0).astype(np.float32) / np.float32(1 / scale_m))
    depth = image.astype(np.float32)
    return np.asarray(np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0)))


@functools.lru_cache(maxsize=4)
def compute_ray_grid(camera: CameraModel) -> NDArray[np.float32]:
    """Compute each pixel's ray, (H, W, 2) x / z and y / z; NaN without one."""
    plane = camera.normalize_points(camera.pixel_grid()).reshape(*camera.size[::-1], 2).astype(np.float32)
    plane.flags.writeable = False
    return plane


def extract_cloud(
    mask: NDArray[np.bool_], depth: Depth, camera: CameraModel, settings: CloudSettings | None = None
) -> PointCloud:
    """Extract an object's points from its (H, W) mask and depth; raises `CloudError` without a surface.

    Mask, depth and camera must have the same size: register depth of another camera first.
    """
    settings = settings or CloudSettings()
    if mask.shape != depth.shape or mask.shape[::-1] != camera.size:
        raise CalibrationError(
            f"mask {mask.shape[::-1]}, depth {depth.shape[::-1]} and camera {camera.size} must be of one size; "
            "depth of another camera must be registered first"
        )
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise CloudError("the mask is empty", 0.0)
    step = max(1, math.ceil(math.sqrt(np.count_nonzero(mask) / settings.most_pixels)))
    crop = slice(rows[0], rows[-1] + 1, step), slice(columns[0], columns[-1] + 1, step)
    inside, near = mask[crop].astype(np.uint8), np.ascontiguousarray(depth[crop])
    lines = np.ascontiguousarray(compute_ray_grid(camera)[crop]).reshape(-1, 2)
    measured = ((near > 0) & np.isfinite(lines[:, 0]).reshape(near.shape)).astype(np.uint8) & inside
    size, measured_count = int(np.count_nonzero(inside)), int(np.count_nonzero(measured))
    valid = measured_count / size
    if valid < settings.least_valid or measured_count < _MIN_PIXELS:
        raise CloudError(
            f"{100 * valid:.0f} % of the mask has depth, {100 * settings.least_valid:.0f} % are needed", valid
        )
    per_px = step / math.sqrt(camera.fx * camera.fy)
    keep, noise_m, pitch_m = _segment_surface(inside, measured, near, per_px, -(-settings.erode_px // step))
    found = np.flatnonzero(keep)
    if len(found) < _MIN_PIXELS:
        raise CloudError("the depth in the mask is not one connected surface", valid)
    points = np.empty((len(found), 3), np.float32)
    points[:, 2] = near.ravel().take(found)
    points[:, :2] = lines.take(found, axis=0) * points[:, 2:]
    voxel_m = settings.voxel_m or _choose_voxel_size(len(points) * pitch_m**2, settings.cells)
    cells, kept, voxel_m = _downsample(points, voxel_m)
    if np.count_nonzero(kept) < _MIN_PIXELS:
        raise CloudError("the depth in the mask is not one connected surface", valid)
    return PointCloud(points[kept], cells, voxel_m, valid, float(kept.sum()) / size, noise_m, pitch_m)


def _segment_surface(
    inside: NDArray[np.uint8], measured: NDArray[np.uint8], depth: Depth, per_px: float, erode_px: int
) -> tuple[NDArray[np.bool_], float, float]:
    """Segment the object's pixels, (H, W); also the noise from pixel to pixel, m, and their pitch, m."""
    core = _erode_mask(inside, measured, erode_px)
    some = depth[core > 0]
    some = some[:: 1 + len(some) // 3000]
    middle = float(np.median(some))
    spread = 1.4826 * float(np.median(np.abs(some - np.float32(middle))))  # a robust standard deviation
    pitch_m = per_px * middle
    across = math.hypot(*inside.shape) * pitch_m
    # An object may be as deep as it is wide; connectivity is checked below.
    half = max(4 * spread, across) + 0.01
    gated = measured & (np.abs(depth - np.float32(middle)) <= half)
    noise_m = min(_estimate_noise(depth, gated), 0.01 + 0.01 * middle)  # a noisier one is no surface
    # A surface tilted by 76 degrees recedes by 4 pixel widths per pixel; two pixels make a difference.
    jump = np.float32(8 * pitch_m + 6 * noise_m)
    smooth = gated & (_local_range(depth, gated) <= jump)
    # A mask that bleeds by a pixel more than it was eroded leaves lines one pixel wide.
    parts = _keep_large_components(smooth & core)
    keep = np.asarray(cv2.morphologyEx(parts, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    if not keep.any():
        keep = parts
    # Beside the core only what continues its surface: a mask that bleeds onto a table is connected to it.
    # Farther away, as in handles, connected pixels belong to the object.
    reach = max(2, 2 * erode_px)
    rim = (core == 0) | (parts > keep)
    beside = (cv2.distanceTransform(1 - keep, cv2.DIST_L2, 3) <= reach) & rim
    bent = np.abs(depth - _extrapolate_surface(keep, depth, reach + 2)) > 3 * noise_m + pitch_m
    gated &= ~(beside & bent)
    keep = _keep_connected(smooth & gated, keep)
    for _ in range(2):  # the pixels at steps, on the near side
        weight = cv2.blur(keep.astype(np.float32), (3, 3))
        mean = cv2.blur(depth * keep, (3, 3)) / np.maximum(weight, 1e-6)
        keep |= gated & (weight > 1e-3) & (np.abs(depth - mean) <= 3 * noise_m + 1.5 * pitch_m)
    return keep.astype(bool), noise_m, pitch_m


def _erode_mask(inside: NDArray[np.uint8], measured: NDArray[np.uint8], erode_px: int) -> NDArray[np.uint8]:
    """Erode the mask to the measured pixels; by less where too few would be left."""
    least = max(_MIN_PIXELS, 0.3 * np.count_nonzero(measured))
    padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    away = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    for pixels in range(erode_px, 0, -1):
        core = measured & (away > pixels)
        if np.count_nonzero(core) >= least:
            return np.asarray(core, np.uint8)
    return measured


def _estimate_noise(depth: Depth, gated: NDArray[np.uint8]) -> float:
    """Estimate the depth noise from second differences, which slopes do not change."""
    bend = depth[:, :-2] - 2 * depth[:, 1:-1] + depth[:, 2:]
    whole = (gated[:, :-2] & gated[:, 1:-1] & gated[:, 2:]) > 0
    if np.count_nonzero(whole) < _MIN_PIXELS:
        return 0.002
    some = np.sort(np.abs(bend[whole])[:: 1 + np.count_nonzero(whole) // 3000])
    # The mean of the lower 0.8, which is 0.559 sigma: a median of whole millimetres would be 0 or 1.
    return max(_ROUNDING_SD_M, float(some[: int(0.8 * len(some))].mean()) / 0.559 / math.sqrt(6))


def _local_range(depth: Depth, gated: NDArray[np.uint8]) -> Depth:
    """Compute the largest difference among the measured pixels of each 3 x 3."""
    window = np.ones((3, 3), np.uint8)
    is_measured = gated > 0
    high = cv2.dilate(np.where(is_measured, depth, np.float32(-1e9)), window)
    low = cv2.erode(np.where(is_measured, depth, np.float32(1e9)), window)
    return np.asarray(high - low, np.float32)


def _extrapolate_surface(core: NDArray[np.uint8], depth: Depth, radius: int) -> Depth:
    """Extrapolate the core's surface, (H, W), by a plane through its pixels within `radius`.

    With box sums; the mean where there are too few pixels for a plane; NaN without any.
    """
    y, x = np.mgrid[: core.shape[0], : core.shape[1]].astype(np.float32)
    x, y, z = x - np.float32(core.shape[1] / 2), y - np.float32(core.shape[0] / 2), depth

    def total(of: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(cv2.boxFilter(of, cv2.CV_64F, (2 * radius + 1,) * 2, normalize=False,
                                        borderType=cv2.BORDER_CONSTANT))  # fmt: skip

    weight = core.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = total(weight)

        def mean(of: NDArray[np.float32]) -> NDArray[np.float64]:
            return total(weight * of) / count

        mx, my, mz = mean(x), mean(y), mean(z)
        xx, xy, yy = mean(x * x) - mx * mx, mean(x * y) - mx * my, mean(y * y) - my * my
        xz, yz = mean(x * z) - mx * mz, mean(y * z) - my * mz
        spread = xx * yy - xy * xy
        plane = mz + ((xz * yy - yz * xy) * (x - mx) + (yz * xx - xz * xy) * (y - my)) / spread
        return np.asarray(np.where((count >= 9) & (spread > 0.5), plane, mz), np.float32)


def _keep_large_components(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep components of at least a tenth of the largest: occluders may split an object."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=4, ltype=cv2.CV_32S)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    good = areas >= 0.1 * areas.max(initial=1)
    good[0] = False
    return np.asarray(good[labels], np.uint8)


def _keep_connected(pixels: NDArray[np.uint8], core: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the components of `pixels` that overlap the core, as thin handles do."""
    count, labels = cv2.connectedComponents(pixels, connectivity=4, ltype=cv2.CV_32S)
    good = np.zeros(count, bool)
    good[labels[core > 0]] = True
    good[0] = False
    return np.asarray(good[labels], np.uint8)


def _choose_voxel_size(area_m2: float, cells: int) -> float:
    """Choose a round side, m, such that a surface of that area has at most `cells` cells."""
    wanted = math.sqrt(area_m2 / cells)
    scale = 10 ** math.floor(math.log10(wanted))
    return float(next((nice * scale for nice in _ROUND_FACTORS if nice * scale >= wanted), 10 * scale))


def _downsample(points: Points, voxel_m: float) -> tuple[Points, NDArray[np.bool_], float]:
    """Average the points of each occupied cell with neighbours; also (N,) which points are kept, and the side.

    Neighbours are counted in a cube of 5 x 5 x 5 cells; a cell with a fifth of the usual number hangs in the air.
    """
    index = [np.floor(column / np.float32(voxel_m)).astype(np.int64) for column in points.T]
    # Two empty cells on each side, for the count of neighbours.
    index = [places - (int(places.min()) - 2) for places in index]
    shape = [int(places.max()) + 3 for places in index]
    if math.prod(shape) > _MAX_VOXELS:
        return _downsample(points, 2 * voxel_m)
    key = (index[0] * shape[1] + index[1]) * shape[2] + index[2]
    count = np.bincount(key, minlength=math.prod(shape))
    occupied = np.flatnonzero(count)
    around = (count > 0).astype(np.uint8).reshape(shape)
    for axis in range(3):
        around = sum((np.roll(around, shift, axis) for shift in (-2, -1, 1, 2)), around)
    crowd = around.ravel()[occupied]
    good = crowd >= max(3.0, 0.2 * float(np.median(crowd)))
    place = np.zeros(len(count), np.int32)  # 0 is the place of rejected cells
    place[occupied[good]] = np.arange(1, int(good.sum()) + 1)
    cell = place[key]
    sums = np.column_stack([np.bincount(cell, weights=column)[1:] for column in points.T])
    return (sums / count[occupied[good]][:, None]).astype(np.float32), cell > 0, voxel_m
