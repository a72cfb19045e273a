"""Sends the commands and words of a desktop window's keys to the tracker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime.errors import CommandRejected
from realtime.pipeline.control import CommandQueue, UserCommand, make_confirmation
from realtime.pipeline.words import WordQueue, WordRequest, describe_answer
from realtime.viewer.desktop_window import DesktopWindow


def connect_keys(
    window: DesktopWindow, commands: CommandQueue, words: WordQueue, notice: Callable[[str], None]
) -> None:
    """Send what a window's keys mean, and show the answers in it."""

    def step(step: int) -> None:
        def report(result: Any) -> None:
            window.show_note(str(result) if isinstance(result, CommandRejected) else "")

        commands.put(UserCommand("next" if step > 0 else "previous", reply=report))

    def set_word(text: str) -> None:
        words.put(WordRequest(text, reply=lambda answer: window.show_note(describe_answer(answer))))

    window.keys.on_confirm = lambda: commands.put(make_confirmation("key", notice))
    window.keys.on_step, window.keys.on_word = step, set_word
