"""Parses the command line: one line for an error, with the nearest name, and examples at the end of every help."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from realtime.commands.config_flags import Verbs
from realtime.commands.examples import EXAMPLES
from realtime.infra.output import escape_controls, print_line, redact_passwords


class CommandParser(argparse.ArgumentParser):
    """A parser whose subparsers are of its class too; a group of verbs without a verb prints its help."""

    _verbs: Verbs[Any] | None = None
    _arguments: Sequence[str] = ()

    def add_subparsers(self, **options: Any) -> Verbs[Any]:
        """Add the verbs of a group."""
        self._verbs = super().add_subparsers(**options)
        return self._verbs

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse all arguments; an unknown one is an error of the verb that it was passed to."""
        self._arguments = sys.argv[1:] if args is None else list(args)
        if self._verbs is not None and not self._arguments:
            self.print_help()
            self.exit()
        found, unknown = super().parse_known_args(self._arguments, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, []

    def format_help(self) -> str:
        """Format the help with its examples."""
        examples = "".join(f"  {line}\n" for line in EXAMPLES.get(self.prog, ()))
        return super().format_help() + (f"\nexamples:\n{examples}" if examples else "")

    def error(self, message: str) -> NoReturn:
        """Print one line with the nearest names and exit with code 2."""
        near = " or ".join(dict.fromkeys(self._suggest()))
        hint = f"; did you mean {near}?" if near else ""
        if near and message.startswith("argument VERB"):
            message = message.partition(" (choose from")[0]
        text = f"{self.prog}: {message}{hint} (see {self.prog} --help)"
        self.exit(2, f"{escape_controls(redact_passwords(text))}\n")

    def _suggest(self) -> Iterator[str]:
        """Yield the nearest name of each flag and verb that does not exist."""
        for argument in self._arguments:
            name = argument.partition("=")[0]
            if name == "--":
                return
            if name.startswith("--"):
                flags = {flag.lstrip("-"): flag for flag in self._option_string_actions if flag.startswith("--")}
                if not any(flag.startswith(name[2:]) for flag in flags):
                    yield from (flags[near] for near in difflib.get_close_matches(name[2:], flags, n=1, cutoff=0.7))
            elif self._verbs is not None:
                if name not in self._verbs.choices:
                    verbs = dict(self._nested_verbs())
                    yield from (verbs[near] for near in difflib.get_close_matches(name, verbs, n=1))
                return

    def _nested_verbs(self) -> Iterator[tuple[str, str]]:
        """Yield (verb, words to type) of the verbs' own verbs, then of this group's verbs."""
        verbs = self._verbs.choices if self._verbs is not None else {}
        for group, parser in verbs.items():
            yield from ((verb, f"{group} {words}") for verb, words in parser._nested_verbs())
        yield from ((verb, verb) for verb in verbs)


class PrintVersion(argparse.Action):
    """An action that prints the version and exits; it reads the version only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Print name and version on stdout."""
        print_line(f"{parser.prog} {version('gazecast')}")
        parser.exit()
