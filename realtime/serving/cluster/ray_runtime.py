"""Starts Ray on this machine, or joins a cluster, and leaves it again."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realtime.comms.hosts import explain_unresolved
from realtime.errors import ClusterError

LOCAL = "local"
OBJECT_STORE_BYTES = 80 * 2**20
"""Little more than the least that Ray takes: nothing of a frame or mask goes through it."""
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux, too: listen on loopback alone
    "RAY_AUTH_MODE": "token",  # else every user of this machine could execute code in the cluster
}


def import_ray() -> Any:
    """Import Ray, which then reports no usage to its makers; raises `ClusterError` where it is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a host that takes no GPU may still see one
    try:
        import ray
    except ImportError as error:
        raise ClusterError("a cluster needs Ray, which is not installed; pip install 'gazecast[cluster]'") from error
    return ray


@contextlib.contextmanager
def join_cluster(address: str, *, cpus: int, timeout_s: float) -> Iterator[Any]:
    """Give the module `ray`, connected to HOST:PORT, or to a cluster of this process alone for "local".

    cpus: cores that a local one has, by its count. Raises `ClusterError`, within about `timeout_s` where nothing
    answers.
    """
    if address == LOCAL:
        with _start_local(cpus) as ray:
            yield ray
        return
    host, port = _parse_address(address)
    _check_reachable(address, host, port, timeout_s)
    ray = import_ray()
    _silence_deaths()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="CRITICAL")
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(_explain(address, error)) from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _start_local(cpus: int) -> Iterator[Any]:
    os.environ.update(_LOCAL_ENVIRONMENT)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray = import_ray()
    _silence_deaths()
    folder = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - the paths of its sockets must be short
    with tempfile.TemporaryDirectory(prefix="gazecast-ray-", dir=folder, ignore_cleanup_errors=True) as logs:
        try:
            ray.init(
                address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL",
                object_store_memory=OBJECT_STORE_BYTES, _temp_dir=logs,
            )  # fmt: skip
        except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise ClusterError(f"Ray cannot be started on this machine: {_one_line(error)}") from error
        try:
            yield ray
        finally:
            ray.shutdown()


def _parse_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536) or "/" in address:
        raise ClusterError(
            f"--ray takes local, or HOST:PORT of a cluster's head, such as 10.0.0.5:6379, got {address!r:.80}"
        )
    return host.strip("[]"), int(port)


def _check_reachable(address: str, host: str, port: int, timeout_s: float) -> None:
    """Raise `ClusterError` unless something listens: Ray itself would try for a minute."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except socket.gaierror:
        raise ClusterError(explain_unresolved(host)) from None
    except OSError as error:
        reason = error.strerror or f"no answer within {timeout_s:g} s"
        raise ClusterError(
            f"no Ray cluster at {address}: {reason}; start its head with: ray start --head --port {port}"
        ) from None


def _explain(address: str, error: Exception) -> str:
    """Explain why a cluster that listens cannot be joined."""
    text = _one_line(error)
    if "ersion mismatch" in text:
        return f"Ray at {address} is of another version; all machines need the same Ray and Python: {text}"
    return (
        f"cannot join Ray at {address}: {text}; this machine must be one of the cluster, with the same RAY_AUTH_MODE "
        f"and RAY_AUTH_TOKEN: ray start --address {address}"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _silence_deaths() -> None:
    """Keep Ray from printing a page about each process that dies, which the directory reports in one line."""
    with contextlib.suppress(ImportError, AttributeError):
        from ray._private import worker

        worker.listen_error_messages = lambda *arguments, **options: None
