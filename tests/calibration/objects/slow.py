"""Computes the same results slowly; shares no code with the code under test."""

from __future__ import annotations

import math

import cv2
import numpy as np


def surface(points: np.ndarray, side_m: float = 0.003, least: int = 3) -> np.ndarray:
    """Select the connected ones of (N, 3) points: cells with several points, joined with their 26 neighbours."""
    cells: dict[tuple[int, ...], list[int]] = {}
    for number, cell in enumerate(map(tuple, np.floor(points / side_m).astype(int).tolist())):
        cells.setdefault(cell, []).append(number)
    left = {cell for cell, inside in cells.items() if len(inside) >= least}
    parts = []
    while left:
        todo, part = [left.pop()], []
        while todo:
            cell = todo.pop()
            part += cells[cell]
            for step in np.ndindex(3, 3, 3):
                beside = tuple(cell[axis] + step[axis] - 1 for axis in range(3))
                if beside in left:
                    left.remove(beside)
                    todo.append(beside)
        parts.append(part)
    largest = max(map(len, parts))
    return points[np.concatenate([part for part in parts if len(part) >= 0.1 * largest])]


def smallest_box(points: np.ndarray) -> np.ndarray:
    """Compute the sides, longest first, of the smallest box round all (N, 3) points."""
    points = points - points.mean(0)
    along = spread(2000) @ points.T
    corners = points[np.unique(np.r_[along.argmax(1), along.argmin(1)])]

    def tried(normal: np.ndarray) -> tuple[float, list[float]]:
        beside = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
        beside /= np.linalg.norm(beside)
        flat = np.stack([corners @ beside, corners @ np.cross(normal, beside)], 1)
        _, (wide, high), _ = cv2.minAreaRect((1000 * flat).astype(np.float32))
        sides = sorted((wide / 1000, high / 1000, float(np.ptp(corners @ normal))), reverse=True)
        return math.prod(sides), sides

    lattice = spread(600)
    volumes = [tried(normal)[0] for normal in lattice]
    best = []
    for start in np.argsort(volumes)[:6]:
        normal, volume, step = lattice[start], volumes[start], 0.03
        while step > 1e-3:
            near = [normal + step * axis for axis in np.vstack([np.eye(3), -np.eye(3)])]
            near = [axis / np.linalg.norm(axis) for axis in near]
            found = [tried(axis)[0] for axis in near]
            if min(found) < volume:
                normal, volume = near[int(np.argmin(found))], min(found)
            else:
                step /= 2
        best.append(tried(normal))
    return np.array(min(best)[1])


def spread(count: int) -> np.ndarray:
    k = np.arange(count)
    z, turn = (k + 0.5) / count, k * math.pi * (3 - 5**0.5)
    return np.column_stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])
