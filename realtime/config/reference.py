"""Describes every setting: meaning, default and unit, read from the settings classes. Pure.

A class documents its settings either in its docstring, one `name: meaning` per entry with indented further lines, or by
a string right below each field.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from realtime.config.schema import RunConfig, format_value

UNITS = {
    "_hz_s_per_deg": "Hz per deg/s", "_deg_per_s": "deg/s", "_per_degree": "per degree", "_ms": "ms", "_s": "s",
    "_px": "px", "_m": "m", "_deg": "deg", "_hz": "Hz", "_levels": "grey levels",
}  # fmt: skip
"""Ending of a setting's name -> unit; the first that fits."""
WIDTH = 100


@dataclasses.dataclass(frozen=True, slots=True)
class SettingDescription:
    """Describes a setting. default: in TOML, empty where it is unset or not `fixed`: it depends on the machine."""

    name: str
    meaning: str
    default: str
    unit: str
    fixed: bool


@dataclasses.dataclass(frozen=True, slots=True)
class SectionDescription:
    """Describes a section. name: as in a settings file, empty for the top level. values: those of its settings."""

    name: str
    meaning: str
    settings: tuple[SettingDescription, ...]
    values: tuple[Any, ...]


def describe_sections(config: Any, name: str = "") -> Iterator[SectionDescription]:
    """Describe the section `config`, then those in it; raises `KeyError` for a setting without documentation."""
    kind = type(config)
    nested = [field for field in dataclasses.fields(kind) if dataclasses.is_dataclass(getattr(config, field.name))]
    fields = [field for field in dataclasses.fields(kind) if field not in nested]
    settings = _describe_settings(kind, fields)
    meaning = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
    yield SectionDescription(name, meaning, settings, tuple(getattr(config, field.name) for field in fields))
    for field in nested:
        yield from describe_sections(getattr(config, field.name), f"{name}.{field.name}".lstrip("."))


def to_commented_toml(config: RunConfig) -> str:
    """Write the configuration as a file that `--config` reads, with a comment on every section and setting."""
    return "\n".join(line for section in describe_sections(config) for line in _section_lines(section)) + "\n"


def _section_lines(section: SectionDescription) -> Iterator[str]:
    if section.name:
        yield from ("", "", *_comment(section.meaning), f"[{section.name}]")
    else:
        yield from _comment(section.meaning)
    for setting, value in zip(section.settings, section.values, strict=True):
        default = setting.default or ("unset" if setting.fixed else "depends on the machine")
        unit = f" {setting.unit}" if setting.unit else ""
        yield from ("", *_comment(setting.meaning), f"# Default: {default}{unit}")
        yield f'# {setting.name} = "PATH"' if value is None else f"{setting.name} = {format_value(value)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _describe_settings(kind: type, fields: list[dataclasses.Field[Any]]) -> tuple[SettingDescription, ...]:
    meanings, hints = _read_meanings(kind), get_type_hints(kind)
    described = []
    for field in fields:
        meaning, choices = meanings[field.name], get_args(hints[field.name])
        if get_origin(hints[field.name]) is Literal and not all(choice in meaning for choice in choices):
            meaning = f"{meaning} One of {', '.join(choices)}."
        fixed = field.default is not dataclasses.MISSING
        default = format_value(field.default) if fixed and field.default is not None else ""
        unit = next((unit for ending, unit in UNITS.items() if field.name.endswith(ending)), "")
        unit = "" if isinstance(field.default, str) else unit
        described.append(SettingDescription(field.name, meaning, default, unit, fixed))
    return tuple(described)


def _read_meanings(kind: type) -> dict[str, str]:
    """Return the meaning of each field that the class documents."""
    names = {field.name for field in dataclasses.fields(kind)}
    found: dict[str, str] = {}
    current = ""
    for line in (inspect.getdoc(kind) or "").splitlines():
        entry = re.match(r"(\w+): (.*)", line)
        if entry and entry[1] in names:
            current = entry[1]
            found[current] = entry[2]
        elif current and line.startswith("    "):
            found[current] += f" {line.strip()}"
        else:
            current = ""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(below, ast.Expr):
            found[node.target.id] = inspect.cleandoc(ast.literal_eval(below.value)).replace("\n", " ")
    return found
