"""Checks pages with axe-core, which is fetched once into the user's cache; it is no part of the project."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from engines.base import ModelError
from engines.fetch import RemoteFile, npm_pack
from engines.settings import default_cache_dir
from tests.browser import BrowserTab

PACKAGE, VERSION = "axe-core", "4.14.1"
SCRIPT = RemoteFile(
    "axe.min.js", 653780, "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c", "package/axe.min.js"
)


@functools.cache
def load_axe() -> str:
    """Return the script of axe-core; skips the test with the reason where it can be neither found nor fetched."""
    folder = default_cache_dir().parent / "test-tools" / f"{PACKAGE}-{VERSION}"
    if not (folder / SCRIPT.name).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            npm_pack(PACKAGE, VERSION, (SCRIPT,), folder, lambda done, total, text: None)
        except (ModelError, OSError) as error:
            pytest.skip(f"no axe-core to check pages with: {error}")
    return (folder / SCRIPT.name).read_text()


def find_violations(tab: BrowserTab) -> list[str]:
    """Return the violations of accessibility rules in a page as it is now, with the elements that are concerned."""
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(f"void ((module, exports, define) => {{ {load_axe()} }})()")
    found: list[dict[str, Any]] = tab.evaluate("axe.run().then(({ violations }) => violations)")
    return [
        f"{rule['id']}: {rule['help']}: {node['html']:.200} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def set_scheme(tab: BrowserTab, scheme: str) -> None:
    """Let the page believe that the system is "light" or "dark"."""
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
