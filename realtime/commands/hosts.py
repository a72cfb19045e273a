"""Implements `gazecast hosts`: what runs on a cluster, and which host is drained."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from realtime.commands.config_flags import Verbs, add_parser
from realtime.comms.directory import DEFAULT_DIRECTORY
from realtime.errors import ClusterError, RequestTimeout
from realtime.infra.output import print_line


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `hosts` to the verbs of `gazecast`."""
    parser = add_parser(verbs, "hosts", _show, "list the hosts of a cluster and their wearers, or drain one")
    parser.add_argument("directory", nargs="?", default=DEFAULT_DIRECTORY, metavar="tcp://HOST:PORT",
                        help=f"of `gazecast serve --ray`, by default {DEFAULT_DIRECTORY}")  # fmt: skip
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--drain", metavar="NAME", help="move the wearers of this host to the others, one by one")
    change.add_argument("--resume", metavar="NAME", help="let this host take wearers again")


def _show(args: argparse.Namespace) -> None:
    from realtime.comms.directory_client import DirectoryClient

    try:
        with DirectoryClient(args.directory) as client:
            if args.drain is not None:
                client.drain_host(args.drain)
            if args.resume is not None:
                client.resume_host(args.resume)
            for line in describe_cluster(client.list_hosts()):
                print_line(line)
    except RequestTimeout as error:
        raise ClusterError(
            f"{error}; is it the directory (cluster.directory) of a gazecast serve --ray that runs?"
        ) from None


def describe_cluster(described: Mapping[str, Any]) -> Iterator[str]:
    """Describe hosts and waiting sessions, one a line, from the reply of a directory."""
    for host in described.get("hosts", ()):
        load = f"{host['load']:.0%} of {host['capacity']:g}" if host["capacity"] else "spare" if host["spare"] else "-"
        what = "; ".join(filter(None, (", ".join(host["streams"]), host["reason"]))) or "no wearer"
        yield f"{host['name']:10} {host['state']:9} {load:12} {host['machine']}:{host['pid']}  {what}"
    for stream, reason in described.get("waiting", {}).items():
        yield f"{stream} does not run: {reason}"
    yield f"{described.get('fitting', 0)} more wearers fit, by the measured cost of those that run"
