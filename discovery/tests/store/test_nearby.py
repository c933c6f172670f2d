"""The rows of hubs nearby, of networks and of the switches."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from discovery import models, store
from discovery.tests.conftest import NOW, OurHub

HOUR = datetime.timedelta(hours=1)
DEVICE, KEY = "d" * 43, "k" * 43


@pytest.fixture(autouse=True)
def empty(clean: OurHub) -> Iterator[None]:
    def forget() -> None:
        for model in (models.NearbyHub, models.Network, models.NearbySwitch):
            model._default_manager.all().delete()

    forget()
    yield
    forget()


def put(device: str = DEVICE, address: str = "192.0.2.7:7000") -> None:
    store.put_near(
        device,
        key=KEY,
        way="wifi",
        address=address,
        certificate=b"certificate",
        expires_at=NOW + HOUR,
        now=NOW,
    )


def test_the_way_to_a_hub_holds_until_its_announcement_ends() -> None:
    put()
    put(address="192.0.2.8:7001")
    (row,) = store.near(KEY, NOW)
    assert (row.address, bytes(row.certificate)) == ("192.0.2.8:7001", b"certificate")
    assert store.near(KEY, NOW + HOUR) == store.list_near(NOW + HOUR) == []
    assert store.near("x" * 43, NOW) == []


def test_a_hub_that_does_not_answer_is_forgotten() -> None:
    put()
    put("e" * 43)
    store.forget_near(DEVICE)
    assert [row.device for row in store.list_near(NOW)] == ["e" * 43]
    store.forget_near()
    assert store.list_near(NOW) == []


def test_nothing_is_on_until_the_owner_says_so() -> None:
    network = store.note_network("192.0.2.0/24 aa:bb", "Home", NOW)
    assert not store.is_wanted() and store.homes() == set()
    assert store.set_home(network.pk, home=True)
    assert store.is_wanted() and store.homes() == {network.mark}
    store.set_home(network.pk, home=False)
    assert not store.is_wanted()
    store.set_switch(bluetooth=True)
    assert store.is_wanted()
    assert not store.set_home(10**6, home=True)


def test_a_network_is_one_row() -> None:
    store.note_network("mark", "One", NOW)
    store.note_network("mark", "Another", NOW + HOUR)
    assert [(row.name, row.seen_at) for row in store.list_networks()] == [("Another", NOW + HOUR)]


def test_who_waits_for_a_comparison_is_forgotten_soon() -> None:
    store.see_nameless("h" * 43, "otter", "192.0.2.7:6984", NOW)
    (row,) = store.list_sightings()
    assert (row.nameless, row.name, row.addresses) == (True, "otter", ["192.0.2.7:6984"])
    store.forget_nameless(NOW)
    assert store.list_sightings()
    store.forget_nameless(NOW + HOUR)
    assert not store.list_sightings()
