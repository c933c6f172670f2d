"""`manage.py principal`: the people, devices and applications that this hub knows."""

from __future__ import annotations

import contextlib
import os
import secrets
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    pkcs12,
)
from django.conf import settings
from django.core.management.base import CommandError

from acl import identity, store
from acl.core import certs
from acl.core.errors import KeyFormatError, RefusedError
from acl.core.keys import PREFIX, key_text, parse_any
from acl.management.base import SubcommandsCommand, table, takes_json
from acl.models import Principal

_KINDS = [kind for kind in Principal.Kind.values if kind != Principal.Kind.OWNER]
_ENDINGS = ("key", "crt", "p12")


class Command(SubcommandsCommand):
    """Add, list and remove principals, and allow them what is not about one database."""

    help = "Add, list and remove the people, devices and applications that this hub knows."

    def add_subcommands(self) -> None:
        """Add, list, remove, allow, disallow."""
        self._describe_add(self.subcommand("add", "Add somebody by a key.", self._add))
        takes_json(self.subcommand("list", "List everybody.", self._list))
        remove = self.subcommand(
            "remove", "Take somebody and all grants away. A device is revoked.", self._remove
        )
        remove.add_argument("name", metavar="NAME")
        for word, allowed in (("allow", True), ("disallow", False)):
            self._describe_allow(word, allowed)

    def _describe_add(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="your name for it")
        key = parser.add_mutually_exclusive_group(required=True)
        key.add_argument(
            "--new-key",
            metavar="DIR",
            type=Path,
            help="make a key and certificate: DIR/NAME.key, .crt and .p12 (HUB_PASSPHRASE, if set, "
            "is the .p12's password)",
        )
        key.add_argument(
            "--cert", metavar="FILE", type=Path, help="the first certificate in FILE (PEM or DER)"
        )
        key.add_argument("--key", metavar="KEY", help="sha256:… or a key text")
        parser.add_argument(
            "--kind",
            choices=_KINDS,
            default=Principal.Kind.FRIEND.value,
            help="a `device` is yours and may do everything (default: friend)",
        )

    def _describe_allow(self, word: str, allowed: bool) -> None:
        does = "Allow somebody" if allowed else "No longer allow somebody"
        parser = self.subcommand(word, f"{does} to make databases, or a web page.", self._list)
        parser.add_argument("name", metavar="NAME")
        what = parser.add_subparsers(required=True, metavar="WHAT")
        make = what.add_parser("create-databases", help="make databases, which it then owns")
        make.set_defaults(action=self._allow_create, allowed=allowed)
        origin = what.add_parser("origin", help="act from the web pages of an origin")
        origin.add_argument("origin", metavar="ORIGIN", help="such as https://app.example")
        origin.set_defaults(action=self._allow_origin, allowed=allowed)

    def _add(self, options: Mapping[str, Any]) -> None:
        name, kind = options["name"], options["kind"]
        if options["new_key"] is not None:
            key = _add_with_new_key(name, kind, options["new_key"])
            self.say(f"{options['new_key'] / name}.crt and .key are the certificate of {name}.")
        else:
            key = _key_of(options["cert"]) if options["cert"] else parse_any(options["key"])
            store.add_principal(name, key, kind)
        self.say(f"Added {name}: {key_text(key)}")

    def _list(self, options: Mapping[str, Any]) -> None:
        origins = store.origins_by_principal()
        rows = [_row(one, origins.get(one.pk, [])) for one in store.list_principals()]
        self.show(rows, options["json"], lambda: _told(rows))

    def _remove(self, options: Mapping[str, Any]) -> None:
        name = options["name"]
        if store.remove_principal(name):
            self.say(f"Removed {name} and all its grants.")
        else:
            self.say(f"Revoked {name}: this device of yours is a stranger from now on.")

    def _allow_create(self, options: Mapping[str, Any]) -> None:
        name, allowed = options["name"], options["allowed"]
        store.allow_create_databases(name, allowed)
        self.say(f"{name} may {'' if allowed else 'no longer '}make databases.")

    def _allow_origin(self, options: Mapping[str, Any]) -> None:
        name, origin = options["name"], options["origin"]
        change = store.allow_origin if options["allowed"] else store.disallow_origin
        change(name, origin)
        may = "may" if options["allowed"] else "may no longer"
        self.say(f"Pages of {origin} {may} act for {name}.")


def _row(principal: Principal, origins: list[str]) -> dict[str, Any]:
    return {
        "name": principal.name,
        "kind": principal.kind,
        "key": PREFIX + principal.key,
        "key_text": principal.key_text,
        "may_create_databases": principal.may_create_databases,
        "revoked": principal.revoked,
        "origins": origins,
    }


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Nobody yet. Add somebody with: manage.py principal add NAME --new-key DIR"
    return table([(row["name"], row["kind"], row["key"], _remarks(row)) for row in rows])


def _remarks(row: Mapping[str, Any]) -> str:
    remarks = ["revoked"] if row["revoked"] else []
    remarks += ["makes databases"] if row["may_create_databases"] else []
    return ", ".join([*remarks, *row["origins"]])


def _key_of(path: Path) -> str:
    """Return the key hash of a certificate file; raises KeyFormatError, RefusedError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    ders = _ders(content)
    _refuse_our_own(ders)
    return certs.verified_keys(ders[0], [])[0]


def _ders(content: bytes) -> list[bytes]:
    if b"-----BEGIN" not in content:
        return [content]
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise KeyFormatError("This file holds no certificate.") from error
    return [one.public_bytes(Encoding.DER) for one in found]


def _refuse_our_own(ders: list[bytes]) -> None:
    """Refuse a certificate that our identity signed: when it is removed, it would be the owner."""
    path = settings.HUB_DATA / "identity.crt"
    if not path.exists():
        return
    ours = _ders(path.read_bytes())
    signed_by = certs.verified_keys(ders[0], [*ders[1:], *ours])[1:]
    if identity.load(settings.HUB_DATA).key in signed_by:
        raise RefusedError(
            "This is the certificate of a device of yours, which may do everything already. Make "
            "another key for it: manage.py principal add NAME --new-key DIR"
        )


def _add_with_new_key(name: str, kind: str, folder: Path) -> str:
    store.check_free(name)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certs.self_signed(key, secrets.randbits(128) | 1)
    contents = (
        identity.pem_of(key),
        certificate.public_bytes(Encoding.PEM),
        _p12(name, key, certificate),
    )
    named = certs.key_of(certificate)
    paths = [folder / f"{name}.{ending}" for ending in _ENDINGS]
    try:
        with _new_files(folder, dict(zip(paths, contents, strict=True))):
            store.add_principal(name, named, kind)
    except OSError as error:
        raise CommandError(f"{paths[0]} cannot be written: {error.strerror}.") from error
    return named


@contextlib.contextmanager
def _new_files(folder: Path, files: Mapping[Path, bytes]) -> Iterator[None]:
    """Make private files, and take them away again when they, or the block, fail."""
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise RefusedError(f"{' and '.join(taken)} would be overwritten. Choose another folder.")
    with contextlib.ExitStack() as undo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in files.items():
            identity.write_private(path, content)
            undo.callback(path.unlink)
        yield
        undo.pop_all()


def _p12(name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    password = os.environ.get("HUB_PASSPHRASE")
    sealed: KeySerializationEncryption = NoEncryption()
    if password:
        sealed = BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, None, sealed)
