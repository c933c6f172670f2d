"""`manage.py restore FILE…`: makes a hub of a backup, in an empty data folder."""

from __future__ import annotations

import contextlib
import json
import os
import time
from argparse import SUPPRESS, ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from acl import store
from acl.core.errors import HubError, RefusedError
from acl.management import passphrases
from thalihub import datafolder
from thalihub.backups import restoring, trying
from thalihub.backups.restoring import KeyOf
from thalihub.backups.store import runs


class Command(BaseCommand):
    """Restore a hub."""

    help = (
        "Make a hub of a backup, in an empty data folder (HUB_DATA) and an empty database. Name "
        "the whole backup and those that continue it. The passphrase comes from HUB_PASSPHRASE, "
        "or is asked for."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the files."""
        parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="backups")
        parser.add_argument(
            "--test",
            action="store_true",
            help="restore into a temporary folder, check everything there, and remove it",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="check it all after the restore, and print what was found, as JSON",
        )
        parser.add_argument("--keys", type=Path, help=SUPPRESS)  # For `backups.trying`.

    def handle(self, *args: Any, files: list[Path], **options: Any) -> None:
        """Restore, or try whether that works."""
        os.umask(0o077)
        try:
            key_of = _key_of(options["keys"])
            if options["test"]:
                said = trying.told(trying.in_passing(files, key_of))
                _note_tried()
            else:
                said = _restored(files, key_of, options["check"])
        except (HubError, datafolder.AlreadyRunningError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(said)


def _key_of(keys: Path | None) -> KeyOf:
    if keys is None:
        return restoring.by_passphrase(passphrases.asked("Passphrase: "))
    known = {name: bytes.fromhex(key) for name, key in json.loads(keys.read_text()).items()}
    return lambda path, _: known[path.name]


def _note_tried() -> None:
    with contextlib.suppress(RefusedError):  # It may be tried beside any version, or beside no hub.
        if store.is_set_up():
            store.check_tables()
            runs.change_plan(tried_by_hand_at=int(time.time()))


def _restored(files: list[Path], key_of: KeyOf, is_checked: bool) -> str:
    with datafolder.lock(settings.HUB_DATA):
        found = restoring.restore(files, key_of)
        if is_checked:
            return json.dumps(trying.checked(found)._asdict())
    made = datetime.fromtimestamp(found.head.made_at, UTC)
    return (
        f"Restored: the hub as it was on {made:%Y-%m-%d at %H:%M:%S} UTC, with "
        f"{found.documents:,} documents. Start it: manage.py hub\n"
        "The hub it was made from must not run any more: both would be the same device."
    )
