"""What must not be lost: the identity, the database, the disk, the clock, backups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from acl import identity, sql
from couchapi.core import room
from couchapi.store import space
from discovery import store as discovery
from thalihub import store
from thalihub.backups.store import runs
from thalihub.doctor import Finding, Light, concern

_NEAR = 2
"""Amber below so many times what stays free."""
_DAY = 86_400
_RELEASED = 1_767_225_600
"""A clock that shows an earlier time (2026-01-01) is wrong."""
_AHEAD_SECONDS = 300


@concern("identity")
def identity_is_safe(now: float) -> Sequence[Finding]:
    """Look whether the identity key is here and was saved elsewhere."""
    label = _("Identity")
    identity.load(settings.HUB_DATA)  # Raises where a key was lost.
    if not identity.has_identity_key(settings.HUB_DATA):
        return [Finding("identity", label, Light.GREEN, _("It is on another device of yours."))]
    if store.hub().recovery_saved_at is None:
        said = _("There is no copy of your identity. If this machine breaks, it is lost.")
        to_do = _("Save a recovery file")
        return [Finding("identity", label, Light.AMBER, said, to_do, "setup-recovery")]
    return [Finding("identity", label, Light.GREEN, _("A copy was saved."))]


@concern("database")
def database(now: float) -> Sequence[Finding]:
    """Look whether the database answers."""
    label = _("Database")
    try:
        kind = sql.read_sync(lambda connection: (connection.one("SELECT 1"), connection.vendor)[1])
    except Exception as error:
        if not sql.is_away(error):
            raise
        said = _("PostgreSQL does not answer. Nothing is read or written meanwhile.")
        to_do = _("Start PostgreSQL, or correct DATABASE_URL. The hub goes on by itself.")
        return [Finding("database", label, Light.RED, said, to_do)]
    name = {"sqlite": "SQLite"}.get(kind, "PostgreSQL")
    said = _("%(name)s answers.") % {"name": name}
    return [Finding("database", label, Light.GREEN, said)]


@concern("disk")
def disk(now: float) -> Sequence[Finding]:
    """Look how much is free."""
    label, found, limits = _("Disk"), space.look(), space.limits()
    free = found.free + found.reusable
    said = _("%(free)s are free.") % {"free": filesizeformat(free)}
    if room.is_short(found, limits):
        said = _("The disk is full: nothing more is written. Reading and deleting go on.")
        return [Finding("disk", label, Light.RED, said, _("Make room"), "storage")]
    if free < _NEAR * room.kept_free(found, limits):
        return [Finding("disk", label, Light.AMBER, said, _("Make room"), "storage")]
    return [Finding("disk", label, Light.GREEN, said)]


@concern("clock")
def clock(now: float) -> Sequence[Finding]:
    """Look whether the clock can be right: edits carry its time."""
    label, beat = _("Clock"), store.last_beat()
    to_do = _("Set the clock, and let it be kept right: timedatectl set-ntp true")
    if now < _RELEASED:
        return [Finding("clock", label, Light.RED, _("It shows a time long past."), to_do)]
    if beat is not None and beat > now + _AHEAD_SECONDS:
        return [Finding("clock", label, Light.RED, _("It was set back."), to_do)]
    others = discovery.other_clocks(datetime.fromtimestamp(now - _DAY, UTC))
    return [_apart(label, *other) for other in others] or [
        Finding("clock", label, Light.GREEN, _("It goes forward."))
    ]


def _apart(label: str, name: str, ahead: int) -> Finding:
    if ahead > 0:
        said = _("That of %(name)s is ahead of it by %(time)s.")
    else:
        said = _("That of %(name)s is behind it by %(time)s.")
    at = datetime.fromtimestamp(0, UTC)
    said %= {"name": name, "time": timesince(at, at + timedelta(seconds=abs(ahead)))}
    to_do = _("Set the one that is wrong: of two edits the newer one wins, by these clocks.")
    return Finding("clock", label, Light.AMBER, said, to_do, about=name)


@concern("backup")
def backup(now: float) -> Sequence[Finding]:
    """Look when the last backup was made, and whether it can be restored."""
    plan, made, tried = runs.plan(), runs.last(is_test=False), runs.last(is_test=True)
    label = _("Backup")
    newest_at = runs.newest_at()
    if made is not None and made.state == runs.State.FAILED:
        said = _("The last one did not work.")
        return [Finding("backup", label, Light.RED, said, _("Look why"), "backups")]
    if not newest_at:
        said = _("There is no backup yet.")
        return [Finding("backup", label, Light.AMBER, said, _("Make one"), "backups")]
    if tried is not None and tried.state == runs.State.FAILED:
        said = _("The newest one could not be restored.")
        return [Finding("backup", label, Light.RED, said, _("Look why"), "backups")]
    age = now - newest_at
    if age > max(2 * plan.every, 7 * _DAY):
        said = _("The last one is %(n)s days old.") % {"n": int(age) // _DAY}
        return [Finding("backup", label, Light.AMBER, said, _("Make one"), "backups")]
    if tried is None and not plan.tried_by_hand_at:
        said = _("It was made, but no restore was tried yet.")
        return [Finding("backup", label, Light.AMBER, said, _("Try it"), "backups")]
    return [Finding("backup", label, Light.GREEN, _("It is new, and can be restored."))]
