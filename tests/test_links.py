"""Tests that relative links of the documentation have a target, and that the modules in it exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_house import PACKAGES

ROOT = Path(__file__).resolve().parent.parent
MODULE_REFERENCE = r"`((?:engines|realtime|calibration|benchmarks|tests|demos)(?:\.\w+)+(?<!\.bin))`"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def headings(page: Path) -> set[str]:
    """Find the anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in headings(there), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_modules_and_files_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":
        pytest.skip("a history names what is gone")
    for name in re.findall(r"`((?:realtime|engines|calibration|benchmarks|tests|demos|docs)/[\w./]+\w)`", text):
        assert (ROOT / name).exists() or "NAME" in name, f"{name} is not there"
    for name in re.findall(r"python3? -m (benchmarks[\w.]*)", text):
        path = ROOT / Path(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{name} is not there"


def test_the_architecture_names_files_that_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`([\w/]+\.(?:py|js))`", text))
    assert len(names) > 20
    for name in names - {"engines/backends/NAME.py"}:
        found = [path for path in [ROOT / name, ROOT / "realtime" / name] if path.exists()]
        found += list((ROOT / "realtime").rglob(name)) + list((ROOT / "engines").rglob(name))
        assert found, f"{name} is not there"


@pytest.mark.parametrize("folder", [*PACKAGES, "benchmarks", "demos"])
def test_docstrings_name_modules_and_names_that_are_there(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in re.findall(MODULE_REFERENCE, path.read_text(encoding="utf-8")):
            assert is_defined(name.split(".")), f"{path.relative_to(ROOT)}: {name} is not there"


def is_defined(parts: list[str]) -> bool:
    """Whether a dotted name is a module, or a name in the text of the longest module that its first parts name."""
    for length in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:length])
        file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if file.exists():
            text = file.read_text(encoding="utf-8")
            return all(re.search(rf"\b{part}\b", text) for part in parts[length:])
    return False


@pytest.mark.parametrize("name", ["realtime.no_such_module", "engines.graphs.NoSuchClass"])
def test_a_name_that_is_gone_is_found(name: str) -> None:
    assert re.findall(MODULE_REFERENCE, f"see `{name}`.") == [name]
    assert not is_defined(name.split("."))
