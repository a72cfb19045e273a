"""Encrypts recordings with age (https://age-encryption.org/v1), block by block. The one module that imports pyrage.

The file is `MAGIC`, the length (4 bytes, little-endian) of a key block and that block, and then blocks until the end.
Each block has the lengths of its sealed and of its plain bytes (4 bytes each), and the sealed bytes: one age file. Its
content is the number of the block (8 bytes) and whole records of the MCAP file. So a run that is killed loses what it
has not flushed, half a second, and a damaged block leaves the others readable. The key block is empty for recipients;
for a passphrase it is the recording's own identity, encrypted with the passphrase.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from realtime.comms.keys import check_private, default_key_folder
from realtime.config.recording import RecordSettings
from realtime.errors import AccessError, RecordingError
from realtime.files import write_atomically

MAGIC = b"gazecast-age-1\r\n\x1a\x89"
MAX_BLOCK_BYTES = 1 << 30
MAX_KEY_BLOCK_BYTES = 1 << 16
IDENTITY_FILE = "recordings.txt"
"""In the folder of keys: the identity that recordings are read with by default."""
_LENGTH, _LENGTHS, _NUMBER = struct.Struct("<I"), struct.Struct("<II"), struct.Struct("<Q")


class DamagedBlock(OSError):
    """A block that cannot be decrypted. end: where the next one begins, in plain bytes."""

    def __init__(self, end: int) -> None:
        super().__init__("a block of the recording is damaged")
        self.end = end


def make_identity(path: Path | None = None) -> tuple[Path, str]:
    """Write a new identity, by default into the folder of keys; return its file and its public key (age1...).

    Raises `RecordingError` where the file exists, `AccessError` without a folder for keys.
    """
    path = path or default_key_folder() / IDENTITY_FILE
    if path.exists():
        raise RecordingError(f"{path} exists; recordings that were made for it could not be read without it")
    identity = _pyrage().x25519.Identity.generate()
    public = str(identity.to_public())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, f"# public key: {public}\n{identity}\n".encode(), is_private=True)
    return path, public


def prepare_recipients(settings: RecordSettings) -> tuple[list[Any], bytes]:
    """Return those whom a recording is encrypted for, and its key block; raises `RecordingError`.

    With a passphrase it takes seconds, once in a process, in which no other thread runs: call it before a run begins.
    """
    if not settings.is_encrypted:
        return [], b""
    age = _pyrage()
    try:
        recipients = [age.x25519.Recipient.from_str(each) for each in settings.recipients]
    except age.RecipientError:
        raise RecordingError(
            "record.recipients: expected public keys such as age1..., which `gazecast keys recording` makes"
        ) from None
    if settings.passphrase_file is None:
        return recipients, b""
    public, key_block = _make_key_block(_read_passphrase(settings.passphrase_file))
    return [*recipients, public], key_block


@lru_cache(maxsize=4)
def _make_key_block(passphrase: str) -> tuple[Any, bytes]:
    """Return the public key of a new identity, and the identity encrypted with a passphrase."""
    age = _pyrage()
    identity = age.x25519.Identity.generate()
    return identity.to_public(), age.passphrase.encrypt(str(identity).encode(), passphrase)


class SealingStream:
    """A stream for MCAP's writer that encrypts what it was given at each `seal`. One thread."""

    def __init__(self, stream: IO[Any], settings: RecordSettings) -> None:
        """Write the head; raises `RecordingError` for an invalid recipient or passphrase, `OSError` of the disk."""
        self._stream = stream
        self._plain = bytearray()
        self._at = self._number = 0
        self._recipients, key_block = prepare_recipients(settings)
        self._stream.write(MAGIC + _LENGTH.pack(len(key_block)) + key_block)

    def write(self, data: bytes) -> int:
        """Take records, which are lost until the next `seal`."""
        self._plain += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of plain bytes."""
        return self._at

    def flush(self) -> None:
        """Do nothing; whole records are sealed by `seal`."""

    def seal(self) -> None:
        """Encrypt and write what was given since the last call; raises `OSError` on a full disk."""
        if not self._plain:
            return
        plain, sealed = _NUMBER.pack(self._number) + bytes(self._plain), io.BytesIO()
        _pyrage().encrypt_io(_SlowReader(plain), sealed, self._recipients)
        content = sealed.getvalue()
        self._stream.write(_LENGTHS.pack(len(content), len(self._plain)) + content)
        self._plain.clear()
        self._number += 1


class _SlowReader:
    """A reader in Python: the library holds the interpreter's lock, and lets other threads run while it reads."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        part = bytes(self._data[self._at : end])
        self._at += len(part)
        return part


@dataclass(frozen=True, slots=True)
class _Block:
    """at: of its sealed bytes in the file. start, length: of its plain bytes."""

    at: int
    sealed: int
    start: int
    length: int


