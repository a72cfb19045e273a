"""Keeps the keys of this machine, of the clients that it lets in and of the servers that it connects to.

All lie in one folder, as TOML: `key.toml` has the key pair of this machine, `clients.toml` the public keys of those
that may connect to it, `servers.toml` those of the machines that it connects to. Keys are written as 64 hex digits.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from realtime.errors import AccessError
from realtime.files import write_atomically
from realtime.validation import read_value

Permission = Literal["control", "pictures"]
"""control: change what the run does, such as to hold an object. pictures: receive frames as a reply."""
PERMISSIONS: frozenset[Permission] = frozenset(get_args(Permission))
FOLDER_VARIABLE, SERVER_VARIABLE = "GAZECAST_KEYS", "GAZECAST_SERVER_KEY"
KEY_BYTES = 32
T = TypeVar("T")


def parse_key(text: str) -> str:
    """Return a key as 64 lower-case hex digits; raises `AccessError`."""
    key = text.strip().lower()
    try:
        is_key = len(key) == 2 * KEY_BYTES and len(bytes.fromhex(key)) == KEY_BYTES
    except ValueError:
        is_key = False
    if not is_key:
        raise AccessError(
            f"a key has {2 * KEY_BYTES} hex digits, got {len(text.strip())} characters; see: gazecast keys show"
        )
    return key


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Holds a CURVE key pair as hex; the secret never appears in its `repr`."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AllowedClient:
    """Holds a client that may connect: its public key, a name for people, and what it may request beyond reading.

    streams: those that it may read, and make requests about; none for all.
    """

    key: str
    name: str = ""
    may: tuple[Permission, ...] = ()
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ClientsFile:
    client: tuple[AllowedClient, ...] = ()


@dataclass(frozen=True, slots=True)
class _ServersFile:
    servers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """Holds the keys with which a client connects. server_key: the server's public key, as hex."""

    server_key: str
    own: KeyPair


def default_key_folder() -> Path:
    """Return $GAZECAST_KEYS, else a folder in the user's configuration; raises `AccessError` without a home folder."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:  # a user without an entry, as in many containers
        raise AccessError(f"this user has no home folder for keys; set {FOLDER_VARIABLE} to a folder") from None
    return base / "gazecast" / "keys"


class KeyFolder:
    """A folder of keys; reads a file again whenever it has changed, so that `gazecast keys allow` acts on a run."""

    def __init__(self, path: Path | None = None) -> None:
        """path: None for `default_key_folder`."""
        self.path = path or default_key_folder()
        self._clients: dict[str, AllowedClient] = {}
        self._clients_state: tuple[int, int, int] | None = None

    @property
    def key_file(self) -> Path:
        """The file of this machine's key pair."""
        return self.path / "key.toml"

    def read_own(self) -> KeyPair:
        """Read the key pair of this machine; raises `AccessError`, also where others may read the file."""
        if not self.key_file.exists():
            raise AccessError(f"this machine has no key yet; make one with: gazecast keys new ({self.key_file})")
        pair = self._read(self.key_file, KeyPair, is_secret=True)
        return KeyPair(*(self._check_key(key, self.key_file) for key in (pair.public, pair.secret)))

    def write_own(self, pair: KeyPair, *, replace: bool = False) -> None:
        """Write the key pair of this machine; raises `AccessError` where there is one, unless it shall be replaced."""
        if self.key_file.exists() and not replace:
            raise AccessError(f"{self.key_file} exists; every client knows it. To replace it all the same: --force")
        text = (
            "# The key of this machine. The secret stays here: whoever has it can pretend to be this machine.\n"
            f'public = "{pair.public}"\nsecret = "{pair.secret}"\n'
        )
        self._write(self.key_file, text)

    def read_clients(self) -> tuple[AllowedClient, ...]:
        """Read the allowed clients; raises `AccessError`."""
        path = self.path / "clients.toml"
        found = self._read(path, _ClientsFile) if path.exists() else _ClientsFile()
        return tuple(replace(one, key=self._check_key(one.key, path)) for one in found.client)

    def find_client(self, key: str) -> AllowedClient | None:
        """Find an allowed client by its public key; None for an unknown one. Raises `AccessError`."""
        state = _file_state(self.path / "clients.toml")
        if state is None or state != self._clients_state:
            self._clients = {client.key: client for client in self.read_clients()}
            self._clients_state = state
        return self._clients.get(key)

    def allow_client(self, client: AllowedClient) -> None:
        """Add a client, or replace it; raises `AccessError`."""
        if not re.fullmatch(r"[\w.-]{0,40}", client.name, re.ASCII):
            raise AccessError(f"a name has at most 40 letters, digits, dots, - and _, got {client.name!r:.80}")
        if bad := [name for name in client.streams if not re.fullmatch(r"[ -~]{1,64}", name)]:
            raise AccessError(f"a stream is 1 to 64 printable ASCII characters, got {bad[0]!r:.80}")
        self._write_clients([*(one for one in self.read_clients() if one.key != client.key), client])

    def remove_client(self, name_or_key: str) -> AllowedClient:
        """Remove a client by name or key; raises `AccessError` where there is none, or several of that name."""
        clients = self.read_clients()
        found = [client for client in clients if name_or_key.lower() == client.key or name_or_key == client.name]
        if len(found) != 1:
            raise AccessError(f"{len(found)} allowed clients are called {name_or_key!r:.80}; see: gazecast keys show")
        self._write_clients([client for client in clients if client is not found[0]])
        return found[0]

    def read_servers(self) -> dict[str, str]:
        """Read the public keys of servers by HOST or HOST:PORT; raises `AccessError`."""
        path = self.path / "servers.toml"
        servers = self._read(path, _ServersFile).servers if path.exists() else {}
        return {host: self._check_key(key, path) for host, key in servers.items()}

    def trust_server(self, host: str, key: str) -> None:
        """Keep the public key of a server by HOST or HOST:PORT; raises `AccessError`."""
        if not re.fullmatch(r"[\w.:%\[\]-]+", host, re.ASCII):
            raise AccessError(f"{host!r:.80} is no HOST or HOST:PORT, such as 10.0.0.5 or 10.0.0.5:5571")
        servers = {**self.read_servers(), host: parse_key(key)}
        lines = (f'"{host}" = "{key}"\n' for host, key in servers.items())
        head = "# The machines that this one connects to.\n[servers]\n"
        self._write(self.path / "servers.toml", head + "".join(lines))

    def _write_clients(self, clients: Sequence[AllowedClient]) -> None:
        # a list of words in JSON is one in TOML, too
        blocks = (
            f'\n[[client]]\nkey = "{one.key}"\nname = "{one.name}"\nmay = {json.dumps(one.may)}\n'
            f"streams = {json.dumps(one.streams)}\n"
            for one in clients
        )
        self._write(self.path / "clients.toml", "# The clients that may connect to this machine.\n" + "".join(blocks))

    def _check_key(self, key: str, path: Path) -> str:
        try:
            return parse_key(key)
        except AccessError:
            expected = f"a key of {2 * KEY_BYTES} hex digits"
            raise AccessError(f"{path} is damaged: expected {expected}, got {len(key)} characters") from None

    def _read(self, path: Path, kind: type[T], *, is_secret: bool = False) -> T:
        try:
            check_private(path, is_secret=is_secret)
            fields: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
            return read_value(fields, kind, ValueError)
        except OSError as error:
            raise AccessError(f"cannot read {path}: {error.strerror or error}") from None
        except (
            ValueError,
            RecursionError,
        ) as error:  # no TOML, no UTF-8, or other fields; its text may hold the secret
            reason = "expected the texts public and secret" if is_secret else str(error)
            raise AccessError(f"{path} is damaged: {reason}") from None

    def _write(self, path: Path, text: str) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, text.encode(), is_private=True)
        except OSError as error:
            raise AccessError(f"cannot write {path}: {error.strerror or error}") from None


