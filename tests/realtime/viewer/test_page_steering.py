"""The page's buttons and keys in a real browser: what they ask for is what it then shows."""

import pytest

from tests.browser import installed
from tests.realtime import scene
from tests.realtime.viewer.running import serving
from tests.realtime.viewer.showing import place_of, seen
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.skipif(installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"),
    pytest.mark.timeout(300),
]
TARGET = "gazecast.state.latest?.head.target"
LONG_S = 60


class Hand:
    """A mouse over the picture of a part within a whole that stands still, and what the page then shows."""

    def __init__(self, tab):
        self.tab = tab

    def look(self, x, y):
        self.tab.mouse("mouseMoved", *place_of(self.tab, x / scene.SIZE[0], y / scene.SIZE[1]))

    def look_at_it(self):
        self.look(*scene.centre(0))

    def until(self, *states):
        self.tab.until(f"{list(states)}.includes({TARGET}?.state)", LONG_S)
        return self.tab.do(f"{TARGET}.object")

    def pass_s(self, seconds):
        """Until so much of the clip has gone by, however long that takes."""
        at = "gazecast.state.latest.head.frame.timestamp"
        self.tab.until(f"{at} > {self.tab.do(at) + seconds}", LONG_S)

    def until_area(self, least, most):
        """Of what is drawn, relative to the whole disc."""
        whole = scene.truth(0).sum()

        def found():
            now = seen(self.tab, scene.SIZE)
            return now is not None and least < now.drawn.sum() / whole < most

        eventually(found, f"an area of {least} to {most}", LONG_S)


@pytest.fixture
def hand(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 24, speed=0.0, draw=scene.ringed)
    with serving(f"file:{clip}?loop=1") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.view")
        yield Hand(tab)
        assert tab.complaints() == []
        tab.close()


def test_part_whole_hold_and_clear_are_offered_and_do_it(hand):
    tab = hand.tab
    tab.until("['part', 'whole', 'hold', 'clear'].every((verb) => gazecast.state.hello.verbs.includes(verb))")
    for verb in ("part", "whole", "hold", "clear"):
        assert not tab.do(f"document.querySelector('[data-verb={verb}]').disabled")
    hand.look_at_it()
    first = hand.until("preview", "locked")

    tab.key("h")
    assert hand.until("held") == first
    assert tab.do("document.querySelector('[data-verb=hold]').ariaPressed") == "true"
    for _ in range(2):
        tab.click("[data-verb=part]")  # the mouse has left the picture
    hand.until_area(0.1, 0.5)
    for _ in range(2):
        tab.click("[data-verb=whole]")
    hand.until_area(0.8, 1.3)
    hand.pass_s(1.0)
    assert hand.until("held") == first
    tab.click("[data-verb=hold]")
    assert tab.do("document.querySelector('[data-verb=hold]').ariaPressed") == "false"
    hand.until("lost")

    hand.look_at_it()
    assert hand.until("preview", "locked") == first
    for _ in range(2):
        tab.key("w")
    hand.until_area(0.8, 1.3)
    for _ in range(2):
        tab.key("p")
    hand.until_area(0.1, 0.5)

    tab.key("c")
    hand.until("lost")
    hand.look(20, 220)
    hand.pass_s(0.2)
    hand.look_at_it()
    hand.until("preview", "locked")
    tab.key("h")
    hand.until("held")
    tab.click("[data-verb=clear]")
    hand.until("lost")
    tab.until("document.querySelector('[data-verb=hold]').ariaPressed === 'false'")


def test_a_hold_of_nothing_is_let_go(hand):
    hand.tab.key("h")
    hand.tab.until("gazecast.state.on.hold")
    hand.tab.until("!gazecast.state.on.hold", LONG_S)
