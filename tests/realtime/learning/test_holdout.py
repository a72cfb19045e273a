"""What is held out stays held out when more is learned from, so that no adapter is tested with what it has learned."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.learning.adapter import AdapterInfo
from realtime.learning.holdout import MIN_RECORDINGS, PictureIdentity, assign_roles, has_learned

PICTURES = st.builds(
    PictureIdentity, st.text("0123456789abcdef", min_size=1, max_size=3), st.sampled_from(["", *"abcdefgh"])
)
SETS = st.lists(PICTURES, max_size=80)


def select(pictures, *roles):
    return {each for each, role in zip(pictures, assign_roles(pictures), strict=True) if role in roles}


@given(SETS, SETS)
def test_what_is_tested_stays_so_whatever_is_added(first, more):
    assert select(first, "test") <= select([*first, *more], "test")


@given(st.lists(SETS, min_size=1, max_size=5))
def test_no_adapter_of_any_round_learned_from_what_a_later_round_compares_it_on(rounds):
    known, adapters = [], []
    for answered in rounds:
        known += answered
        adapters.append(
            AdapterInfo("decoder", "m", groups=tuple(each.content for each in select(known, "stop", "train")))
        )
        for adapter in adapters:
            fair = {each.content for each in select(known, "test") if not has_learned(adapter, each)}
            assert not fair & set(adapter.groups)
    recordings = {each.recording for each in known if each.recording}
    if len(recordings) < MIN_RECORDINGS:  # no recording became a test as a whole: all adapters know the same test
        contents = {each.content for each in select(known, "test")}
        assert not any(contents & set(adapter.groups) for adapter in adapters)


@given(SETS, st.randoms())
def test_the_order_and_a_second_copy_change_nothing(pictures, random):
    mixed = [*pictures, *pictures]
    random.shuffle(mixed)
    for role in ("test", "stop", "train"):
        assert select(mixed, role) == select(pictures, role)


def test_a_picture_has_one_role_under_each_name_where_no_recording_is_apart():
    names = [PictureIdentity(f"{k:x}", recording) for k in range(200) for recording in ("", "a", "b")]
    roles = dict(zip(names, assign_roles(names), strict=True))
    assert all(len({roles[PictureIdentity(f"{k:x}", each)] for each in ("", "a", "b")}) == 1 for k in range(200))


def test_about_a_fifth_is_tested_and_some_of_many_recordings_as_a_whole():
    few = [PictureIdentity(f"{k:x}", "ab"[k % 2]) for k in range(1000)]
    assert 0.15 < len(select(few, "test")) / len(few) < 0.25
    assert 0.15 < len(select(few, "stop")) / len(few) < 0.25
    many = [PictureIdentity(f"{k:x}", f"recording {k % 40}") for k in range(4000)]
    rest = {each.recording for each in select(many, "stop", "train")}
    assert 2 <= 40 - len(rest) <= 16


@given(st.sets(PICTURES.filter(lambda each: not each.recording), min_size=6, max_size=30))
def test_of_few_pictures_too_some_decide_when_to_stop(pictures):
    rest = select(list(pictures), "stop", "train")
    if len(rest) > 1:
        assert 1 <= len(select(list(pictures), "stop")) <= max(1, len(rest) / 3)


def test_an_adapter_that_names_recordings_only_has_learned_from_all_their_frames():
    adapter = AdapterInfo("decoder", "m", groups=("kitchen", "0123"))
    assert has_learned(adapter, PictureIdentity("ffff", "kitchen"))
    assert has_learned(adapter, PictureIdentity("0123", "office"))
    assert not has_learned(adapter, PictureIdentity("ffff", "office"))
    assert not has_learned(AdapterInfo("decoder", "m", groups=("",)), PictureIdentity("ffff"))
