"""The hub's own rows: its name, whether it has an owner, and the set-up link.

A hub that has an owner never takes another: `claim` asks again inside its transaction.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import NamedTuple

from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from acl import sql
from acl.core.errors import RefusedError
from thalihub.models import Heartbeat, Hub, SetupLink

MINUTES = 30
_ONLY = 1


class Claim(NamedTuple):
    """What the owner writes into the first page of the set-up."""

    hub_name: str
    person: str
    username: str
    password: str


def hub() -> Hub:
    """Return this hub's row, made if there is none."""
    row, _made = Hub.objects.get_or_create(pk=_ONLY)
    return row


def change(**values: object) -> None:
    """Set fields of this hub's row."""
    hub()
    Hub.objects.filter(pk=_ONLY).update(**values)


def is_claimed() -> bool:
    """Tell whether the hub has, or ever had, an owner."""
    claimed = Hub.objects.filter(claimed_at__isnull=False).exists()
    return claimed or User.objects.filter(is_superuser=True).exists()


@transaction.atomic
def put_link(token: str, now: datetime.datetime) -> None:
    """Make `token` the only one that opens the set-up, for half an hour."""
    if is_claimed():
        raise RefusedError("This hub has an owner already. Log in to its pages.")
    SetupLink.objects.all().delete()
    SetupLink.objects.create(
        digest=_digest(token), expires_at=now + datetime.timedelta(minutes=MINUTES)
    )


def check_link(token: str, now: datetime.datetime) -> None:
    """Raise RefusedError, which says what to do, unless `token` opens the set-up now."""
    link = SetupLink.objects.last()
    known = link is not None and constant_time_compare(link.digest, _digest(token))
    if is_claimed():
        raise RefusedError(_("This hub has an owner already. Log in instead."))
    if link is None or not known:
        raise RefusedError(_("This link is not the newest one. {fresh}").format(fresh=_fresh()))
    if link.used_at is not None or link.expires_at <= now:
        raise RefusedError(_("This link has expired. {fresh}").format(fresh=_fresh()))


@transaction.atomic
def claim(token: str, claim: Claim, now: datetime.datetime) -> User:
    """Make the owner's login with `token`, which is used up; raises RefusedError."""
    check_link(token, now)
    # Of two at the same time, one finds the row taken.
    if not SetupLink.objects.filter(used_at=None).update(used_at=now):
        raise RefusedError(_("This hub has an owner already. Log in instead."))
    change(name=claim.hub_name, claimed_at=now)
    return User.objects.create_superuser(
        claim.username, password=claim.password, first_name=claim.person
    )


def beat(now: int) -> None:
    """Note that the schedule works; `now` in Unix seconds."""
    Heartbeat.objects.update_or_create(pk=_ONLY, defaults={"seen_at": now})


def last_beat() -> int | None:
    """Return when the schedule last began something, in Unix seconds."""
    row = Heartbeat.objects.filter(pk=_ONLY).first()
    return row and row.seen_at


def wrong_logins(now: float) -> int:
    """Return how many wrong passwords were tried at the pages within a day."""
    day_ago = datetime.datetime.fromtimestamp(now, datetime.UTC) - datetime.timedelta(days=1)
    recent = AccessAttempt.objects.filter(attempt_time__gte=day_ago)
    return sum(recent.values_list("failures_since_start", flat=True))


def close_connections() -> None:
    """Close this process's connections to the database; the next question opens them anew."""
    sql.close()
    connections.close_all()


def _fresh() -> str:
    return _("Print a fresh one with “manage.py setup-link”, or start the hub again.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
