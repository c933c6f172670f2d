"""Who is meant by a peer's text, and where they can be reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from acl import identity
from acl import store as people
from acl.core.errors import NoSuchHolder
from discovery import store as discovery
from discovery.core.errors import AddressError, OurselvesError
from replication import routing
from replication.core.errors import BadJob
from replication.core.job import MY_DEVICES
from replication.routing import addresses_of, meant


@pytest.fixture
def friends(api: Any, new_name: Callable[[], str]) -> dict[str, str]:
    """Three friends: name and key."""
    made = [api.principal(f"{new_name()} {word}") for word in ("ann", "bob", "cora")]
    return {one.name: people.find_principal(one.name).key for one in made}


def names(peer: str) -> list[str]:
    return [one.name for one in meant(peer)]


def test_a_name_means_its_principal(friends: dict[str, str]) -> None:
    ann = next(iter(friends))
    assert [tuple(one) for one in meant(ann)] == [(friends[ann], ann)]


def test_a_group_means_all_in_it_and_in_the_groups_in_it(
    friends: dict[str, str], new_name: Callable[[], str]
) -> None:
    outer, inner = new_name(), new_name()
    ann, bob, cora = friends
    for group, members in ((inner, [ann, bob]), (outer, [cora, inner])):
        people.add_group(group)
        for member in members:
            people.add_member(group, member)
    people.add_member(inner, outer)  # A circle ends somewhere.
    assert names(outer) == sorted([ann, bob, cora])
    owner = identity.load(settings.HUB_DATA).key
    assert names(f"thaligroup:/sha256:{owner}/{outer}/httpkeysimple/db") == names(outer)
    with pytest.raises(BadJob):
        meant(f"thaligroup:/sha256:{'A' * 43}/{outer}/httpkeysimple/db")


def test_a_url_means_the_key_in_it(friends: dict[str, str]) -> None:
    ann = next(iter(friends))
    (known,) = meant(f"httpkey://10.0.0.1:7/sha256:{friends[ann]}/db")
    assert tuple(known) == (friends[ann], ann)
    (stranger,) = meant(f"httpkey://10.0.0.1:7/sha256:{'A' * 43}/db")
    assert stranger.name == "10.0.0.1:7"


def test_my_devices_are_those_that_are_not_revoked(api: Any, new_name: Callable[[], str]) -> None:
    name, key = new_name(), f"{new_name():A<43}"
    discovery.add_device(name, key, None, ["10.0.0.1:7", "nonsense"], timezone.now())
    assert key in [one.key for one in meant(MY_DEVICES)]
    assert [str(one) for one in addresses_of(key)] == ["10.0.0.1:7"]
    people.remove_principal(name)
    assert key not in [one.key for one in meant(MY_DEVICES)]
    discovery.Device.objects.filter(principal__key=key).delete()


def test_nobody_is_said_to_be_nobody(api: Any) -> None:
    with pytest.raises(NoSuchHolder):
        meant("nobody at all")
    with pytest.raises(BadJob):
        meant("owner")


async def test_there_is_no_way_to_ourselves_or_to_nowhere(hub_identity: Any) -> None:
    ours = identity.load(settings.HUB_DATA)
    for key in (ours.key, ours.device_key):
        with pytest.raises(OurselvesError):
            async with routing.way_to(key, "me"):
                raise AssertionError
    with pytest.raises(AddressError):
        async with routing.way_to("B" * 43, "b"):
            raise AssertionError
