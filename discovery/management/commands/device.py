"""`manage.py device`: the owner's own hubs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync

from acl.management.base import SubcommandsCommand, table, takes_json
from discovery import pairing
from discovery.management.rows import device_of


class Command(SubcommandsCommand):
    """List your devices, and revoke one."""

    help = "List the hubs that are yours, and take all rights of one that is lost."

    def add_subcommands(self) -> None:
        """List, revoke."""
        takes_json(self.subcommand("list", "List your devices.", self._list))
        revoke = self.subcommand("revoke", "Take all rights of a device.", self._revoke)
        revoke.add_argument("name", metavar="NAME")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [device_of(line) for line in async_to_sync(pairing.list_devices)()]
        self.show(rows, options["json"], lambda: _told(rows))

    def _revoke(self, options: Mapping[str, Any]) -> None:
        async_to_sync(pairing.revoke_device)(options["name"])
        self.say(f"Revoked {options['name']}: it is a stranger from now on.")


def _told(rows: list[dict[str, Any]]) -> str:
    return table([(row["name"], row["key_text"], _remarks(row)) for row in rows])


def _remarks(row: Mapping[str, Any]) -> str:
    if row["revoked"]:
        return "revoked"
    return "this hub" if row["this"] else f"last seen {row['last_seen'] or 'never'}"
