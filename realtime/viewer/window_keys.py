"""Turns the keys of a desktop window into commands, and edits the word that is typed there. Pure."""

from __future__ import annotations

from collections.abc import Callable

from realtime.pipeline.words import MAX_WORD_CHARS

NO_KEY = -1
BEGIN, ENTER, BACKSPACE, ESCAPE = ord("/"), (10, 13), (8, 127), 27


class WindowKeys:
    """Handles one key after the other: commands, or letters of a word between / and Enter.

    on_confirm, on_step: called for y or Enter, for n (1) and p (-1). on_word: called with a word that was typed, "" for
        none; None: words are of no use. text: of the word so far; None while none is typed.
    """

    def __init__(self) -> None:
        self.on_confirm: Callable[[], None] = lambda: None
        self.on_step: Callable[[int], None] = lambda step: None
        self.on_word: Callable[[str], None] | None = None
        self.text: str | None = None

    def press(self, key: int) -> bool:
        """Handle a key, Latin-1 or `NO_KEY`; False for q and Escape, which close the window."""
        if self.text is not None:
            self._edit(self.text, key)
        elif key == BEGIN and self.on_word is not None:
            self.text = ""
        elif key == ord("y") or key in ENTER:
            self.on_confirm()
        elif key in (ord("n"), ord("p")):
            self.on_step(1 if key == ord("n") else -1)
        else:
            return key not in (ord("q"), ESCAPE)
        return True

    def _edit(self, text: str, key: int) -> None:
        if key in ENTER:
            self.text = None
            if self.on_word is not None:
                self.on_word(text.strip())
        elif key == ESCAPE:
            self.text = None
        elif key in BACKSPACE:
            self.text = text[:-1]
        elif key != NO_KEY and chr(key).isprintable() and len(text) < MAX_WORD_CHARS:
            self.text = text + chr(key)
