"""`manage.py backup FILE`: writes a backup, also while the hub runs."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from acl import store
from acl.core.errors import HubError
from acl.core.recovery import SHORTEST_PASSPHRASE
from acl.management import passphrases
from thalihub.backups import making, restoring
from thalihub.backups.store import runs


class Command(BaseCommand):
    """Write a backup."""

    help = (
        "Write a backup of everything, also while the hub runs. It is under a passphrase, which "
        "comes from HUB_PASSPHRASE, or is asked for."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file, and the one to continue."""
        parser.add_argument("file", metavar="FILE", type=Path, help="the file to make")
        parser.add_argument(
            "--since",
            metavar="EARLIER",
            type=Path,
            help="write only what is new since this backup, which a restore needs as well",
        )

    def handle(self, *args: Any, file: Path, since: Path | None, **options: Any) -> None:
        """Make it, and say how large it is."""
        os.umask(0o077)
        try:
            restoring.check_finished(settings.HUB_DATA)
            if not store.is_set_up():
                raise CommandError("There is no hub here yet: nothing to back up. Check HUB_DATA.")
            said = self._made(file, since)
        except HubError as error:
            raise CommandError(error.reason) from None
        self.stdout.write(said)

    def _made(self, file: Path, since: Path | None) -> str:
        passphrase = (
            passphrases.new(SHORTEST_PASSPHRASE)
            if since is None
            else passphrases.asked("Passphrase of the earlier backup: ")
        )
        parent = since and restoring.head_of(since, restoring.by_passphrase(passphrase))
        lock = making.fresh_lock(passphrase)
        made = making.make(file, lock, parent or None, self._show)
        runs.change_plan(by_hand_at=int(time.time()))
        return f"{file}: {made.size:,} bytes. Keep it elsewhere, and the passphrase apart from it."

    def _show(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{done * 100 // max(total, 1):3} %", ending="")
