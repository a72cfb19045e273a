"""The address of a page is shown and opened without its token getting into logs and lists of processes."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rich.console import Console

import realtime.commands.open_page as open_page
from realtime.commands.main import main
from realtime.infra.output import redact_passwords
from realtime.infra.progress import ProgressReporter, TerminalProgress

TOKEN = "0123456789abcdef0123456789abcdef"
ADDRESS = f"https://10.0.0.5:8770/?token={TOKEN}"


def test_address_has_its_token_on_a_terminal_only() -> None:
    shown = {}
    for is_terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=is_terminal, width=200, highlight=False)
        open_page.show_address(ADDRESS, TerminalProgress(console))
        shown[is_terminal] = out.getvalue()
    assert ADDRESS in shown[True]
    assert shown[False] == "open https://10.0.0.5:8770/?token=...\n"
    assert (
        redact_passwords(f"failed: {ADDRESS}&size=1x1 at 3") == "failed: https://10.0.0.5:8770/?token=...&size=1x1 at 3"
    )


def test_browser_is_started_without_the_token_in_its_command_line(monkeypatch) -> None:
    seen = []

    def run(command, **options):
        page = Path(url2pathname(urlsplit(command[-1]).path))
        seen.append((command, page.read_text(), stat.S_IMODE(page.parent.stat().st_mode), page))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(open_page, "REDIRECT_S", 0)
    open_page._open(ADDRESS, ProgressReporter())
    command, content, mode, page = seen[0]
    assert TOKEN not in " ".join(command)
    assert ADDRESS in content
    assert sys.platform == "win32" or mode == 0o700
    assert not page.exists()


def test_config_and_messages_hold_no_token(capsys, tmp_path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[view]\ntoken = "{TOKEN}"\n')
    assert main(["config", "--config", str(file)]) == 0
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    assert "tokens are left out" in captured.err
    assert main(["config", "--set", f"view.token={TOKEN}"]) == 0
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    assert "use view.token_file" in captured.err


def test_share_makes_the_secrets_and_serves_to_all(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GAZECAST_KEYS", str(tmp_path / "keys"))
    missing = str(tmp_path / "missing.mcap")
    assert main(["review", missing, "--share"]) == 2
    assert "missing.mcap" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        "page-certificate.pem", "page-key.pem", "page-token",
    ]  # fmt: skip
