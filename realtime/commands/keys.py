"""Implements `gazecast keys`: who may connect to this machine, to which it connects, who may read its recordings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

from realtime.commands.config_flags import Verbs, add_parser
from realtime.comms.keys import PERMISSIONS, AllowedClient, KeyFolder, Permission, parse_key
from realtime.errors import AccessError
from realtime.infra.output import print_line


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `keys` to the verbs of `gazecast`."""
    about = "keys for connections between machines, which are encrypted"
    keys = verbs.add_parser("keys", help=about, description=about).add_subparsers(metavar="VERB", required=True)
    new = add_parser(keys, "new", _make, "make the key of this machine, once")
    new.add_argument("--force", action="store_true", help="replace it; all who know the old one must learn the new one")
    show = add_parser(keys, "show", _show, "print the public key of this machine, and the others that it knows")
    show.add_argument("--z85", action="store_true", help="print keys in the form that ZeroMQ's other bindings expect")
    allow = add_parser(keys, "allow", _allow, "let a client with this public key read what is published")
    allow.add_argument("key", metavar="KEY", help="that `gazecast keys show` prints on the client's machine")
    allow.add_argument("--name", default="", help="a name for people, such as arm")
    allow.add_argument("--may", default="", metavar="control,pictures", help="what it may request beyond reading: "
                       "change what the run does; receive pictures")  # fmt: skip
    allow.add_argument("--stream", action="append", default=[], metavar="NAME",
                       help="read, and request, what is of this wearer's stream only; may be repeated")  # fmt: skip
    remove = add_parser(keys, "remove", _remove, "let a client in no more, from its next connection on")
    remove.add_argument("client", metavar="NAME|KEY")
    trust = add_parser(keys, "trust", _trust, "keep the public key of a machine to connect to")
    trust.add_argument("host", metavar="HOST", help="or HOST:PORT, as the programs here name it")
    trust.add_argument("key", metavar="KEY", help="that `gazecast keys show` prints there")
    recording = add_parser(
        keys, "recording", _make_identity, "make the identity that encrypted recordings are read with"
    )
    recording.add_argument("--out", type=Path, metavar="FILE", help="default: in the folder of keys")
    for parser in (new, show, allow, remove, trust):
        parser.add_argument("--keys", type=Path, metavar="DIR", help="the folder of keys; default: $GAZECAST_KEYS, "
                            "else in your configuration")  # fmt: skip


def _make(args: argparse.Namespace) -> None:
    from realtime.comms.sockets.curve import make_key_pair

    folder, pair = KeyFolder(args.keys), make_key_pair()
    folder.write_own(pair, replace=args.force)
    print_line(f"wrote {folder.key_file}; the public key of this machine, for others:", pair.public)


def _make_identity(args: argparse.Namespace) -> None:
    from realtime.recording.encryption import make_identity

    path, public = make_identity(args.out)
    print_line(
        f"wrote {path}; keep it, and a copy in a safe place: without it recordings cannot be read",
        f"record for it on any machine with: gazecast run --record FILE --encrypt {public}",
    )


def _show(args: argparse.Namespace) -> None:
    from realtime.comms.sockets.curve import to_z85

    folder, convert = KeyFolder(args.keys), to_z85 if args.z85 else str
    public = folder.read_own().public
    print_line(
        f"this machine: {convert(public)}",
        f"  on a machine that shall read here:  gazecast keys trust THIS_HOST {public}",
        f"  on a machine that is read from here: gazecast keys allow {public}",
    )
    for client in folder.read_clients():
        print_line(f"client {convert(client.key)} {client.name or '-'}: may {_describe(client)}")
    for host, key in folder.read_servers().items():
        print_line(f"server {convert(key)} {host}")


def _allow(args: argparse.Namespace) -> None:
    may = [word.strip() for word in args.may.split(",") if word.strip()]
    if unknown := set(may) - PERMISSIONS:
        raise AccessError(f"--may knows {' and '.join(sorted(PERMISSIONS))}, got {', '.join(sorted(unknown)):.80}")
    permissions = tuple(cast("list[Permission]", sorted(set(may))))
    client = AllowedClient(parse_key(args.key), args.name, permissions, tuple(args.stream))
    KeyFolder(args.keys).allow_client(client)
    print_line(f"{client.name or client.key} may now {_describe(client)}; runs need no restart")


def _describe(client: AllowedClient) -> str:
    rights = ", ".join(("read", *client.may))
    return f"{rights}, only of {', '.join(client.streams)}" if client.streams else rights


def _remove(args: argparse.Namespace) -> None:
    client = KeyFolder(args.keys).remove_client(args.client)
    print_line(f"removed {client.name or client.key}; what is connected now stays so until the run is restarted")


def _trust(args: argparse.Namespace) -> None:
    KeyFolder(args.keys).trust_server(args.host, parse_key(args.key))
    print_line(f"connections to {args.host} are encrypted for this key from now on")
