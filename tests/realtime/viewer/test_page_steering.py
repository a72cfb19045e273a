"""Tests the live page's buttons and keys in a real browser."""

import pytest

from realtime.correction.editor import load_answers
from tests.browser import find_browser
from tests.realtime import scene
from tests.realtime.viewer.page_pixels import page_position, read_page
from tests.realtime.viewer.page_runs import serve_run
from tests.realtime.waiting import eventually

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
TARGET = "gazecast.state.latest?.header.target"


class MouseUser:
    """A mouse over a still object with a part, and the mask that the page then shows."""

    def __init__(self, tab):
        self.tab = tab

    def point_at(self, x, y):
        self.tab.send_mouse("mouseMoved", *page_position(self.tab, x / scene.SIZE[0], y / scene.SIZE[1]))

    def point_at_object(self):
        self.point_at(*scene.centre(0))

    def wait_for_state(self, *states):
        self.tab.wait_for(f"{list(states)}.includes({TARGET}?.state)")
        return self.tab.evaluate(f"{TARGET}.object")

    def play_for(self, seconds):
        """Wait until so many seconds of the clip were played, however long that takes."""
        timestamp = "gazecast.state.latest.header.frame.timestamp"
        self.tab.wait_for(f"{timestamp} > {self.tab.evaluate(timestamp) + seconds}")

    def wait_for_area(self, least, most):
        """Wait for an area of the drawn mask, relative to the whole disc."""
        whole = scene.truth(0).sum()

        def has_area():
            now = read_page(self.tab, scene.SIZE)
            return now is not None and least < now.drawn.sum() / whole < most

        eventually(has_area, f"an area of {least} to {most}")


@pytest.fixture
def user(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 24, speed=0.0, draw=scene.ringed)
    with serve_run(f"file:{clip}?loop=1", tmp_path / "recordings") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.stage.view")
        yield MouseUser(tab)
        assert tab.console_errors() == []
        tab.close()


def test_part_whole_hold_and_clear_change_the_mask(user):
    tab = user.tab
    tab.wait_for("['part', 'whole', 'hold', 'clear'].every((verb) => gazecast.state.hello.verbs.includes(verb))")
    for verb in ("part", "whole", "hold", "clear"):
        assert not tab.evaluate(f"document.querySelector('[data-verb={verb}]').disabled")
    user.point_at_object()
    first = user.wait_for_state("preview", "locked")

    tab.press_key("h")
    assert user.wait_for_state("held") == first
    assert tab.evaluate("document.querySelector('[data-verb=hold]').ariaPressed") == "true"
    for _ in range(2):
        tab.click("[data-verb=part]")  # the mouse has left the picture
    user.wait_for_area(0.1, 0.5)
    for _ in range(2):
        tab.click("[data-verb=whole]")
    user.wait_for_area(0.8, 1.3)
    user.play_for(1.0)
    assert user.wait_for_state("held") == first
    tab.click("[data-verb=hold]")
    assert tab.evaluate("document.querySelector('[data-verb=hold]').ariaPressed") == "false"
    user.wait_for_state("lost")

    user.point_at_object()
    assert user.wait_for_state("preview", "locked") == first
    for _ in range(2):
        tab.press_key("w")
    user.wait_for_area(0.8, 1.3)
    for _ in range(2):
        tab.press_key("p")
    user.wait_for_area(0.1, 0.5)

    tab.press_key("c")
    user.wait_for_state("lost")
    user.point_at(20, 220)
    user.play_for(0.2)
    user.point_at_object()
    user.wait_for_state("preview", "locked")
    tab.press_key("h")
    user.wait_for_state("held")
    tab.click("[data-verb=clear]")
    user.wait_for_state("lost")
    tab.wait_for("document.querySelector('[data-verb=hold]').ariaPressed === 'false'")


def test_the_next_and_previous_alternative_change_the_mask(user):
    tab = user.tab
    tab.wait_for("['next', 'previous'].every((verb) => gazecast.state.hello.verbs.includes(verb))")
    tab.press_key("a")
    tab.wait_for("document.getElementById('notice').textContent.startsWith('No object is shown')")
    user.point_at_object()
    user.wait_for_state("locked")
    whole = scene.truth(0).sum()

    def drawn():
        now = read_page(tab, scene.SIZE)
        return 0.0 if now is None else now.drawn.sum() / whole

    def is_drawn(area):
        return drawn() == pytest.approx(area, rel=0.15)

    def press_until(press, condition, what):
        """Press again where nothing changes: until its points were prompted, a mask has no alternative."""

        def has_changed():
            press()
            user.play_for(0.5)
            return condition()

        eventually(has_changed, what)

    eventually(lambda: drawn() > 0.05, "a drawn mask")
    free = drawn()
    press_until(lambda: tab.press_key("a"), lambda: (now := drawn()) > 0.05 and abs(now / free - 1) > 0.25, "another")
    other = drawn()
    user.play_for(1.0)
    eventually(lambda: is_drawn(other), "the other mask, over keyframes")
    press_until(lambda: tab.press_key("b"), lambda: is_drawn(free), "the first mask again")
    tab.press_key("h")
    held = user.wait_for_state("held")
    # The mouse has left the picture, and the eyes with it.
    press_until(lambda: tab.click("[data-verb=next]"), lambda: is_drawn(other), "the other mask again")
    assert tab.evaluate(f"{TARGET}.object") == held


