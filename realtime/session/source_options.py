"""Parses the options behind a source's name, such as `?loop=1&fps=24`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from realtime.errors import SourceError
from realtime.sources.names import SourceName, check_device_host


def split_path(spec: str, rest: str, *allowed: str) -> tuple[str, dict[str, str]]:
    """Split into path and options; a `?` in the path of an existing file begins no options."""
    path, _, query = rest.rpartition("?") if "?" in rest and not Path(rest).exists() else (rest, "", "")
    return path, parse_options(spec, query, *allowed)


def take_options(rest: str, *names: str) -> tuple[str, dict[str, str]]:
    """Split the options `names` off the query of an address; the rest of the query belongs to the sender."""
    address, mark, query = rest.rpartition("?")
    pattern = re.compile(rf"({'|'.join(names)})=([\w.-]*)")
    parts = query.split("&") if mark else []
    kept = [part for part in parts if not pattern.fullmatch(part)]
    if len(kept) == len(parts):
        return rest, {}
    options = {found[1]: found[2] for part in parts if (found := pattern.fullmatch(part))}
    return f"{address}?{'&'.join(kept)}" if kept else address, options


def parse_choice(spec: str, options: dict[str, str], name: str, allowed: Sequence[str]) -> str:
    """Return the option `name`, one of `allowed`, of which the first is the default; raises `SourceError`."""
    text = options.get(name, allowed[0])
    if text not in allowed:
        raise SourceError(f"{spec!r}: {name} is {text!r}; expected {', '.join(allowed)}")
    return text


def parse_path(spec: str, text: str) -> Path:
    """Return the path with the home folder filled in; raises `SourceError` where there is none."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise SourceError(f"{spec!r}: {error}") from None


def parse_options(spec: str, query: str, *allowed: str) -> dict[str, str]:
    """Parse the query of a name; raises `SourceError` for an option that is not `allowed`."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in allowed:
            raise SourceError(f"{spec!r}: unknown option {name!r}; expected {', '.join(allowed)}")
    return options


def parse_flag(spec: str, options: dict[str, str], name: str, *, default: str) -> bool:
    """Return an option that is 0 or 1; raises `SourceError`."""
    text = options.get(name, default)
    if text not in ("0", "1"):
        raise SourceError(f"{spec!r}: {name} is {text!r}; expected 0 or 1")
    return text == "1"


def parse_fps(spec: str, options: dict[str, str]) -> float | None:
    """Return the option fps in frames per second; raises `SourceError`."""
    return parse_number(spec, "fps", options["fps"], 0.1, 1000) if "fps" in options else None


def parse_number(spec: str, name: str, text: str, minimum: float, maximum: float) -> float:
    """Return the number in `text`; raises `SourceError` unless it is within the limits."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not minimum <= value <= maximum:
        raise SourceError(f"{spec!r}: {name} is {text!r}; expected a number of {minimum:g} to {maximum:g}")
    return value


def parse_pixels(spec: str, options: dict[str, str], name: str) -> tuple[int, int] | None:
    """Return the option `name` such as 1920x1080 as (width, height) px; raises `SourceError`."""
    if name not in options:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", options[name], re.ASCII)
    if found is None:
        raise SourceError(f"{spec!r}: {name} is {options[name]!r}; expected WIDTHxHEIGHT in pixels, such as 1920x1080")
    return int(found[1]), int(found[2])


def parse_host_and_port(name: SourceName, default_port: int) -> tuple[str, int]:
    """Return host and port of a device's address; raises `SourceError`."""
    try:
        url = urlsplit(name.text)
        host, port = url.hostname, url.port if url.port is not None else default_port
    except ValueError:
        host, port = None, 0
    extra = "" if host is None else url.path.strip("/") + url.query + (url.username or "")
    if not host or extra or not 0 < port < 65536 or not re.fullmatch(r"[\w.:%-]+", host):
        kind = name.kind
        reason = "; a device has no user and password" if "@" in name.rest else ""
        raise SourceError(
            f"{name.shown!r} is no device{reason}; expected {kind}://HOST:PORT, for instance {kind}://127.0.0.1:{default_port}"
        )
    check_device_host(host)
    return host, port


def explain_kind(
    name: SourceName, what: str, specs: str, kinds: Collection[str], other: Collection[str]
) -> SourceError:
    """Return the error for a name that is no source of `what`; kinds, other: of frames and gaze, or the reverse."""
    hint = "".join(f" (is {kind}: meant?)" for kind in get_close_matches(name.kind, kinds, 1))
    if name.kind in other:
        flag, found = ("--source", "frames") if what == "gaze" else ("--gaze", "gaze")
        hint = f", but of {found}: use {flag} for it"
    elif name.rest and not name.kind:
        hint = ", and there is no such file"
    return SourceError(f"{name.shown!r} is no source of {what}{hint}; expected one of {specs}")
