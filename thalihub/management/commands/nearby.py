"""`manage.py nearby`: who is nearby, what this hub announces, and where it may be found."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from acl.core.errors import HubError
from acl.core.keys import PREFIX
from thalihub import nearby
from thalihub.nearby import Told


class Command(BaseCommand):
    """Show or change what this hub does to be found nearby."""

    help = "Show who is nearby, and say in which networks this hub may be found."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what is wanted."""
        parser.add_argument("--json", action="store_true", help="print JSON")
        verbs = parser.add_subparsers(dest="verb", metavar="home | leave | bluetooth")
        home = verbs.add_parser("home", help="let this hub be found in a network")
        home.add_argument("network", help="its number in the list, or “here”: where it is now")
        leave = verbs.add_parser("leave", help="let this hub be found there no more")
        leave.add_argument("network", help="its number in the list, or “all”")
        bluetooth = verbs.add_parser("bluetooth", help="let this hub be found by Bluetooth")
        bluetooth.add_argument("state", choices=["on", "off"])
        bluetooth.add_argument("--duty", choices=nearby.DUTIES, help="how much the radio works")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what is asked, and show how it is then."""
        try:
            _done(options)
            told = nearby.told()
        except HubError as error:
            raise CommandError(error.reason) from None
        if options["json"]:
            sys.stdout.write(json.dumps(_as_json(told), indent=1) + "\n")
        else:
            sys.stdout.write(_as_text(told))


def _done(options: dict[str, Any]) -> None:
    match options["verb"]:
        case "home" | "leave" as verb:
            for number in _numbers(options["network"], verb):
                nearby.set_home(number, home=verb == "home")
        case "bluetooth":
            nearby.set_bluetooth(on=options["state"] == "on", duty=options["duty"])


def _numbers(text: str, verb: str) -> list[int]:
    told = nearby.told()
    if (verb, text) == ("home", "here"):
        found = [row.pk for row in told.networks if row.mark in told.here]
        if not found:
            raise CommandError("This machine is in no network now. Join one, then try again.")
        return found
    if (verb, text) == ("leave", "all"):
        return [row.pk for row in told.networks]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise CommandError("Name a network by its number in: manage.py nearby")
    return [int(text)]


def _as_json(told: Told) -> dict[str, Any]:
    return {
        "on": told.is_wanted,
        "running": told.is_running,
        "announced_to": told.announced_to,
        "reachable": told.reachable,
        "waits_as": told.called,
        "nearby": [
            {
                "name": one.name,
                "key": PREFIX + one.key,
                "path": one.way,
                "address": one.address,
                "seen": one.seen_at.isoformat(),
                "own": one.is_own,
            }
            for one in told.friends
        ],
        "finders": told.finders,
        "networks": [
            {"id": row.pk, "name": row.name, "home": row.home, "here": row.mark in told.here}
            for row in told.networks
        ],
        "bluetooth": {"on": told.bluetooth, "duty": told.duty},
    }


def _as_text(told: Told) -> str:
    lines = ["Nearby:"]
    lines += [f"  {one.name}, by {one.way}, at {one.address}" for one in told.friends]
    lines += [] if told.friends else ["  nobody whom this hub knows"]
    lines += [f"Announced to {told.announced_to} of {told.reachable} hubs.", "Networks:"]
    lines += [
        f"  {row.pk:>3}  {'home' if row.home else 'not '}  {row.name}"
        f"{'  (here)' if row.mark in told.here else ''}"
        for row in told.networks
    ]
    lines += [] if told.networks else ["  none so far"]
    for name, status in told.finders.items():
        words = " ".join(part for part in (status["why"], status["what_to_do"]) if part)
        lines.append(f"{name}: {status['state']}{'. ' + words if words else ''}")
    return "\n".join(lines) + "\n"
