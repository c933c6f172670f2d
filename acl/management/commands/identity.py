"""`manage.py identity`: the hub's own keys, and the recovery file of its identity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from acl import identity
from acl.core.keys import PREFIX, key_text
from acl.core.recovery import SHORTEST_PASSPHRASE
from acl.management import passphrases
from acl.management.base import SubcommandsCommand, table, takes_json

_PASSPHRASE = "The passphrase comes from HUB_PASSPHRASE, or is asked for."


class Command(SubcommandsCommand):
    """Show the hub's keys; save and recover its identity."""

    help = "Show the keys of this hub; save its identity in a recovery file, and recover it."
    needs_tables = False

    def add_subcommands(self) -> None:
        """Show, export, import."""
        takes_json(self.subcommand("show", "Print the keys of this hub.", self._show))
        export = self.subcommand(
            "export", f"Write the recovery file of the identity key. {_PASSPHRASE}", self._export
        )
        export.add_argument("file", metavar="FILE", type=Path, help="the file to make")
        take = self.subcommand(
            "import", f"Take the identity of a recovery file. {_PASSPHRASE}", self._import
        )
        take.add_argument("file", metavar="FILE", type=Path, help="a recovery file")

    def _show(self, options: Mapping[str, Any]) -> None:
        ours = identity.load(settings.HUB_DATA)
        keys = {"key": ours.key, "device_key": ours.device_key, "owner_key": ours.owner_key}
        data = {name: PREFIX + key for name, key in keys.items()}
        data |= {f"{name}_text": key_text(key) for name, key in keys.items()}
        data["owner_certificate"] = str(settings.HUB_DATA / "owner.crt")
        self.show(data, options["json"], lambda: _told(ours))

    def _export(self, options: Mapping[str, Any]) -> None:
        path: Path = options["file"]
        if path.exists():
            raise CommandError(f"{path} exists already. Name a file that does not.")
        identity.load(settings.HUB_DATA)
        recovery_file = identity.export(settings.HUB_DATA, passphrases.new(SHORTEST_PASSPHRASE))
        _create(path, recovery_file)
        self.say(
            f"{path} holds the identity of this hub. Keep it elsewhere, and the passphrase apart "
            "from it: whoever has both is you."
        )

    def _import(self, options: Mapping[str, Any]) -> None:
        path: Path = options["file"]
        try:
            recovery_file = path.read_bytes()
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        ours = identity.import_(
            settings.HUB_DATA, recovery_file, passphrases.asked("Passphrase: "), timezone.now()
        )
        self.say(f"This hub is now {key_text(ours.key)}. Start it, or restart it if it runs.")


def _told(ours: identity.Identity) -> str:
    rows = [
        ("Identity", key_text(ours.key), PREFIX + ours.key),
        ("This hub", key_text(ours.device_key), PREFIX + ours.device_key),
        ("Owner's certificate", key_text(ours.owner_key), PREFIX + ours.owner_key),
    ]
    return table(rows)


def _create(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
