"""Who is meant by a peer's text, and where they can be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from acl import identity, sql
from acl import store as people
from acl.core.errors import NoSuchHolder
from discovery import store as discovery
from discovery.core.addresses import Address
from discovery.core.errors import AddressError, OurselvesError
from replication import addresses, routing
from replication.addresses import addresses_of
from replication.core.errors import BadJob
from replication.core.job import MY_DEVICES
from replication.routing import meant
from replication.store import routes


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


class TestRecentSuccess:
    """Where a hub has answered is tried first the next time."""

    HERE, THERE = Address.parse("10.0.0.1:6984"), Address.parse("hub.example:6984")

    @pytest.fixture
    def device(self, api: Any, new_name: Callable[[], str]) -> Iterator[str]:
        """Another hub with two addresses; its key."""
        key = f"{new_name():B<42}A"
        addresses = [str(self.HERE), str(self.THERE)]
        discovery.add_device(new_name(), key, None, addresses, timezone.now())
        yield key
        discovery.Device.objects.filter(principal__key=key).delete()

    def test_what_did_not_answer_goes_behind_what_did(self, device: str) -> None:
        assert addresses.in_order(device, "phone") == [self.HERE, self.THERE]
        addresses.note(device, {self.HERE: False, self.THERE: True})
        assert addresses.in_order(device, "phone") == [self.THERE, self.HERE]
        addresses.note(device, {self.HERE: True})
        assert addresses.in_order(device, "phone") == [self.HERE, self.THERE]

    def test_a_hub_that_is_off_says_nothing_of_its_addresses(self, device: str) -> None:
        addresses.note(device, {self.HERE: False})
        assert addresses.in_order(device, "phone") == [self.HERE, self.THERE]
        assert sql.read_sync(partial(routes.of_hub, key=device)) == {}

    def test_the_address_of_a_url_goes_before_all_others(self, device: str) -> None:
        url = f"httpkey://10.0.0.9/sha256:{device}/db"
        assert str(addresses.in_order(device, url)[0]) == "10.0.0.9:6984"

    def test_success_is_not_written_down_at_every_run(self, device: str) -> None:
        addresses.note(device, {self.HERE: True})
        known = sql.read_sync(partial(routes.of_hub, key=device))
        now = known[str(self.HERE)].last_success or 0.0
        assert not routes.is_news(known, {str(self.HERE): True}, now + 1)
        assert routes.is_news(known, {str(self.HERE): True}, now + 61)

    def test_what_is_old_is_forgotten(self, device: str) -> None:
        sql.write_sync(partial(routes.note, key=device, outcomes={"a:1": True}, now=1000.0))
        sql.write_sync(partial(routes.note, key=device, outcomes={"b:1": True}, now=9e6))
        assert [*sql.read_sync(partial(routes.of_hub, key=device))] == ["b:1"]

    def test_hubs_of_a_card_are_tried_by_priority_and_at_their_hours(
        self, api: Any, new_name: Callable[[], str]
    ) -> None:
        principal = people.find_principal(api.principal(new_name()).name)
        hubs = [
            {"key": "x", "addresses": ["10.0.0.1:1"], "priority": 1},
            {"key": "y", "addresses": ["10.0.0.2:2"], "priority": 9},
            {"key": "z", "addresses": ["10.0.0.3:3"], "windows": "1970-01-01/1970-01-02"},
        ]
        contact = discovery.Contact.objects.create(
            principal=principal, trust="verified", way="qr", card={"hubs": hubs},
            addresses=["10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3", "10.0.0.4:4"],
            paired_at=timezone.now(),
        )  # fmt: skip
        found = [one.port for one in addresses.in_order(principal.key, contact.name)]
        assert found == [2, 1, 4]
        contact.delete()
