"""`manage.py contact`: the people whom this hub knows, and what they publish of each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import CommandError
from django.utils import timezone

from acl.core.keys import PREFIX
from acl.management.base import SubcommandsCommand, table, takes_json
from discovery import pairing, store
from discovery.core.card import Card, parse_group
from discovery.management.rows import contact_of


class Command(SubcommandsCommand):
    """List contacts; publish a group of them; add people from somebody's group."""

    help = "List your contacts, publish a group of their cards, and add people from a group."

    def add_subcommands(self) -> None:
        """List, export, import, clashes, seen."""
        takes_json(self.subcommand("list", "List your contacts.", self._list))
        export = self.subcommand("export", "Write a group of contacts' cards.", self._export)
        export.add_argument("file", metavar="FILE", type=Path)
        export.add_argument("group", metavar="GROUP", help="how the group is called")
        export.add_argument("names", metavar="NAME", nargs="+", help="your contacts in it")
        take = self.subcommand("import", "Show a group; add people from it.", self._import)
        take.add_argument("file", metavar="FILE", type=Path)
        take.add_argument(
            "--add", metavar="NAME", action="append", default=[], help="introduced by its publisher"
        )
        takes_json(take)
        takes_json(self.subcommand("clashes", "List names that belong to two keys.", self._clashes))
        seen = self.subcommand("settle", "Note that you have asked about a key.", self._settle)
        seen.add_argument("name", metavar="NAME")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [contact_of(row) for row in store.list_contacts()]
        self.show(rows, options["json"], lambda: _told(rows))

    def _export(self, options: Mapping[str, Any]) -> None:
        text = async_to_sync(pairing.publish_group)(
            options["group"], options["names"], timezone.now()
        )
        try:
            options["file"].write_text(text)
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be written.") from error
        self.say(f"{options['file']} holds {len(options['names'])} cards, signed by you.")

    def _import(self, options: Mapping[str, Any]) -> None:
        text = _read(options["file"])
        now = timezone.now()
        found = async_to_sync(pairing.import_group)(text, now)
        by = pairing.publisher_of(parse_group(text).key)
        for name in options["add"]:
            async_to_sync(pairing.introduce)(_named(found, name), by, now)
        rows = [{"name": card.name, "key": PREFIX + card.key, "by": by} for card in found]
        self.show(rows, options["json"], lambda: _listed(rows))

    def _clashes(self, options: Mapping[str, Any]) -> None:
        rows = [
            {"what": one.what, "said": [{"key": PREFIX + key, "by": by} for key, by in one.said]}
            for one in async_to_sync(pairing.clashes)()
        ]
        told = "\n".join(f"{row['what']}: {len(row['said'])} keys" for row in rows)
        self.show(rows, options["json"], lambda: told or "Nobody says anything different.")

    def _settle(self, options: Mapping[str, Any]) -> None:
        store.forget_alarm(store.contact(options["name"]).name)
        self.say(f"The other key that was shown for {options['name']} is forgotten.")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _named(found: list[Card], name: str) -> Card:
    chosen = [card for card in found if name in (card.name, card.key, PREFIX + card.key)]
    if len(chosen) != 1:
        raise CommandError(f"The group has {len(chosen)} cards of “{name}”. Name one by its key.")
    return chosen[0]


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Nobody yet. Invite somebody with: manage.py invitation make"
    return table([(row["name"], row["trust"], row["key_text"], _remarks(row)) for row in rows])


def _remarks(row: Mapping[str, Any]) -> str:
    remarks = [f"introduced by {row['introduced_by']}"] if row["introduced_by"] else []
    remarks += ["ANOTHER KEY WAS SHOWN"] if row["other_key"] else []
    return ", ".join(remarks)


def _listed(rows: list[dict[str, Any]]) -> str:
    return "\n".join(f"{row['name']}  {row['key']}" for row in rows) or "Nobody is in this group."
