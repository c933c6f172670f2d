"""Hubs that have proven to be near, the networks where this hub may be found, and the switches."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from discovery.models import NearbyHub, NearbySwitch, Network, Sighting

_ONLY = 1
_MOST_HUBS = 1000
_MOST_NETWORKS = 200
_FRESH = datetime.timedelta(minutes=5)


# -- hubs ------------------------------------------------------------------------------------------


def put_near(
    device: str,
    *,
    key: str,
    way: str,
    address: str,
    certificate: bytes,
    expires_at: datetime.datetime,
    now: datetime.datetime,
) -> None:
    """Note the way to a hub nearby, in place of what was known of it."""
    said: dict[str, Any] = {"key": key, "way": way, "address": address}
    said |= {"certificate": certificate, "expires_at": expires_at, "seen_at": now}
    NearbyHub.objects.update_or_create(device=device, defaults=said)
    oldest = NearbyHub.objects.order_by("-seen_at").values_list("pk")[_MOST_HUBS:]
    NearbyHub.objects.filter(pk__in=[pk for (pk,) in oldest]).delete()


def near(key: str, now: datetime.datetime) -> list[NearbyHub]:
    """Return the hubs nearby of somebody, the latest first."""
    found = NearbyHub.objects.filter(key=key, expires_at__gt=now)
    return list(found.order_by("-seen_at"))


def list_near(now: datetime.datetime) -> list[NearbyHub]:
    """Return all hubs that are near now, the latest first."""
    return list(NearbyHub.objects.filter(expires_at__gt=now).order_by("-seen_at"))


def forget_near(device: str | None = None) -> None:
    """Forget a hub that does not answer any more; None: all."""
    found = NearbyHub.objects.all() if device is None else NearbyHub.objects.filter(device=device)
    found.delete()


def see_nameless(handle: str, name: str, address: str, now: datetime.datetime) -> None:
    """Note a hub that waits for another to compare codes with, and has said nothing of itself."""
    said = {"name": name[:64], "addresses": [address], "seen_at": now, "nameless": True}
    Sighting.objects.update_or_create(key=handle, defaults=said)


def forget_nameless(before: datetime.datetime) -> None:
    """Forget those who have not been seen since."""
    Sighting.objects.filter(nameless=True, seen_at__lt=before).delete()


# -- networks --------------------------------------------------------------------------------------


def note_network(mark: str, name: str, now: datetime.datetime) -> Network:
    """Return the row of a network that this hub is in, made if there is none: not a home."""
    row, made = Network.objects.get_or_create(
        mark=mark[:200], defaults={"name": name[:64], "seen_at": now}
    )
    if made:
        old = Network.objects.filter(home=False).values_list("pk")[_MOST_NETWORKS:]
        Network.objects.filter(pk__in=[pk for (pk,) in old]).delete()
    elif now - row.seen_at > _FRESH or row.name != name[:64]:
        row.seen_at, row.name = now, name[:64]
        row.save(update_fields=["seen_at", "name"])
    return row


def set_home(number: int, *, home: bool) -> bool:
    """Say whether this hub may be found in a network; False where there is no such network."""
    return bool(Network.objects.filter(pk=number).update(home=home))


def list_networks() -> list[Network]:
    """Return the networks that this hub has been in, the latest first."""
    return list(Network.objects.all())


def homes() -> set[str]:
    """Return the marks of the networks where this hub may be found."""
    return set(Network.objects.filter(home=True).values_list("mark", flat=True))


# -- switches --------------------------------------------------------------------------------------


def switch() -> NearbySwitch:
    """Return the row of the switches, made if there is none."""
    row, _made = NearbySwitch.objects.get_or_create(pk=_ONLY)
    return row


def set_switch(*, bluetooth: bool | None = None, duty: str | None = None) -> None:
    """Set the switches that are given."""
    switch()
    given = {"bluetooth": bluetooth, "duty": duty}
    NearbySwitch.objects.filter(pk=_ONLY).update(
        **{name: value for name, value in given.items() if value is not None}
    )


def say(said: Mapping[str, Any], now: datetime.datetime) -> None:
    """Keep what the process that finds hubs says of itself, for the pages."""
    switch()
    NearbySwitch.objects.filter(pk=_ONLY).update(said=dict(said), said_at=now)


def is_wanted() -> bool:
    """Tell whether anything is on, so that the process has something to do."""
    return (
        Network.objects.filter(home=True).exists()
        or NearbySwitch.objects.filter(bluetooth=True).exists()
    )