class DecryptedFile(io.RawIOBase):
    """A file that reads the plain bytes of an encrypted recording; keeps one block decrypted."""

    def __init__(self, file: BinaryIO, identities: Sequence[Any]) -> None:
        """Scan the blocks; raises `RecordingError` for other identities than those that it was made for."""
        super().__init__()
        self._file, self._identities = file, identities
        self._blocks: list[_Block] = []
        self._scan()
        self._at, self._number, self._plain = 0, -1, b""
        if self._blocks:
            self._check_identity()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset in plain bytes."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the offset in plain bytes."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read plain bytes, fewer at the end; raises `DamagedBlock`."""
        end = self._size if size < 0 else min(self._size, self._at + size)
        parts = []
        while self._at < end:
            number = bisect_right(self._blocks, self._at, key=lambda block: block.start) - 1
            block = self._blocks[number]
            self._decrypt(number)
            begin = self._at - block.start
            part = self._plain[begin : begin + end - self._at]
            parts.append(part)
            self._at += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    @property
    def _size(self) -> int:
        return self._blocks[-1].start + self._blocks[-1].length if self._blocks else 0

    def _scan(self) -> None:
        size, start = self._file.seek(0, io.SEEK_END), 0
        at = len(MAGIC) + _LENGTH.size + len(_read_key_block(self._file))
        while at + _LENGTHS.size <= size:
            self._file.seek(at)
            sealed, length = _LENGTHS.unpack(self._file.read(_LENGTHS.size))
            at += _LENGTHS.size
            if at + sealed > size or sealed > MAX_BLOCK_BYTES or length > sealed:
                break
            self._blocks.append(_Block(at, sealed, start, length))
            at, start = at + sealed, start + length

    def _check_identity(self) -> None:
        """Raise `RecordingError` unless the identity fits some block; damage to one must not look like a wrong key."""
        reason = ""
        for number in range(min(3, len(self._blocks))):
            reason = self._try_decrypt(number)
            if "matching" not in reason:
                return
        raise RecordingError("it is encrypted for another identity")

    def _decrypt(self, number: int) -> None:
        if number != self._number and self._try_decrypt(number):
            block = self._blocks[number]
            raise DamagedBlock(block.start + block.length)

    def _try_decrypt(self, number: int) -> str:
        """Decrypt a block, and return why it cannot be; empty when it is."""
        block, age = self._blocks[number], _pyrage()
        self._file.seek(block.at)
        try:
            plain = age.decrypt(self._file.read(block.sealed), self._identities)
        except age.DecryptError as error:
            return str(error) or "it is damaged"
        # A block that was moved within the file must not be read in another place.
        if len(plain) != block.length + _NUMBER.size or _NUMBER.unpack_from(plain)[0] != number:
            return "it is another block"
        self._number, self._plain = number, plain[_NUMBER.size :]
        return ""


def open_recording_file(path: Path, identity: Path | None) -> BinaryIO:
    """Open a recording for reading, decrypted where it is encrypted; raises `OSError` and `RecordingError`.

    identity: file of an age identity, or of the passphrase; None for the identity in the folder of keys.
    """
    file = path.open("rb")
    try:
        if file.read(len(MAGIC)) != MAGIC:
            file.seek(0)
            return file
        return DecryptedFile(file, _read_identities(file, identity))  # type: ignore[return-value]
    except BaseException:
        file.close()
        raise


def is_encrypted(path: Path) -> bool:
    """Return whether a file is an encrypted recording; raises `OSError`."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _read_key_block(file: BinaryIO) -> bytes:
    file.seek(len(MAGIC))
    head = file.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    return file.read(length) if length <= MAX_KEY_BLOCK_BYTES else b""


def _read_identities(file: BinaryIO, identity: Path | None) -> list[Any]:
    key_block, age = _read_key_block(file), _pyrage()
    if identity is None:
        if key_block:
            raise RecordingError("it is encrypted with a passphrase; name the file that holds it: --identity FILE")
        identity = default_key_folder() / IDENTITY_FILE
        if not identity.exists():
            raise RecordingError("it is encrypted; name the file of its identity: --identity FILE")
    try:
        if key_block:
            texts = [_unlock(key_block, _read_passphrase(identity))]
        else:
            texts = [line for line in _read_secret(identity).splitlines() if line and not line.startswith("#")]
        return [age.x25519.Identity.from_str(text.strip()) for text in texts]
    except age.DecryptError:
        raise RecordingError(f"it is encrypted with another passphrase than that in {identity}") from None
    except (age.IdentityError, UnicodeDecodeError):
        raise RecordingError(f"{identity} holds no identity of age (AGE-SECRET-KEY-1...)") from None


@lru_cache(maxsize=4)
def _unlock(key_block: bytes, passphrase: str) -> str:
    """Return the identity in a key block; takes seconds, and every pass through a file needs it."""
    return str(_pyrage().passphrase.decrypt(key_block, passphrase).decode())


def _read_passphrase(path: Path) -> str:
    passphrase = _read_secret(path).strip()
    if len(passphrase) < 12:
        raise RecordingError(f"{path}: a passphrase has at least 12 characters, got {len(passphrase)}")
    return passphrase


def _read_secret(path: Path) -> str:
    try:
        check_private(path, is_secret=True)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, AccessError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordingError(reason if str(path) in reason else f"cannot read {path}: {reason}") from None


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError:
        raise RecordingError("encrypted recordings need pyrage: pip install -e '.[encryption]'") from None
    return pyrage
