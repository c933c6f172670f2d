"""What comes of a pairing, and what contacts say of each other."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from acl import store as people
from acl.core.errors import AlreadyThere, NoSuchHolder, RefusedError
from discovery import pairing, signals, store
from discovery.core import card as cards
from discovery.core.errors import KeyChanged, MessageError
from discovery.tests.conftest import NOW, OurHub, Peer


def friend(peer: Peer, by: str = "Zoe", name: str | None = None) -> store.Contact:
    return store.introduce(cards.read(peer.card()), by, NOW, name)


def group(publisher: Peer, *members: Peer, **more: Any) -> str:
    given = [member.card(**more) for member in members]
    return json.dumps(cards.make_group(publisher.identity, "club", given, "now"))


import_group = async_to_sync(pairing.import_group)


def test_an_introduced_contact_says_by_whom(clean: OurHub, bob: Peer) -> None:
    found = friend(bob)
    assert (found.name, found.trust, found.introduced_by) == ("Bob", "introduced", "Zoe")
    assert (found.last_seen, found.addresses) == (None, ["192.0.2.2:6984"])


def test_a_new_contact_is_news(clean: OurHub, bob: Peer) -> None:
    heard: list[Any] = []

    def hear(**news: Any) -> None:
        heard.append((news["key"], news["name"], news["purpose"]))

    signals.principal_paired.connect(hear)
    try:
        friend(bob)
    finally:
        signals.principal_paired.disconnect(hear)
    assert heard == [(bob.key, "Bob", "friend")]


def test_nobody_becomes_a_friend_who_is_something_else(clean: OurHub, bob: Peer) -> None:
    principal = people.add_principal("app", bob.key, "application")
    try:
        with pytest.raises(RefusedError):
            friend(bob)
    finally:
        principal.delete()


def test_a_newer_card_is_taken_and_an_older_one_left(clean: OurHub, bob: Peer) -> None:
    friend(bob)
    for changed, name in (("2027", "Robert"), ("2025", "Bobo")):
        document = cards.make(bob.identity, name, [], changed=changed)
        store.change_card("Bob", cards.read(document), NOW)
    assert store.contact("Bob").card["name"] == "Robert"


def test_a_card_of_another_key_raises_the_alarm_and_changes_nothing(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    friend(bob)
    eve.name = "Bob"
    with pytest.raises(KeyChanged):
        async_to_sync(pairing.receive_card)("Bob", eve.card(), NOW)
    found = store.contact("Bob")
    assert (found.key, found.other_key) == (bob.key, eve.key)
    assert found.card["hubs"][0]["key"] == bob.leaf
    store.forget_alarm("Bob")
    assert store.contact("Bob").other_key == ""


def test_a_card_that_is_nonsense_raises_no_alarm(clean: OurHub, bob: Peer) -> None:
    friend(bob)
    with pytest.raises(MessageError):
        async_to_sync(pairing.receive_card)("Bob", {**bob.card(), "name": "x"}, NOW)
    assert store.contact("Bob").other_key == ""


def test_the_group_of_a_contact_is_read(clean: OurHub, bob: Peer, eve: Peer) -> None:
    friend(bob)
    found = import_group(group(bob, eve, bob), NOW)
    assert [card.name for card in found] == ["Eve"]
    assert [row.name for row in store.list_contacts()] == ["Bob"]
    assert {(row.by, row.name) for row in store.list_introductions()} == {
        ("Bob", "Eve"),
        ("Bob", "Bob"),
    }


def test_a_group_of_a_stranger_is_refused(clean: OurHub, bob: Peer, eve: Peer) -> None:
    with pytest.raises(RefusedError):
        import_group(group(bob, eve), NOW)
    assert store.list_introductions() == []


def test_our_own_group_comes_back_to_us(clean: OurHub, bob: Peer) -> None:
    friend(bob)
    text = async_to_sync(pairing.publish_group)("club", ["Bob"], timezone.now())
    assert [card.key for card in import_group(text, NOW)] == [bob.key]


def test_two_keys_for_one_name_are_shown(clean: OurHub, bob: Peer, eve: Peer) -> None:
    zoe = Peer("Zoe")
    friend(bob)
    friend(zoe)
    assert store.clashes() == []
    eve.name = "BOB"
    import_group(group(zoe, eve), NOW)
    (clash,) = store.clashes()
    assert clash.what == "bob"
    assert set(clash.said) == {(bob.key, ""), (eve.key, "Zoe")}


def test_two_keys_for_one_messaging_address_are_shown(clean: OurHub, bob: Peer, eve: Peer) -> None:
    zoe = Peer("Zoe")
    friend(zoe)
    same = {"messaging": {"database": "inbox", "address": "bob@example.org"}}
    import_group(group(zoe, bob, eve, **same), NOW)
    assert [clash.what for clash in store.clashes()] == ["bob@example.org"]


def test_a_publisher_who_agrees_makes_no_clash(clean: OurHub, bob: Peer) -> None:
    zoe = Peer("Zoe")
    friend(bob)
    friend(zoe)
    import_group(group(zoe, bob), NOW)
    assert store.clashes() == []


def test_a_name_is_made_from_anything(clean: OurHub, bob: Peer) -> None:
    for shown in ("", "///", "\u202e", "owner", "x" * 80, f"sha256:{bob.key}"):
        people.check_free(store.free_name(shown, bob.key))


def test_a_device_that_was_revoked_does_not_come_back(clean: OurHub, bob: Peer) -> None:
    store.add_device("laptop", bob.leaf, None, [], NOW)
    store.revoke_device("laptop", clean.device_key)
    with pytest.raises(RefusedError, match="revoked"):
        store.add_device("laptop", bob.leaf, None, [], NOW)


def test_a_friend_is_no_device(clean: OurHub, bob: Peer) -> None:
    friend(bob)
    with pytest.raises((NoSuchHolder, AlreadyThere)):
        store.revoke_device("Bob", clean.device_key)
    with pytest.raises(RefusedError):
        store.add_device("laptop", bob.key, None, [], NOW)


# -- nearby ------------------------------------------------------------------------------------


def seen(now: datetime.datetime | None = None) -> list[str]:
    return [row.name for row in store.list_sightings(now)]


def test_who_is_nearby_is_shown_while_it_is_fresh(clean: OurHub, bob: Peer) -> None:
    store.see(bob.key, "Bob", ["192.0.2.2:6984"], NOW)
    assert seen(NOW) == ["Bob"]
    assert seen(NOW + datetime.timedelta(minutes=6)) == []


def test_who_is_ignored_stays_away_and_who_is_dismissed_comes_back(
    clean: OurHub, bob: Peer, eve: Peer
) -> None:
    for peer in (bob, eve):
        store.see(peer.key, peer.name, [], NOW)
    store.ignore(bob.key)
    store.dismiss(eve.key)
    assert seen() == []
    later = NOW + datetime.timedelta(minutes=11)
    for peer in (bob, eve):
        store.see(peer.key, peer.name, [], later)
    assert seen() == ["Eve"]


def test_a_crowd_does_not_fill_the_table(clean: OurHub) -> None:
    for number in range(103):
        at = NOW + datetime.timedelta(seconds=number)
        store.see(f"{number:043}", f"n{number}", [], at)
    assert len(seen()) == 100
    assert "n0" not in seen()
