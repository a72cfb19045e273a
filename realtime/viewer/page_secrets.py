"""Makes the token and the certificate with which a page is served to other machines, once, in the folder of keys."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from realtime.comms.keys import check_private
from realtime.errors import ViewerError
from realtime.files import write_atomically

VALID_DAYS = 800
"""Apple's browsers refuse certificates of more than 825 days."""
RENEW_DAYS = 30
TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class PageSecrets:
    """Holds the files of the page's token, certificate and private key."""

    token: Path
    certificate: Path
    key: Path


def prepare_page_secrets(folder: Path) -> PageSecrets:
    """Return the files in a folder, made where they are missing or nearly expired.

    Raises `ViewerError` without the library or a folder that can be written, `AccessError` for files of others.
    """
    files = PageSecrets(*(folder / name for name in ("page-token", "page-certificate.pem", "page-key.pem")))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not files.token.exists():
            write_atomically(files.token, f"{secrets.token_hex(TOKEN_BYTES)}\n".encode(), is_private=True)
        if not (files.key.exists() and files.certificate.exists() and _is_valid(files.certificate)):
            certificate, key = _make_certificate()
            write_atomically(files.key, key, is_private=True)
            write_atomically(files.certificate, certificate, is_private=True)
        for file in (files.token, files.key):
            check_private(file, is_secret=True)
    except OSError as error:
        raise ViewerError(f"cannot write {error.filename or folder}: {error.strerror or error}") from None
    return files


def read_fingerprint(certificate: Path) -> str:
    """Return the SHA-256 fingerprint that browsers show for a certificate; raises `ViewerError`."""
    import hashlib
    import ssl

    try:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest().upper()
    except (OSError, ValueError) as error:
        raise ViewerError(f"view.tls_cert {certificate}: {getattr(error, 'strerror', None) or error}") from None
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _is_valid(certificate: Path) -> bool:
    try:
        from cryptography import x509

        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (ImportError, ValueError):
        return False
    return found.not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEW_DAYS)


def _make_certificate() -> tuple[bytes, bytes]:
    """Return a self-signed certificate for this machine's names and addresses, and its private key, as PEM."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise ViewerError(
            "a certificate of your own needs the library cryptography: pip install -e '.[encryption]'"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gazecast")]), datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _list_names()]
    addresses = [x509.IPAddress(address) for address in _list_addresses()]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private


def _list_names() -> list[str]:
    own = socket.gethostname()
    return [name for name in dict.fromkeys(("localhost", own, f"{own}.local")) if name.isascii() and name.strip(".")]


def _list_addresses() -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = {"127.0.0.1", "::1"}
    with contextlib.suppress(OSError, UnicodeError):
        found |= {str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(socket.gethostname(), None)}
    return [ipaddress.ip_address(address) for address in sorted(found)]
