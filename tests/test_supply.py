"""Tests what is installed by default: locked releases, and their licences."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKED = re.compile(r"^([a-z0-9._-]+)==(\S+)")


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_dependencies", ROOT / "docs" / "generate_dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generator  # dataclasses look their module up
    spec.loader.exec_module(generator)
    return generator


generator = _load_generator()


def _read_lock(name: str) -> dict[str, set[str]]:
    """Read the locked versions of each package; there are several where they depend on the Python."""
    versions: dict[str, set[str]] = {}
    hashes: dict[str, int] = {}
    package = ""
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if found := LOCKED.match(line):
            package = found[1]
            versions.setdefault(package, set()).add(found[2])
            hashes.setdefault(package, 0)
        elif "--hash=sha256:" in line:
            hashes[package] += 1
    assert all(hashes.values()), [package for package, count in hashes.items() if not count]
    return versions


def test_the_default_install_is_locked_at_the_tested_versions():
    locked = _read_lock("run.txt")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = {found[1]: found[2] for line in lines if (found := LOCKED.match(line))}
    for extra in ("", "run"):
        for requirement in generator.list_requirements(extra):
            name = canonicalize_name(requirement.name)
            assert name in locked, f"{name} is not locked, run: make lock"
            assert locked[name] == {constraints[name]}, f"{name} is locked at another version, run: make lock"


def test_locks_hold_hashes_and_name_no_index():
    for name in ("run.txt", "dev.txt"):
        assert _read_lock(name)
        assert "://" not in (ROOT / "requirements" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("extra", ["", "run"])
def test_the_default_install_has_allowed_licences_only(extra):
    found = generator.find_dependencies(generator.list_requirements(extra)).values()
    refused = {
        each.name: each.licence for each in found if not generator.split_licence(each.licence) <= generator.ALLOWED
    }
    assert not refused, "not in ALLOWED of docs/generate_dependencies.py"


def test_the_page_lists_every_package_of_the_default_install():
    page = generator.PAGE.read_text(encoding="utf-8")
    names = {name for extra in ("", "run") for name in generator.find_dependencies(generator.list_requirements(extra))}
    assert not [name for name in sorted(names) if f"\n| {name} |" not in page], "run: make docs"


def test_the_page_lists_what_every_extra_names():
    page = generator.PAGE.read_text(encoding="utf-8")
    for extra in generator.list_extras():
        names = {canonicalize_name(requirement.name) for requirement in generator.list_requirements(extra)}
        missing = [name for name in sorted(names) if f"\n| {name} |" not in page]
        assert not missing, f"{extra}: add them to NOT_INSTALLED of docs/generate_dependencies.py, and run: make docs"


@pytest.mark.parametrize(
    ("licence", "parts"),
    [
        ("MIT", {"MIT"}),
        ("Apache-2.0 AND MIT", {"Apache-2.0", "MIT"}),
        ("GPL-3.0-only OR MIT", {"MIT"}),
        ("(GPL-2.0-only OR GPL-3.0-only) AND MIT", {"GPL-2.0-only OR GPL-3.0-only", "MIT"}),
    ],
)
def test_an_expression_is_split_into_the_licences_that_apply(licence, parts):
    assert generator.split_licence(licence) == parts