def check_private(path: Path, *, is_secret: bool) -> None:
    """Raise `AccessError` where others may change the file, or read a secret one; `OSError` without the file."""
    if sys.platform == "win32":  # whose folders of a user are closed to others
        return
    found = path.stat()
    wrong = found.st_mode & (0o077 if is_secret else 0o022)
    if found.st_uid not in (os.getuid(), 0):
        raise AccessError(f"{path} belongs to another user")
    if wrong:
        can = "read" if wrong & 0o044 else "change"
        raise AccessError(f"others can {can} {path} (mode {stat.S_IMODE(found.st_mode):o}); run: chmod 600 {path}")


def find_client_access(
    host: str, port: str, *, keys: Path | None = None, server_key: str | None = None
) -> ClientAccess | None:
    """Find the keys for a server: from arguments, environment or the folder of keys; None where it is not known.

    Raises `AccessError` for keys that are damaged, and where `keys` is named but the server's key is not known.
    """
    try:
        folder = KeyFolder(keys)
    except AccessError:
        if server_key is None and SERVER_VARIABLE not in os.environ:
            return None
        raise
    known = server_key or os.environ.get(SERVER_VARIABLE)
    if not known:
        servers = folder.read_servers()
        known = servers.get(f"{host}:{port}") or servers.get(host)
    if known:
        return ClientAccess(parse_key(known), folder.read_own())
    if keys is not None:
        raise AccessError(f"{folder.path} has no key of {host}; its `gazecast keys show` prints the line that adds it")
    return None


def explain_exposure(address: str, output: str) -> str:
    """Return the error for an output that other machines could reach without keys."""
    if output in ("publish", "requests", "directory"):
        way_out = (
            "takes keys. Make this machine's with: gazecast keys new; let each client in with: gazecast keys allow "
            f"KEY; or stay on 127.0.0.1. Without keys, open to all who can connect: --insecure {output}"
        )
    else:
        way_out = (
            "its protocol cannot prevent: stay on 127.0.0.1 and connect through a tunnel (ssh -L PORT:127.0.0.1:PORT "
            f"HOST). Open to all who can connect: --insecure {output}"
        )
    return f"{output} at {address} could be reached from other machines, which {way_out}"


def _file_state(path: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None
