"""A text within a PNG: readers of pictures ignore it, and what was cut off is recognized."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime.media.png_text import add_png_text, is_whole_png, read_png_text

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
PNG = cv2.imencode(".png", IMAGE)[1].tobytes()


@given(st.text(max_size=40))
def test_a_text_is_read_back_and_the_picture_is_the_same(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "text.png"
    file.write_bytes(add_png_text(PNG, "key", text))
    assert (read_png_text(file, "key"), read_png_text(file, "other"), is_whole_png(file)) == (text, None, True)
    np.testing.assert_array_equal(cv2.imread(str(file)), IMAGE)


def test_of_every_beginning_the_text_is_whole_or_none(tmp_path):
    file, data = tmp_path / "cut.png", add_png_text(PNG, "key", "some text")
    read = []
    for length in range(len(data)):
        file.write_bytes(data[:length])
        read.append(read_png_text(file, "key"))
        assert not is_whole_png(file)
    assert set(read) == {None, "some text"}
    assert read == sorted(read, key=bool)
    file.write_bytes(PNG)
    assert (read_png_text(file, "key"), is_whole_png(file), is_whole_png(tmp_path / "none")) == (None, True, False)
