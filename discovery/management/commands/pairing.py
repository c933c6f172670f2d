"""`manage.py pairing`: who wants to connect, and comparing six digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.utils import timezone

from acl.management.base import SubcommandsCommand, table, takes_json
from discovery import pairing, store
from discovery.core.invitation import FRIEND, PURPOSES
from discovery.management.rows import row_of


class Command(SubcommandsCommand):
    """List pairings and decide them; show a code; compare six digits."""

    help = "List who wants to connect with this hub, say yes or no, and compare six digits."

    def add_subcommands(self) -> None:
        """List, approve, reject, offer, arm, compare."""
        takes_json(self.subcommand("list", "List the pairings, the newest first.", self._list))
        for word, does, action in (
            ("approve", "Accept a request, or say that the six digits match.", self._approve),
            ("reject", "Refuse a request, or say that the six digits differ.", self._reject),
        ):
            parser = self.subcommand(word, does, action)
            parser.add_argument("id", metavar="ID", type=int, help="as `pairing list` shows it")
            if word == "approve":
                parser.add_argument("--name", help="your name for them")
            takes_json(parser)
        offer = self.subcommand("offer", "Make a code that works once in 5 minutes.", self._offer)
        offer.add_argument("--purpose", choices=PURPOSES, default=FRIEND)
        takes_json(offer)
        takes_json(self.subcommand("arm", "Be ready for 2 minutes to compare.", self._arm))
        compare = self.subcommand("compare", "Compare with another hub that is ready.", self._with)
        compare.add_argument("who", metavar="ADDRESS", help="or a key, or a contact's name")
        takes_json(compare)

    def _list(self, options: Mapping[str, Any]) -> None:
        store.settle(timezone.now())
        rows = [row_of(row) for row in store.list_pairings()]
        self.show(rows, options["json"], lambda: _told(rows))

    def _approve(self, options: Mapping[str, Any]) -> None:
        act = async_to_sync(pairing.approve)
        self._show(act(options["id"], timezone.now(), options["name"]), options)

    def _reject(self, options: Mapping[str, Any]) -> None:
        self._show(async_to_sync(pairing.reject)(options["id"], timezone.now()), options)

    def _offer(self, options: Mapping[str, Any]) -> None:
        made = async_to_sync(pairing.offer)(timezone.now(), purpose=options["purpose"])
        facts = {"url": made.url, "expires": made.expires.isoformat()}
        self.show(facts, options["json"], lambda: made.url)

    def _arm(self, options: Mapping[str, Any]) -> None:
        until = async_to_sync(pairing.arm)(timezone.now()).isoformat()
        self.show({"until": until}, options["json"], lambda: f"Ready until {until}.")

    def _with(self, options: Mapping[str, Any]) -> None:
        self._show(async_to_sync(pairing.compare)(options["who"], timezone.now()), options)

    def _show(self, row: store.PairingRow, options: Mapping[str, Any]) -> None:
        facts = row_of(row)
        self.show(facts, options["json"], lambda: _told([facts]))


def _told(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Nobody yet. Invite somebody with: manage.py invitation make"
    names = ("id", "name", "way", "state", "code", "key_text")
    return table([tuple(str(row[name]) for name in names) for row in rows])
