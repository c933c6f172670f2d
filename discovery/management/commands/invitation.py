"""`manage.py invitation`: invite somebody by mail or chat, and accept an invitation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import CommandError
from django.utils import timezone

from acl.core.keys import key_text
from acl.management.base import SubcommandsCommand, takes_json
from discovery import pairing
from discovery.core.invitation import DEVICE, FRIEND, PURPOSES, Invitation
from discovery.management.rows import row_of

_DAY = 24 * 60


class Command(SubcommandsCommand):
    """Make and accept invitations."""

    help = "Invite somebody to connect their hub with this one, and accept an invitation."

    def add_subcommands(self) -> None:
        """Make, accept."""
        make = self.subcommand("make", "Make an invitation that works once.", self._make)
        make.add_argument(
            "--purpose",
            choices=PURPOSES,
            default=FRIEND,
            help="whoever accepts one for a `device` becomes a device of yours (default: friend)",
        )
        make.add_argument("--minutes", type=int, default=_DAY, help="how long (default: a day)")
        make.add_argument("--file", type=Path, help="write it to a .thali file as well")
        takes_json(make)
        accept = self.subcommand("accept", "Accept an invitation or a code.", self._accept)
        accept.add_argument("text", metavar="URL", help="the link, or the name of a .thali file")
        accept.add_argument(
            "--scanned", action="store_true", help="you have it from the other one's own screen"
        )
        takes_json(accept)

    def _make(self, options: Mapping[str, Any]) -> None:
        made = async_to_sync(pairing.invite)(
            timezone.now(), purpose=options["purpose"], minutes=options["minutes"]
        )
        if options["file"] is not None:
            _write(options["file"], made.text)
        facts = {"url": made.url, "expires": made.expires.isoformat()}
        self.show(facts, options["json"], lambda: made.text)

    def _accept(self, options: Mapping[str, Any]) -> None:
        text = _text(options["text"])
        given = pairing.read(text)
        if given.purpose == DEVICE:
            self._ask(given)
        row = async_to_sync(pairing.accept)(text, timezone.now(), scanned=options["scanned"])
        told = f"Sent to {row.name or row.key_text}, who has to accept it now. Digits: {row.code}"
        self.show(row_of(row), options["json"], lambda: told)

    def _ask(self, given: Invitation) -> None:
        """Ask at a terminal: whoever has made this invitation gets this hub by it."""
        self.stderr.write(
            f"This makes this hub a device of {given.name or 'somebody'}, and everything on it "
            f"theirs: {key_text(given.key)}. Do it if that is you."
        )
        if sys.stdin.isatty() and input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")


def _text(given: str) -> str:
    if "httpkey://" in given.lower():
        return given
    try:
        return Path(given).read_text(errors="replace")
    except OSError:
        return given


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
