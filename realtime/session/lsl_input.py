"""Opens gaze of the Lab Streaming Layer from a name such as `lsl:NAME`."""

from __future__ import annotations

import re
from typing import cast, get_args
from urllib.parse import unquote

from realtime.errors import SourceError
from realtime.session.source_options import parse_number, parse_options
from realtime.sources.lsl.channels import LslOptions, LslUnit
from realtime.sources.names import SourceName
from realtime.types import FrameSource, GazeSource

_QUERY = ("name", "type", "source_id", "host")
_OPTIONS = ("x", "y", "unit", "size", "origin")
_SIZE = re.compile(r"([\d.]+)[xX*]([\d.]+)")


def open_lsl_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    """Open `lsl:`, `lsl:NAME`, `lsl:name=NAME&type=TYPE&source_id=ID&host=HOST`, each with options behind a `?`."""
    query, options = _split_name(name)
    try:
        from realtime.sources.lsl.gaze_stream import LslGaze, StreamQuery
    except ModuleNotFoundError:
        raise SourceError(f"{name.shown} needs pylsl, which is not installed: pip install -e '.[lsl]'") from None
    except RuntimeError as error:  # pylsl without the library that it loads
        raise SourceError(f"{name.shown}: pylsl finds no liblsl: {str(error).splitlines()[0]}") from None
    return LslGaze(StreamQuery(**query) if query else StreamQuery(type="Gaze"), options)


def _split_name(name: SourceName) -> tuple[dict[str, str], LslOptions]:
    """Return the wanted stream and the options; raises `SourceError`."""
    stream, _, text = name.rest.removeprefix("//").partition("?")
    first, equals, _ = stream.partition("=")
    if equals and first in (*_QUERY, *_OPTIONS):
        text, stream = f"{stream}&{text}", ""
    options = parse_options(name.shown, text, *_QUERY, *_OPTIONS)
    query = {key: value for key, value in options.items() if key in _QUERY and value}
    if stream:
        query["name"] = unquote(stream)
    return query, _parse_lsl_options(name.shown, options)


def _parse_lsl_options(spec: str, options: dict[str, str]) -> LslOptions:
    if ("x" in options) != ("y" in options):
        raise SourceError(f"{spec!r} names one of x and y; name both channels")
    for option, allowed in (("unit", get_args(LslUnit)), ("origin", ("top", "bottom"))):
        if options.get(option, allowed[0]) not in allowed:
            raise SourceError(f"{spec!r}: {option} is {options[option]!r}; expected {', '.join(allowed)}")
    size = None
    if "size" in options:
        match = _SIZE.fullmatch(options["size"])
        if match is None:
            raise SourceError(f"{spec!r}: size is {options['size']!r}; expected WIDTHxHEIGHT, such as 1920x1080")
        size = parse_number(spec, "size", match[1], 1, 1e6), parse_number(spec, "size", match[2], 1, 1e6)
    return LslOptions(
        options.get("x"),
        options.get("y"),
        cast(LslUnit | None, options.get("unit")),
        size,
        options["origin"] == "bottom" if "origin" in options else None,
    )
