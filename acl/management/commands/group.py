"""`manage.py group`: principals, and other groups, under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acl import store
from acl.management.base import SubcommandsCommand, takes_json


class Command(SubcommandsCommand):
    """Make and list groups, and say who is in them."""

    help = "Make and list groups of people and of other groups; grants can name a group."

    def add_subcommands(self) -> None:
        """Add, member, unmember, list, remove."""
        self.subcommand("add", "Make a group.", self._add).add_argument("name", metavar="NAME")
        for word, does, action in (
            ("member", "Put a principal, or another group, into a group.", self._member),
            ("unmember", "Take a principal, or another group, out of a group.", self._unmember),
        ):
            parser = self.subcommand(word, does, action)
            parser.add_argument("group", metavar="GROUP")
            parser.add_argument("name", metavar="NAME")
        takes_json(self.subcommand("list", "List the groups and who is in them.", self._list))
        remove = self.subcommand("remove", "Delete a group and its grants.", self._remove)
        remove.add_argument("name", metavar="NAME")

    def _add(self, options: Mapping[str, Any]) -> None:
        store.add_group(options["name"])
        self.say(f"Made the group {options['name']}.")

    def _member(self, options: Mapping[str, Any]) -> None:
        store.add_member(options["group"], options["name"])
        self.say(f"{options['name']} is in {options['group']}.")

    def _unmember(self, options: Mapping[str, Any]) -> None:
        store.remove_member(options["group"], options["name"])
        self.say(f"{options['name']} is not in {options['group']} any more.")

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [{"name": name, "members": members} for name, members in store.list_groups()]
        self.show(rows, options["json"], lambda: _told(store.list_groups()))

    def _remove(self, options: Mapping[str, Any]) -> None:
        store.remove_group(options["name"])
        self.say(f"Deleted the group {options['name']} and its grants.")


def _told(groups: list[tuple[str, list[str]]]) -> str:
    if not groups:
        return "No groups yet. Make one with: manage.py group add NAME"
    return "\n".join(f"{name}: {', '.join(members) or 'nobody'}" for name, members in groups)