def test_the_object_is_confirmed_until_it_is_cleared(user):
    tab = user.tab
    tab.wait_for("gazecast.state.hello?.verbs.includes('confirm')")
    tab.press_key("y")
    tab.wait_for("document.getElementById('notice').textContent === 'Not confirmed: nothing is on show.'")
    user.point_at_object()
    first = user.wait_for_state("locked")
    tab.press_key("h")  # so that it stays on show
    user.wait_for_state("held")
    tab.press_key("y")
    tab.wait_for(f"{TARGET}?.confirmed?.by === 'key'")
    tab.wait_for("document.getElementById('card-confirmed').textContent === '✓ confirmed by key'")
    tab.wait_for(f"document.getElementById('notice').textContent === 'Confirmed by key: object {first}'")
    number = tab.evaluate(f"{TARGET}.confirmed.number")
    tab.click("[data-verb=confirm]")
    tab.wait_for(f"{TARGET}?.confirmed?.number === {number + 1}")
    tab.press_key("c")
    user.wait_for_state("lost")
    tab.wait_for(f"{TARGET}.confirmed === null && document.getElementById('card-confirmed').hidden")


def test_a_hold_without_an_object_is_released(user):
    user.tab.press_key("h")
    user.tab.wait_for("gazecast.state.toggles.hold")
    user.tab.wait_for("!gazecast.state.toggles.hold")


def test_clicks_correct_the_held_mask_are_shown_and_recorded(user, tmp_path):
    tab = user.tab
    tab.wait_for("gazecast.state.hello.verbs.includes('correct')")
    tab.press_key("x")  # there is nothing yet
    tab.wait_for("!document.querySelector('#notice').hidden")
    user.point_at_object()
    user.wait_for_state("locked")
    tab.press_key("p")
    tab.press_key("p")
    user.wait_for_area(0.1, 0.5)
    tab.press_key("r")
    tab.wait_for("gazecast.recording.isOn")
    tab.press_key("x")
    first = user.wait_for_state("held")
    x, y = scene.centre(0)
    for share in (0.75, -0.75):
        count = tab.evaluate(f"{TARGET}.corrected?.points.length ?? 0")
        at = page_position(tab, (x + share * scene.RADIUS) / scene.SIZE[0], y / scene.SIZE[1])
        tab.send_mouse("mousePressed", *at)
        tab.send_mouse("mouseReleased", *at)
        tab.wait_for(f"{TARGET}.corrected?.points.length === {count + 1}")
    user.wait_for_area(0.7, 1.3)
    (recording,) = (tmp_path / "recordings").glob("*.mcap")

    def list_corrections():
        return load_answers(recording)[1].corrections

    eventually(lambda: [len(each.points) for each in list_corrections()] == [1, 2], "both clicks on the disk")
    assert {each.object for each in list_corrections()} == {first}
    tab.press_key("u")
    tab.wait_for(f"{TARGET}.corrected.points.length === 1")
    eventually(lambda: len(list_corrections()) == 1, "one of them taken back")
    corners = [
        page_position(tab, (x + side * scene.RADIUS) / scene.SIZE[0], (y + side * scene.RADIUS) / scene.SIZE[1])
        for side in (-1.05, 1.05)
    ]
    tab.send_mouse("mousePressed", *corners[0])
    tab.send_mouse("mouseMoved", *corners[1])
    tab.send_mouse("mouseReleased", *corners[1])
    tab.wait_for(f"{TARGET}.corrected.points.length === 0")
    user.wait_for_area(0.8, 1.2)
    eventually(lambda: [len(each.points) for each in list_corrections()] == [1, 0], "the box on the disk")
    tab.press_key("u")
    tab.wait_for(f"{TARGET}.corrected.points.length === 1")
    tab.press_key("d")
    tab.wait_for("gazecast.correction.tool.tool === 'box'")
    tab.press_key("x")
    tab.wait_for("!gazecast.correction.isOn && !gazecast.state.toggles.hold")
    tab.press_key("r")
    tab.wait_for("!gazecast.recording.isOn")
