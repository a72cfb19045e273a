"""One thing's pose over time: steady while it stands, following while it moves, its axes named the same throughout.

Place: a Kalman filter of constant velocity, whose process noise rises when what is measured contradicts it and falls
when it agrees again (adjustable level of process noise: Bar-Shalom, Li & Kirubarajan, "Estimation with Applications to
Tracking and Navigation", 2001, 11.2). Orientation: an error of small turns on SO(3), with a gain of its own. Boxes have
no front: of the 24 ways to name a box's axes that one is taken which is nearest to the last, as long as the sides fit.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from calibration.lens import Floats
from calibration.objects.boxes import OrientedBox
from calibration.rigid import RigidTransform, rotation_from_rotvec, rotvec_from_rotation

CALM_M_S2, LIVELY_M_S2 = 0.02, 5.0
"""Standard deviations of acceleration for what stands and for what is carried by a hand."""
MOST_GAP_S = 0.6
"""After this long nothing is known of a thing's pose any more."""
_FORGET_S = 0.25
_ODD_RAD, _ODD_LOG = math.radians(15), math.log(1.3)
"""Turns and sides that differ more from the last ones are another reading of the shape, believed when they stay."""
_BELIEVE = 5
_OTHER_AREA = 1.5
"""A surface that is so many times as large, or small, from one frame to the next is another part of the thing."""
_ALIKE = 0.02
"""Sides this much apart are of one length: which one is longer changes with the noise, the axes' names must not."""


@dataclass(frozen=True, slots=True, eq=False)
class SteadyPose:
    """camera_from_object, m; extents_m: (3,), none longer than the one before.

    velocity_m_s: (3,), None until it is known. covariance: (6, 6) of place and velocity, m and m/s. moving: whether
    the velocity is told from 0.
    """

    pose: RigidTransform
    extents_m: Floats
    velocity_m_s: Floats | None
    covariance: Floats
    moving: bool


