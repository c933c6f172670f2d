"""`manage.py storage`: what the hub's data takes, and making room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.template.defaultfilters import filesizeformat

from acl.core.errors import RefusedError
from acl.management.base import SubcommandsCommand, table, takes_json
from couchapi import upkeep
from thalihub.pages import quotaforms, storing

_UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}


class Command(SubcommandsCommand):
    """Show sizes, compact databases, set limits."""

    help = "Show what the hub's data takes, compact databases, and limit what may be put here."

    def add_subcommands(self) -> None:
        """List, compact, limit."""
        listed = self.subcommand("list", "Say what each database takes.", self._list)
        listed.add_argument("--measure", action="store_true", help="measure now, which takes time")
        takes_json(listed)
        compacted = self.subcommand("compact", "Forget old revisions now.", self._compact)
        compacted.add_argument("database", metavar="DB")
        limited = self.subcommand("limit", "Limit a database or a person.", self._limit)
        whose = limited.add_mutually_exclusive_group(required=True)
        whose.add_argument("--database", metavar="DB")
        whose.add_argument("--person", metavar="NAME", help="a principal, or an application")
        limited.add_argument("size", metavar="SIZE", help="500MB, 2GB, or none")

    def _list(self, options: Mapping[str, Any]) -> None:
        if options["measure"]:
            for line in storing.now().lines:
                upkeep.measure(line.name)
        found = storing.now()
        self.show(_as_json(found), options["json"], lambda: _as_text(found))

    def _compact(self, options: Mapping[str, Any]) -> None:
        name = options["database"]
        upkeep.measure(name)  # Says so if there is none.
        upkeep.compact(name)
        self.say(f"{name} is compacted.")

    def _limit(self, options: Mapping[str, Any]) -> None:
        quota = _bytes(options["size"])
        if options["database"]:
            quotaforms.limit_database(options["database"], quota)
        else:
            quotaforms.limit_person(options["person"], quota)
        whose = options["database"] or options["person"]
        self.say(f"{whose}: {'no limit' if quota is None else _size(quota)}.")


def _as_text(found: storing.Storage) -> str:
    rows = [("DATABASE", "TOTAL", "OLD", "LIMIT")]
    for line in found.lines:
        limit = "" if line.quota is None else _size(line.quota)
        rows.append((line.name, _size(line.sizes.total), _size(line.sizes.reclaimable), limit))
    free, total = _size(found.disk.free), _size(found.disk.total)
    kept = _size(found.kept_free)
    return f"{table(rows)}\n{free} of {total} are free; below {kept} nothing more is written."


def _size(size: int) -> str:
    return filesizeformat(size).replace("\xa0", " ")


def _as_json(found: storing.Storage) -> dict[str, Any]:
    return {
        "disk": {
            "total": found.disk.total,
            "free": found.disk.free,
            "kept_free": found.kept_free,
            "is_short": found.is_short,
        },
        "databases": [
            {"name": line.name, "quota": line.quota, **line.sizes._asdict()} for line in found.lines
        ],
        "shares": [one._asdict() for one in found.holders],
    }


def _bytes(text: str) -> int | None:
    if text.lower() == "none":
        return None
    number, unit = text[:-2].strip(), _UNITS.get(text[-2:].upper())
    if unit is None or not number.replace(".", "", 1).isdecimal():
        raise RefusedError("A size reads 500MB, 2GB or 1.5TB, or none for no limit.")
    return int(float(number) * unit)
