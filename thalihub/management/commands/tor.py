"""`manage.py tor`: how the hub is reached through Tor, and what is wanted of that."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import CommandError
from django.utils import timezone

from acl.management.base import SubcommandsCommand, takes_json
from discovery import reaching
from replication import hours, manager
from thalihub import tor


class Command(SubcommandsCommand):
    """Switch Tor on and off, see how it is, test it, renew the address."""

    help = "Be reached through Tor: see how that is, switch it, test it, take a new address."

    def add_subcommands(self) -> None:
        """Status, on, off, test, renew-address, set, windows."""
        takes_json(self.subcommand("status", "Show how Tor is.", self._status))
        self.subcommand("on", "Be reached through Tor from now on.", self._on)
        self.subcommand("off", "End Tor.", self._off)
        self.subcommand("test", "Try to reach this hub through Tor.", self._test)
        self.subcommand("renew-address", "Take another onion address.", self._renew)
        choose = self.subcommand("set", "Set a switch.", self._set)
        choose.add_argument("switch", choices=tor.SWITCHES)
        choose.add_argument("value", choices=("on", "off"))
        when = self.subcommand("windows", "Be reached at some hours alone.", self._windows)
        when.add_argument("windows", metavar="TEXT", help='"Mon-Fri 18:00-20:00"; or ""')

    def _status(self, options: Mapping[str, Any]) -> None:
        found = tor.status()
        self.show(found, options["json"], lambda: _told(found))

    def _on(self, options: Mapping[str, Any]) -> None:
        tor.switch(True)
        missing = "" if not tor.program_is_missing() else " Install tor first: apt install tor"
        self.say(f"Tor is on: see manage.py tor status.{missing}")

    def _off(self, options: Mapping[str, Any]) -> None:
        tor.switch(False)
        self.say("Tor is off.")

    def _test(self, options: Mapping[str, Any]) -> None:
        problem = async_to_sync(reaching.reach_ourselves)(timezone.now())
        if problem:
            raise CommandError(problem)
        self.say(f"Reached through Tor in {tor.status()['answered_ms']} ms.")

    def _renew(self, options: Mapping[str, Any]) -> None:
        self.say(f"The address is {tor.renew_address()} from now on.")

    def _set(self, options: Mapping[str, Any]) -> None:
        tor.choose(options["switch"], options["value"] == "on")
        self.say(f"{options['switch']} is {options['value']}.")

    def _windows(self, options: Mapping[str, Any]) -> None:
        now = time.time()
        manager.be_reached(hours.kept(options["windows"], now))
        self.say(f"Published: {hours.shown(manager.reached(), now) or 'always'}.")


def _told(found: Mapping[str, Any]) -> str:
    lines = [f"Tor is {found['state']}."]
    if found["state"] == "starting":
        lines = [f"Tor is starting: {found['percent']} %. {found['said']}"]
    if found["address"]:
        lines.append(f"Onion address: {found['address']}")
    if found["problem"]:
        lines.append(f"The last self-test failed: {found['problem']}")
    elif found["answered_ms"] is not None:
        lines.append(f"The last self-test took {found['answered_ms']} ms.")
    lines += [f"{one['at'][:19]} {one['what']} {one['more']}".rstrip() for one in found["events"]]
    return "\n".join(lines)
