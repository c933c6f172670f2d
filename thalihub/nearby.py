"""What the owner says about finding hubs nearby, for pages and commands alike."""

from __future__ import annotations

import datetime
from importlib.util import find_spec
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone

from acl.core.errors import RefusedError
from discovery import store
from discovery.core.addresses import Address
from discovery.known import Known, known_hubs, milliseconds
from discovery.networks import Watch
from discovery.store import Network
from thalihub import datafolder

DUTIES = ("sparing", "balanced", "eager")
_FRESH = datetime.timedelta(minutes=2)


class Friend(NamedTuple):
    """A hub nearby of somebody whom we know."""

    name: str
    key: str
    way: str
    address: str
    seen_at: datetime.datetime
    is_own: bool


class Told(NamedTuple):
    """How finding hubs nearby is now."""

    is_wanted: bool
    is_running: bool
    friends: list[Friend]
    announced_to: int
    reachable: int
    """How many hubs of friends and devices could be told, if there were something for them."""
    called: str
    """The name under which this hub waits for another one; empty: it does not wait."""
    finders: dict[str, dict[str, str]]
    networks: list[Network]
    here: list[str]
    """Marks of the networks that this machine is in."""
    bluetooth: bool
    duty: str


def begin() -> bool:
    """Tell whether the process has something to do when the hub starts."""
    return store.is_wanted()


def look_around() -> list[str]:
    """Note the networks of now, so that the owner can say which is theirs; return their marks."""
    now, networks = timezone.now(), Watch().look()
    for one in networks:
        store.note_network(one.mark, one.name, now)
    return [one.mark for one in networks]


def set_home(number: int, *, home: bool) -> None:
    """Say whether this hub may be found in a network; raises RefusedError."""
    if not store.set_home(number, home=home):
        raise RefusedError("There is no such network. See them with: manage.py nearby")
    datafolder.rouse(settings.HUB_DATA)


def set_bluetooth(*, on: bool, duty: str | None = None) -> None:
    """Say whether this hub may be found by Bluetooth, and how much the radio may work for it."""
    if on and not has_bluetooth():
        raise RefusedError("This hub cannot use Bluetooth. It finds others in networks.")
    if duty is not None and duty not in DUTIES:
        raise RefusedError(f"The radio can be {', '.join(DUTIES)}.")
    store.set_switch(bluetooth=on, duty=duty)
    datafolder.rouse(settings.HUB_DATA)


def has_bluetooth() -> bool:
    """Tell whether this hub can use Bluetooth at all."""
    return find_spec("discovery.finders.ble") is not None


def told() -> Told:
    """Return how it is now, with what the process has said last."""
    now, here = timezone.now(), look_around()
    switch, hubs = store.switch(), known_hubs(milliseconds())
    said = switch.said
    return Told(
        is_wanted=store.is_wanted(),
        is_running=bool(said),
        friends=_friends(hubs, now),
        announced_to=int(said.get("told", 0)),
        reachable=len(hubs),
        called=str(said.get("name", "")),
        finders=dict(said.get("finders", {})),
        networks=store.list_networks(),
        here=here,
        bluetooth=switch.bluetooth,
        duty=switch.duty,
    )


def _friends(hubs: list[Known], now: datetime.datetime) -> list[Friend]:
    names = {one.device: one for one in hubs}
    return [
        Friend(
            names[row.device].name,
            row.key,
            row.way,
            str(Address.parse(row.address)),
            row.seen_at,
            names[row.device].is_own,
        )
        for row in store.list_near(now)
        if row.device in names
    ]