class PoseFilter:
    """The state of one thing; time is an argument. `update` with each box, in the order of time."""

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._began_s = 0.0
        self._count = self._odd = 0
        self._state = np.zeros(6)
        self._covariance = np.eye(6)
        self._offset = np.zeros(3)
        self._turn = np.eye(3)
        self._sides = np.ones(3)
        self._surprise = self._area_m2 = 0.0
        self._lively = False

    @property
    def axes(self) -> Floats | None:
        """(3, 3) camera_from_object as it is believed, for whoever fits the next box; None before the first."""
        return None if self._at_s is None else self._turn

    def update(
        self, at_s: float, box: OrientedBox, centroid_m: Floats, noise_m: float, area_m2: float = 0.0
    ) -> SteadyPose:
        """Take a box and the mean of its points, seen at `at_s`.

        noise_m: of that mean, from frame to frame. area_m2: of the surface that was seen, 0 where that is not known;
        where it or the place jumps, the mask has gone from a part to the whole, or back: nothing has moved.
        """
        step_s = math.inf if self._at_s is None else at_s - self._at_s
        if not 0 < step_s <= MOST_GAP_S or self._jumped(step_s, box, centroid_m, area_m2):
            self._begin(at_s, box, centroid_m, noise_m)
        else:
            self._follow(step_s, centroid_m, noise_m)
            self._shape(step_s, box, centroid_m)
        self._at_s, self._area_m2 = at_s, area_m2
        self._count += 1
        return self._said(at_s)

    def _jumped(self, step_s: float, box: OrientedBox, centroid_m: Floats, area_m2: float) -> bool:
        """Whether it is another part that is seen."""
        expected = self._state[:3] + step_s * self._state[3:]
        away_m = float(np.linalg.norm(centroid_m - expected))
        grown = area_m2 / self._area_m2 if area_m2 > 0 and self._area_m2 > 0 else 1.0
        furthest_m = max(0.02, 0.2 * float(box.extents_m[0])) + LIVELY_M_S2 * step_s**2
        return away_m > furthest_m or not 1 / _OTHER_AREA < grown < _OTHER_AREA

    def _begin(self, at_s: float, box: OrientedBox, centroid_m: Floats, noise_m: float) -> None:
        self._began_s, self._count, self._odd, self._surprise, self._lively = at_s, 0, 0, 0.0, False
        self._state = np.concatenate([centroid_m, np.zeros(3)])
        self._covariance = np.diag([noise_m**2] * 3 + [0.25] * 3)
        # Until something was seen, the names that are nearest to the camera's own axes.
        self._turn, self._sides = _near(box.pose.rotation, box.extents_m, self._turn, box.extents_m)
        self._offset = box.pose.translation_m - centroid_m

    def _follow(self, step_s: float, centroid_m: Floats, noise_m: float) -> None:
        move = np.eye(6)
        move[:3, 3:] = step_s * np.eye(3)
        push = np.concatenate([0.5 * step_s**2 * np.eye(3), step_s * np.eye(3)])
        acceleration = LIVELY_M_S2 if self._lively else CALM_M_S2
        state = move @ self._state
        covariance = move @ self._covariance @ move.T + acceleration**2 * push @ push.T
        surprise = centroid_m - state[:3]
        expected = covariance[:3, :3] + noise_m**2 * np.eye(3)
        self._surprise += min(1.0, step_s / 0.1) * (
            float(surprise @ np.linalg.solve(expected, surprise)) / 3 - self._surprise
        )
        if not self._lively and self._surprise > 3:
            self._lively, self._surprise = True, 1.0
            covariance = covariance + LIVELY_M_S2**2 * push @ push.T
            expected = covariance[:3, :3] + noise_m**2 * np.eye(3)
        elif self._lively and self._surprise < 1.5 and self._standing(state, covariance):
            self._lively = False
        gain = np.linalg.solve(expected, covariance[:3]).T
        self._state = state + gain @ surprise
        # Joseph's form stays symmetric and positive whatever is rounded.
        rest = np.eye(6)
        rest[:, :3] -= gain
        self._covariance = rest @ covariance @ rest.T + noise_m**2 * gain @ gain.T

    def _standing(self, state: Floats, covariance: Floats) -> bool:
        speed = float(np.linalg.norm(state[3:]))
        return speed < max(0.01, 2 * math.sqrt(float(np.trace(covariance[3:, 3:])) / 3))

    def _shape(self, step_s: float, box: OrientedBox, centroid_m: Floats) -> None:
        """Let turn, sides and the centre's offset follow; what is odd is believed when it comes again and again."""
        turn, sides = _near(box.pose.rotation, box.extents_m, self._turn, self._sides)
        rotvec = rotvec_from_rotation(self._turn.T @ turn)
        thin = np.maximum(self._sides, 0.1 * self._sides.max())
        logs = np.log(np.maximum(sides, 0.1 * self._sides.max()) / thin)
        odd = float(np.linalg.norm(rotvec)) > _ODD_RAD or float(np.abs(logs).max()) > _ODD_LOG
        self._odd = self._odd + 1 if odd else 0
        if odd and self._odd < _BELIEVE:
            return
        gain = 1.0 if odd else 1 - math.exp(-step_s / (0.4 * _FORGET_S if self._lively else 2 * _FORGET_S))
        gain = max(gain, 1 / (self._count + 1))  # at first, the mean
        self._odd = 0
        self._turn = self._turn @ rotation_from_rotvec(gain * rotvec)
        self._sides = self._sides + gain * (sides - self._sides)
        self._offset = self._offset + gain * (box.pose.translation_m - centroid_m - self._offset)

    def _said(self, at_s: float) -> SteadyPose:
        self._rename()
        pose = RigidTransform(self._turn, self._state[:3] + self._offset)
        self._turn = pose.rotation.copy()  # what was rounded must not add up
        known = self._count >= 4 and at_s - self._began_s > 0.08
        speed, spread = float(np.linalg.norm(self._state[3:])), math.sqrt(float(np.trace(self._covariance[3:, 3:])) / 3)
        moving = known and speed > max(0.02, 3 * spread)
        velocity = self._state[3:].copy() if known else None
        return SteadyPose(pose, _descending(self._sides), velocity, self._covariance.copy(), moving)

    def _rename(self) -> None:
        """Longest side first, once one is longer for certain."""
        for first, second in ((0, 1), (1, 2), (0, 1)):
            if self._sides[second] > self._sides[first] * (1 + _ALIKE):
                swap = np.arange(3)
                swap[[first, second]] = second, first
                self._sides, self._turn = self._sides[swap], self._turn[:, swap]
                self._turn[:, second] *= -1  # right-handed again


def _near(turn: Floats, sides: Floats, last_turn: Floats, last_sides: Floats) -> tuple[Floats, Floats]:
    """Of the 24 right-handed ways to name a box's axes, the one nearest to the last in turn and sides."""
    best, least = (turn, sides), math.inf
    floor = 0.1 * float(last_sides.max())
    for named in _NAMES:
        turned, order = turn @ named, np.abs(named).argmax(0)
        angle = math.acos(max(-1.0, min(1.0, (float(np.trace(last_turn.T @ turned)) - 1) / 2)))
        logs = np.log(np.maximum(sides[order], floor) / np.maximum(last_sides, floor))
        cost = (angle / math.radians(20)) ** 2 + float((logs**2).sum()) / 0.15**2
        if cost < least:
            best, least = (turned, sides[order]), cost
    return best


def _descending(sides: Floats) -> Floats:
    """Where two sides are alike and in the wrong order, their mean for both."""
    out = sides.copy()
    for first, second in ((0, 1), (1, 2), (0, 1)):
        if out[second] > out[first]:
            out[[first, second]] = (out[first] + out[second]) / 2
    return out


def _names() -> list[Floats]:
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            named = np.zeros((3, 3))
            named[list(order), range(3)] = signs
            if np.linalg.det(named) > 0:
                found.append(named)
    return found


_NAMES = _names()
