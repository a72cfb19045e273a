"""Which channels of a stream are gaze, and what its samples mean: descriptions as bridges of trackers write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import SourceError
from realtime.sources.lsl.channels import LslChannel, LslDescription, LslOptions, select_channels
from realtime.sources.lsl.sample_reader import SampleReader

NAN = math.nan
XY = (("x", "ScreenX", "pixels"), ("y", "ScreenY", "pixels"))
PUPIL = (  # label, type, unit, eye
    ("confidence", "Confidence", "normalized", "both"),
    ("norm_pos_x", "ScreenX", "normalized", "both"),
    ("norm_pos_y", "ScreenY", "normalized", "both"),
    ("gaze_point_3d_x", "DirectionX", "mm", "both"),
    ("gaze_point_3d_y", "DirectionY", "mm", "both"),
    ("eye_center0_3d_x", "PositionX", "mm", "right"),
    ("eye_center0_3d_y", "PositionY", "mm", "right"),
    ("diameter0_2d", "Diameter", "pixels", "right"),
)
PER_EYE = (
    ("left_x", "ScreenX", "screencoords", "left"),
    ("left_y", "ScreenY", "screencoords", "left"),
    ("left_pupil", "pupilsize", "", "left"),
    ("right_x", "ScreenX", "screencoords", "right"),
    ("right_y", "ScreenY", "screencoords", "right"),
    ("right_pupil", "pupilsize", "", "right"),
)
VALIDITY = (
    ("L_GazeX", "", "px"),
    ("L_GazeY", "", "px"),
    ("L validity", "", ""),
    ("R_GazeX", "", "px"),
    ("R_GazeY", "", "px"),
    ("R validity", "", ""),
)
GAZEPOINT = (
    ("FPOGX", "gaze", "percent"),
    ("FPOGY", "gaze", "percent"),
    ("FPOGV", "gaze", "boolean"),
    ("BPOGX", "gaze", "percent"),
    ("BPOGY", "gaze", "percent"),
    ("BPOGV", "gaze", "boolean"),
    ("LPCX", "gaze", "percent"),
    ("LPCY", "gaze", "percent"),
)
SEVERAL = (
    ("Screen_X_left", "ScreenX", "pixels", "left"),
    ("Screen_Y_left", "ScreenY", "pixels", "left"),
    ("Screen_X_both", "ScreenX", "pixels", "both"),
    ("Screen_Y_both", "ScreenY", "pixels", "both"),
    ("PupilX_left", "PupilX", "pixels", "left"),
    ("PupilY_left", "PupilY", "pixels", "left"),
)
UNITY = (("GazeX", "ScreenX", "pixels"), ("GazeY", "ScreenY", "pixels"), ("LocalTime", "Timestamp", "seconds"),
         ("IsValid", "Quality", "boolean"))  # fmt: skip
BLINKS = (*XY, ("blink", "Blink", "bool"))
PER_CENT = (("gaze x", "", "percent"), ("gaze y", "", "percent"), ("quality", "", "%"))


def described(channels: tuple[tuple[str, ...], ...], **fields: object) -> LslDescription:
    found = tuple(LslChannel(*channel) for channel in channels)
    return LslDescription(**{"name": "G", "count": len(found), "channels": found, **fields})  # type: ignore[arg-type]


def read(channels: tuple[tuple[str, ...], ...], *samples: tuple[float, ...], **options: object) -> object:
    """What the last sample means: unit, x, y, confidence."""
    reader = SampleReader(select_channels(described(channels), LslOptions(**options)))  # type: ignore[arg-type]
    for values in samples:
        found = reader.read(values)
    return None if found is None else (reader.channels.unit, *(round(number, 6) for number in found))


@pytest.mark.parametrize(
    ("channels", "samples", "wanted"),
    [
        (XY, [(3, 4)], ("px", 3, 4, 1)),
        (XY, [(3, 4), (NAN, 5)], ("px", 3, 4, 0)),
        (XY, [(3, 4), (0, 0)], ("px", 3, 4, 0)),
        (XY, [(3, 4), (-32768, -32768)], ("px", 3, 4, 0)),
        (XY, [(math.inf, 4)], None),
        (XY, [(-5, 4)], ("px", -5, 4, 1)),
        (PUPIL, [(0.9, 0.25, 0.1, 1, 2, 3, 4, 20)], ("norm", 0.25, 0.9, 0.9)),
        (PUPIL, [(0.9, 0.25, 0.1, NAN, NAN, 3, 4, NAN)], ("norm", 0.25, 0.9, 0.9)),
        (PUPIL, [(0.9, 0.25, 0.1, 1, 2, 3, 4, 20), (0.0, 0.5, 0.5, 1, 2, 3, 4, 20)], ("norm", 0.25, 0.9, 0)),
        (PER_EYE, [(0.2, 0.4, 3, 0.3, 0.6, 3)], ("norm", 0.25, 0.5, 1)),
        (PER_EYE, [(0.2, 0.4, 3, NAN, NAN, 3)], ("norm", 0.2, 0.4, 1)),
        (PER_EYE, [(0.2, 0.4, 3, 0.3, 0.6, 3), (0.2, 0.4, 3, 0.9, 0.9, 0)], ("norm", 0.2, 0.4, 1)),
        (PER_EYE, [(0.2, 0.4, 0, 0.3, 0.6, 0)], ("norm", 0.25, 0.5, 1)),  # a tracker that measures no pupils
        (PER_EYE, [(-1, -1, 3, 0.3, 0.6, 3)], ("norm", 0.3, 0.6, 1)),
        (VALIDITY, [(10, 20, 1, 30, 40, 1)], ("px", 20, 30, 1)),
        (VALIDITY, [(10, 20, 1, 30, 40, 0)], ("px", 10, 20, 1)),
        (VALIDITY, [(0, 0, 1, 30, 40, 0)], ("px", 0, 0, 1)),
        (VALIDITY, [(10, 20, 0, 30, 40, NAN)], None),
        (GAZEPOINT, [(0.1, 0.1, 0, 0.5, 0.25, 1, 9, 9)], ("norm", 0.5, 0.25, 1)),
        (GAZEPOINT, [(0.1, 0.1, 1, 0.5, 0.25, 0, 9, 9)], None),
        (SEVERAL, [(1, 2, 3, 4, 5, 6)], ("px", 3, 4, 1)),
        (UNITY, [(1, 2, 3, 1)], ("px", 1, 2, 1)),
        (UNITY, [(1, 2, 3, 0)], None),
        (BLINKS, [(1, 2, 0), (5, 6, 1)], ("px", 1, 2, 0)),
        (PER_CENT, [(50, 25, 80)], ("norm", 0.5, 0.25, 0.8)),
    ],
)
def test_what_samples_mean(
    channels: tuple[tuple[str, ...], ...], samples: list[tuple[float, ...]], wanted: object
) -> None:
    assert read(channels, *samples) == wanted


def test_options_say_what_a_description_does_not() -> None:
    bare = (("a", "", ""), ("b", "", ""))
    assert read(bare, (1, 2), x="b", y="0", unit="px") == ("px", 2, 1, 1)
    assert read(XY, (480, 270), size=(1920, 1080)) == ("norm", 0.25, 0.25, 1)
    assert read(XY, (480, 270), size=(1920, 1080), is_origin_bottom=True) == ("norm", 0.25, 0.75, 1)
    assert read(PUPIL, (0.9, 0.25, 0.1, *[0] * 5), is_origin_bottom=False) == ("norm", 0.25, 0.1, 0.9)
    mm = (("x", "ScreenX", "mm"), ("y", "ScreenY", "mm"))
    assert read(mm, (100, 50), size=(400, 200)) == ("norm", 0.25, 0.25, 1)
    reader = SampleReader(select_channels(LslDescription("G", 4), LslOptions(x="2", y="3", unit="norm")))
    assert reader.read((9, 9, 0.5, 0.25)) == (0.5, 0.25, 1)


def test_pixels_of_a_described_screen_are_fractions_of_it() -> None:
    channels = select_channels(described(XY, size=(1920.0, 1080.0)))
    assert SampleReader(channels).read((960, 270)) == (0.5, 0.25, 1)
    assert channels.unit == "norm"


@pytest.mark.parametrize(
    ("stream", "options", "message"),
    [
        (described((("C3", "EEG", "uV"), ("C4", "EEG", "uV"))), {}, r"no gaze channels; it has C3 \(EEG, uV\), C4"),
        (LslDescription("G", 3), {}, "no gaze channels; it describes none. If one is gaze, name it by label or number"),
        (described(XY, count=5), {}, "describes 2 channels and sends 5"),
        (described(XY, is_text=True), {}, "sends text, no gaze"),
        (described((("x", "ScreenX", ""), ("y", "ScreenY", ""))), {}, "has no unit; add it: lsl:NAME\\?unit=px"),
        (described((("x", "ScreenX", "mm"), ("y", "ScreenY", "mm"))), {}, "is in mm; add the size of the screen"),
        (described((("x", "ScreenX", "degrees"), ("y", "ScreenY", "degrees"))), {}, "is in 'degrees', which is no"),
        (described((("x", "DirectionX", ""), ("y", "DirectionY", ""))), {}, "no gaze channels"),
        (described((("x", "ScreenX", "px"),)), {}, "no gaze channels"),
        (described(XY), {"x": "z", "y": "y"}, "no channel 'z'; it has x, y"),
        (LslDescription("G", 2), {"x": "1", "y": "2"}, "no channel '2'; it has 0 to 1"),
        (described(XY), {"is_origin_bottom": True}, "origin=bottom of pixels needs the height"),
    ],
)
def test_streams_that_cannot_be_used(stream: LslDescription, options: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        select_channels(stream, LslOptions(**options))  # type: ignore[arg-type]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=8, max_size=8))
def test_no_sample_becomes_a_position_that_is_not_finite(values: list[float]) -> None:
    for channels in (PUPIL, GAZEPOINT):
        found = SampleReader(select_channels(described(channels))).read(values)
        assert found is None or (math.isfinite(found[0]) and math.isfinite(found[1]) and 0 <= found[2] <= 1)
