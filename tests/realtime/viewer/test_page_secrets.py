"""A page that is shared: its token and certificate are made once, checked, and shown to nobody else."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import stat
import sys
from contextlib import closing

import pytest

import realtime.viewer.page_secrets as secrets_module
from realtime.config.viewer import ViewSettings
from realtime.errors import AccessError, ViewerError
from realtime.viewer.live_page import LivePage
from realtime.viewer.page_secrets import prepare_page_secrets, read_fingerprint


def shared(files, **changes) -> ViewSettings:
    made = {"token_file": files.token, "tls_cert": files.certificate, "tls_key": files.key}
    return ViewSettings(**{"host": "0.0.0.0", "port": 0, **made, **changes})


def test_secrets_are_made_once_for_their_user_alone(tmp_path) -> None:
    files = prepare_page_secrets(tmp_path / "keys")
    contents = [file.read_bytes() for file in (files.token, files.certificate, files.key)]
    assert len(contents[0].strip()) == 32
    assert prepare_page_secrets(tmp_path / "keys") == files
    assert [file.read_bytes() for file in (files.token, files.certificate, files.key)] == contents
    if sys.platform != "win32":
        assert {stat.S_IMODE(file.stat().st_mode) for file in (files.token, files.key)} == {0o600}
        files.token.chmod(0o644)
        with pytest.raises(AccessError, match="others can read"):
            prepare_page_secrets(tmp_path / "keys")
        with pytest.raises(ViewerError, match=r"view\.token_file .*others can read"):
            LivePage(shared(files))


def test_certificate_that_expires_soon_or_is_damaged_is_made_anew(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(secrets_module, "VALID_DAYS", secrets_module.RENEW_DAYS - 1)
    files = prepare_page_secrets(tmp_path)
    token, first = files.token.read_bytes(), files.certificate.read_bytes()
    monkeypatch.undo()
    prepare_page_secrets(tmp_path)
    second = files.certificate.read_bytes()
    assert second != first
    files.certificate.write_bytes(b"damaged")
    prepare_page_secrets(tmp_path)
    assert files.certificate.read_bytes() not in (b"damaged", second)
    assert files.token.read_bytes() == token


def test_shared_page_is_opened_with_its_certificate_and_token_only(tmp_path) -> None:
    files = prepare_page_secrets(tmp_path)
    token = files.token.read_text().strip()
    trust = ssl.create_default_context(cafile=str(files.certificate))  # which checks the host's name, too
    with closing(LivePage(shared(files))) as page:
        assert page.address.startswith("https://")
        assert page.address.endswith(f"/?token={token}")
        port = int(page.address.rpartition(":")[2].partition("/")[0])

        def fetch(path: str, **headers: str) -> int:
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=60)
            with closing(connection):
                connection.request("GET", path, headers=headers)
                return connection.getresponse().status

        connection = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=60)
        with closing(connection):
            connection.connect()
            seen = hashlib.sha256(connection.sock.getpeercert(binary_form=True)).hexdigest().upper()
        assert read_fingerprint(files.certificate).replace(":", "") == seen
        assert fetch(f"/thumbnail.jpg?object=1&token={token}") == 404
        refused = ("/thumbnail.jpg", f"/thumbnail.jpg?token={token[:-1]}0", "/ws?token=%FF", "/overlay.mjpeg")
        assert [fetch(path) for path in refused] == [403] * 4
        assert fetch(f"/thumbnail.jpg?token={token}", Origin="https://elsewhere.example") == 403
        assert fetch("/whip", Authorization="Bearer \xff") == 401


@pytest.mark.parametrize("content", ["", "short", "has spaces in it and more", "\xff" * 20])
def test_token_file_that_holds_no_token_is_refused(tmp_path, content) -> None:
    files = prepare_page_secrets(tmp_path)
    files.token.write_text(content, encoding="latin-1")
    with pytest.raises(ViewerError, match=r"view\.token_file") as caught:
        LivePage(shared(files))
    assert not content or content not in str(caught.value)


def test_settings_with_a_token_do_not_show_it() -> None:
    assert "0123456789abcdef" not in repr(ViewSettings(token="0123456789abcdef"))


def test_missing_library_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ViewerError, match=r"pip install -e '\.\[encryption\]'"):
        prepare_page_secrets(tmp_path)
