import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from realtime.comms.mask_encoding import ENCODINGS, MAX_PIXELS, decode_mask, encode_mask
from realtime.errors import WireError

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(mask=masks)
@settings(max_examples=60, deadline=None)
def test_every_encoding_is_exact(encoding, mask):
    fields = encode_mask(mask, encoding)
    back = decode_mask(fields)
    assert back.dtype == bool
    np.testing.assert_array_equal(back, mask)
    assert (fields["height"], fields["width"]) == mask.shape


@given(mask=masks)
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on numpy 2
def test_coco_counts_are_those_of_pycocotools(mask):
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_mask(mask, "coco_rle")["data"] == theirs["counts"]
    np.testing.assert_array_equal(decode_mask(encode_mask(mask, "coco_rle")), coco.decode(theirs) > 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_hostile_bytes_are_wire_errors_or_masks_of_the_stated_size(encoding, data):
    try:
        mask = decode_mask({"encoding": encoding, "width": 7, "height": 5, "data": data})
    except WireError:
        return
    assert mask.shape == (5, 7)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_truncated_data_is_refused(encoding):
    fields = encode_mask(np.random.default_rng(0).random((40, 60)) > 0.5, encoding)
    for cut in (0, 1, len(fields["data"]) // 2, len(fields["data"]) - 1):
        with pytest.raises(WireError, match=r"mask data is not|mask\.data"):
            decode_mask({**fields, "data": fields["data"][:cut]})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoding": "jpeg"}, "'jpeg'"),
        ({"width": 0}, "0 x 5"),
        ({"width": MAX_PIXELS, "height": 2}, "expected 1 to"),
        ({"width": "7"}, "mask.width must be a whole number"),
        ({"height": True}, "mask.height must be a whole number"),
        ({"data": "text"}, "must be bytes, got 'text'"),
    ],
)
def test_wrong_fields_are_named(change, expected):
    fields = {**encode_mask(np.ones((5, 7), bool)), **change}
    with pytest.raises(WireError, match=expected.replace(".", r"\.")):
        decode_mask(fields)


def test_a_zstd_bomb_is_refused_before_it_is_unpacked():
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    with pytest.raises(WireError, match="268435456 bytes"):
        decode_mask({"encoding": "packbits+zstd", "width": 7, "height": 5, "data": bomb})


def test_a_png_of_another_size_is_refused_before_it_is_decoded():
    big = encode_mask(np.zeros((3000, 3000), bool), "png")
    with pytest.raises(WireError, match="3000 x 3000"):
        decode_mask({**big, "width": 7, "height": 5})
