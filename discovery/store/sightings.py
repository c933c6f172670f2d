"""Hubs that were seen nearby.  Ignore is for good; what is dismissed comes back."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db.models import F, Q

from discovery.models import Sighting

_FRESH = datetime.timedelta(minutes=5)
_MOST = 100
_QUIET = datetime.timedelta(minutes=10)


def see(key: str, name: str, addresses: Sequence[str], now: datetime.datetime) -> None:
    """Note that a hub is nearby; more than a hundred are not kept."""
    Sighting.objects.update_or_create(
        key=key, defaults={"name": name[:64], "addresses": [*addresses][:8], "seen_at": now}
    )
    oldest = Sighting.objects.filter(ignored=False).order_by("-seen_at").values_list("pk")[_MOST:]
    Sighting.objects.filter(pk__in=[pk for (pk,) in oldest]).delete()


def list_sightings(now: datetime.datetime | None = None) -> list[Sighting]:
    """Return who is nearby and was neither ignored nor dismissed, the latest first."""
    shown = Q(dismissed_at=None) | Q(seen_at__gt=F("dismissed_at") + _QUIET)
    found = Sighting.objects.filter(shown, ignored=False)
    if now is not None:
        found = found.filter(seen_at__gt=now - _FRESH)
    return list(found.order_by("-seen_at"))


def sighting(key: str) -> Sighting | None:
    """Return the hub of this key, if it was seen."""
    return Sighting.objects.filter(key=key).first()


def ignore(key: str) -> None:
    """Never show this hub again."""
    Sighting.objects.filter(key=key).update(ignored=True)


def dismiss(key: str) -> None:
    """Do not show this hub for ten minutes; then it is shown again if it is still there."""
    Sighting.objects.filter(key=key).update(dismissed_at=F("seen_at"))
