"""Files of keys: what they hold, who may read them, and what is wrong with damaged ones."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from realtime.comms.hosts import is_loopback
from realtime.comms.keys import AllowedClient, KeyFolder, KeyPair, find_client_access, parse_key
from realtime.errors import AccessError

A, B, C = "a1" * 32, "b2" * 32, "c3" * 32
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes of files")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> KeyFolder:
    monkeypatch.delenv("GAZECAST_SERVER_KEY", raising=False)
    monkeypatch.setenv("GAZECAST_KEYS", str(tmp_path / "keys"))
    return KeyFolder()


def test_own_key_is_kept_for_its_user_alone_and_never_replaced_by_accident(folder) -> None:
    with pytest.raises(AccessError, match="no key yet; make one with: gazecast keys new"):
        folder.read_own()
    folder.write_own(KeyPair(A, B))
    assert folder.read_own() == KeyPair(A, B)
    assert B not in repr(folder.read_own())
    if sys.platform != "win32":
        assert stat.S_IMODE(folder.key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    with pytest.raises(AccessError, match="exists"):
        folder.write_own(KeyPair(C, C))
    folder.write_own(KeyPair(C, C), replace=True)
    assert folder.read_own().public == C
    assert [path.name for path in folder.path.iterdir()] == ["key.toml"]  # nothing half-written is left


@posix
@pytest.mark.parametrize("mask", [0, 0o277])
def test_key_is_for_its_user_alone_under_any_umask(folder, mask) -> None:
    folder.path.mkdir(mode=0o700)
    before = os.umask(mask)
    try:
        folder.write_own(KeyPair(A, B))
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.key_file.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_key_that_others_can_read_is_refused(folder, mode) -> None:
    folder.write_own(KeyPair(A, B))
    folder.key_file.chmod(mode)
    with pytest.raises(AccessError, match=rf"others can read .*mode {mode:o}.*chmod 600"):
        folder.read_own()


@posix
def test_list_of_clients_that_others_can_change_is_refused(folder) -> None:
    folder.allow_client(AllowedClient(A))
    (folder.path / "clients.toml").chmod(0o644)
    assert folder.find_client(A)
    (folder.path / "clients.toml").chmod(0o622)
    with pytest.raises(AccessError, match="others can change"):
        folder.read_clients()


@pytest.mark.parametrize(
    "content",
    [b"", b"public = ", b"a = " + b"[" * 100_000, b"\xff\xfe", b"public = 3\nsecret = 4", f'public = "{A}"'.encode(),
     f'public = "{A}"\nsecret = "{B[:-1]}"'.encode(), f'public = "{A}"\nsecret = "{B[:-1]}x"'.encode()],
)  # fmt: skip
def test_damaged_key_is_refused_without_showing_it(folder, content) -> None:
    folder.write_own(KeyPair(A, B))
    folder.key_file.write_bytes(content)
    with pytest.raises(AccessError, match="is damaged") as caught:
        folder.read_own()
    assert B[:20] not in str(caught.value)


def test_clients_are_added_changed_found_and_removed(folder) -> None:
    folder.allow_client(AllowedClient(A, "arm"))
    folder.allow_client(AllowedClient(B, "screen", ("pictures",)))
    folder.allow_client(AllowedClient(A, "arm", ("control", "pictures")))
    assert folder.read_clients() == (
        AllowedClient(B, "screen", ("pictures",)), AllowedClient(A, "arm", ("control", "pictures")),
    )  # fmt: skip
    other = KeyFolder()  # a run that has begun before
    assert other.find_client(B)
    assert folder.remove_client("screen").key == B
    assert other.find_client(B) is None
    assert other.find_client(C) is None
    with pytest.raises(AccessError, match="0 allowed clients are called 'screen'"):
        folder.remove_client("screen")
    with pytest.raises(AccessError, match="a name has"):
        folder.allow_client(AllowedClient(A, 'x"\n[[client]]'))


def test_server_is_known_by_host_and_port_by_environment_or_argument(folder, monkeypatch) -> None:
    assert find_client_access("10.0.0.5", "5571") is None
    folder.trust_server("10.0.0.5", A)
    with pytest.raises(AccessError, match="no key yet"):
        find_client_access("10.0.0.5", "5571")
    folder.write_own(KeyPair(B, C))
    assert find_client_access("10.0.0.5", "5571").server_key == A
    assert find_client_access("10.0.0.6", "5571") is None
    folder.trust_server("10.0.0.5:5572", B)
    assert find_client_access("10.0.0.5", "5572").server_key == B
    with pytest.raises(AccessError, match=r"no key of 10\.0\.0\.6"):
        find_client_access("10.0.0.6", "1", keys=folder.path)
    monkeypatch.setenv("GAZECAST_SERVER_KEY", C)
    assert find_client_access("10.0.0.6", "1").server_key == C
    assert find_client_access("10.0.0.6", "1", server_key=A).server_key == A
    with pytest.raises(AccessError, match="no HOST or HOST:PORT"):
        folder.trust_server('a"b', A)


def test_user_without_a_home_subscribes_without_keys(monkeypatch) -> None:
    for name in ("GAZECAST_KEYS", "GAZECAST_SERVER_KEY", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr("pathlib.Path.home", fail)
    assert find_client_access("127.0.0.1", "5571") is None
    with pytest.raises(AccessError, match="set GAZECAST_KEYS"):
        find_client_access("127.0.0.1", "5571", server_key=A)


@pytest.mark.parametrize("text", ["", "a1", "zz" * 32, A + "00", "a 1" * 21 + "a", "٣" * 64])
def test_what_is_no_key_is_refused(text) -> None:
    with pytest.raises(AccessError, match="a key has 64 hex digits"):
        parse_key(text)


def test_key_may_be_written_in_capitals_with_space_round_it() -> None:
    assert parse_key(f" {A.upper()}\n") == A


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False),
     ("*", False), ("::", False), ("10.0.0.5", False), ("eth0", False), ("localhost.example", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host, is_own) -> None:
    assert is_loopback(host) == is_own


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_key_of_another_user_is_refused(folder) -> None:
    folder.write_own(KeyPair(A, B))
    os.chown(folder.key_file, 12345, -1)
    with pytest.raises(AccessError, match="belongs to another user"):
        folder.read_own()
