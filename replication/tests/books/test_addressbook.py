"""Principals, groups and grants stand in the address book, and what stands there holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from acl import store
from acl.core.errors import BadName
from acl.core.policy import ADDRESSBOOK
from acl.models import Group, Principal
from acl.store import Own
from couchapi import writing
from discovery import store as discovery_store
from discovery.core import card as cards
from discovery.models import Contact
from discovery.signals import principal_paired
from replication import books, manager
from replication.books import addressbook

pytestmark = pytest.mark.slow  # All together: each is below a quarter of a second.

KEY, OTHER = "A" * 43, "B" * 42 + "A"
OWN = Own("C" * 42 + "A", "D" * 42 + "A", "Kitchen")


@pytest.fixture
async def book(api: Any, owner: Any) -> Any:
    """The owner's client, with the hub's own databases made."""
    await books.keep_once(OWN)
    yield owner
    for name in (ADDRESSBOOK, "me", "inbox", "_replicator"):
        await owner.delete(f"/{name}")
    for rows in (Group.objects.all(), Principal.objects.filter(key__in=[KEY, OTHER])):
        await _sync(rows.delete)


async def _sync(call: Any, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(call, *args, **kwargs)


async def _get(book: Any, name: str) -> dict[str, Any] | None:
    await books.keep_once(OWN)
    answer = await book.get(f"/{ADDRESSBOOK}/{name}")
    if answer.status == 404:
        return None
    document: dict[str, Any] = answer.json()
    del document["_id"], document["_rev"]
    return document


async def _put(book: Any, name: str, entry: Mapping[str, Any]) -> None:
    held = await book.get(f"/{ADDRESSBOOK}/{name}")
    rev = {"_rev": held.json()["_rev"]} if held.status == 200 else {}
    assert (await book.put(f"/{ADDRESSBOOK}/{name}", {**entry, **rev})).status == 201
    await books.keep_once(OWN)


def _person(**changes: Any) -> dict[str, Any]:
    return {
        "type": "principal",
        "key": f"sha256:{KEY}",
        "name": "alice",
        "kind": "friend",
        "may_create_databases": False,
        "revoked": False,
        "origins": [],
    } | changes


PERSON = f"principal:sha256:{KEY}"


async def test_what_changes_while_the_book_is_written_is_not_lost(
    book: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database.removeprefix("/")
    for person, key in (("alice", KEY), ("bob", OTHER)):
        await _sync(store.add_principal, person, key)
    await _sync(store.add_grant, name, "bob", read=True, write=False)
    await books.keep_once(OWN)
    write = addressbook._write

    async def meanwhile(*args: Any) -> set[str]:
        monkeypatch.setattr(addressbook, "_write", write)
        await _sync(store.add_grant, name, "alice", read=True, write=False)
        await _sync(store.remove_grant, name, "bob")
        return await write(*args)

    monkeypatch.setattr(addressbook, "_write", meanwhile)
    await _sync(store.allow_create_databases, "bob")
    await books.keep_once(OWN)
    await books.keep_once(OWN)
    assert [one.principal.name for one in await _sync(store.list_grants, name)] == ["alice"]


async def test_a_principal_that_is_added_stands_in_the_book(book: Any) -> None:
    await _sync(store.add_principal, "alice", KEY)
    assert await _get(book, PERSON) == _person()
    await _sync(store.allow_origin, "alice", "https://app.example")
    assert await _get(book, PERSON) == _person(origins=["https://app.example"])
    await _sync(store.remove_principal, "alice")
    assert await _get(book, PERSON) is None


async def test_a_principal_of_the_book_is_known_to_the_hub(book: Any) -> None:
    await _put(book, PERSON, _person(origins=["https://app.example"]))
    assert (await _sync(store.find_principal, "alice")).key == KEY
    await _put(book, PERSON, _person(name="Alice B.", revoked=True))
    found = await _sync(store.find_principal, "Alice B.")
    assert found.revoked
    assert found.pk not in await _sync(store.origins_by_principal)
    rev = (await book.get(f"/{ADDRESSBOOK}/{PERSON}")).json()["_rev"]
    await book.delete(f"/{ADDRESSBOOK}/{PERSON}", rev=rev)
    await books.keep_once(OWN)
    assert not await _sync(Principal.objects.filter(key=KEY).exists)


async def _of_database(book: Any, db_name: str) -> list[tuple[str, dict[str, Any]]]:
    """Give the grants on a database that the book has, with the ids of their documents."""
    await books.keep_once(OWN)
    rows = (await book.get(f"/{ADDRESSBOOK}/_all_docs", include_docs="true")).json()["rows"]
    return [(row["id"], row["doc"]) for row in rows if row["doc"].get("database") == db_name]


async def test_a_group_travels_with_its_members(book: Any) -> None:
    await _sync(store.add_principal, "alice", KEY)
    for name in ("family", "children"):
        await _sync(store.add_group, name)
    for member in ("alice", "children"):
        await _sync(store.add_member, "family", member)
    entry = {
        "type": "group",
        "name": "family",
        "members": [{"group": "children"}, {"principal": f"sha256:{KEY}"}],
    }
    assert await _get(book, "group:family") == entry
    await _put(book, "group:family", entry | {"members": [{"group": "children"}]})
    assert dict(await _sync(store.list_groups))["family"] == ["children"]


async def test_a_member_that_is_not_known_yet_comes_later(book: Any) -> None:
    entry = {"type": "group", "name": "family", "members": [{"principal": f"sha256:{KEY}"}]}
    await _put(book, "group:family", entry)
    assert dict(await _sync(store.list_groups))["family"] == []
    assert await _get(book, "group:family") == entry
    await _put(book, PERSON, _person())
    assert dict(await _sync(store.list_groups))["family"] == ["alice"]


async def test_a_grant_travels_and_what_another_device_says_of_it_holds(book: Any) -> None:
    await _sync(store.add_principal, "alice", KEY)
    await _sync(store.add_grant, "letters", "alice", read=True, write=False)
    ((name, grant),) = await _of_database(book, "letters")
    assert grant["holder"] == {"principal": f"sha256:{KEY}"}
    assert (grant["read"], grant["write"], grant["admin"]) == (True, False, False)
    await _put(
        book, name, {part: grant[part] for part in grant if part[0] != "_"} | {"write": True}
    )
    ((held),) = await _sync(store.list_grants, "letters")
    assert (held.read, held.write) == (True, True)
    await _sync(store.remove_grant, "letters", "alice")
    assert await _of_database(book, "letters") == []


async def test_a_database_that_is_deleted_here_stays_shared_elsewhere(
    book: Any, database: str
) -> None:
    db_name = database.removeprefix("/")
    await _sync(store.add_principal, "alice", KEY)
    await _sync(store.add_grant, db_name, "alice", read=True, write=True)
    assert len(await _of_database(book, db_name)) == 1
    await book.delete(database)
    assert len(await _of_database(book, db_name)) == 1
    assert await _sync(store.list_grants, db_name) == []
    # A database of the same name is another one: nobody inherits anything.
    await book.put(database)
    assert await _of_database(book, db_name) == []
    assert await _sync(store.list_grants, db_name) == []


async def test_this_hub_has_its_own_name_elsewhere(book: Any, hub_keys: Own) -> None:
    await books.keep_once(hub_keys)
    name = f"principal:sha256:{hub_keys.device_key}"
    assert (await book.get(f"/{ADDRESSBOOK}/{name}")).json()["name"] == "Kitchen"


@pytest.fixture
async def hub_keys(api: Any) -> Any:
    """What `manage.py hub` notes at its start."""
    device = await _sync(Principal.objects.get, name="this device")
    return Own(device.key, OWN.owner_key, "Kitchen")


async def test_a_name_that_is_taken_gets_the_beginning_of_the_key(book: Any) -> None:
    await _sync(store.add_principal, "alice", OTHER)
    await _put(book, PERSON, _person())
    named = {one.key: one.name for one in await _sync(store.list_principals)}
    assert named[OTHER] == "alice"
    assert named[KEY].startswith("alice ")


@pytest.mark.parametrize(
    "wrong",
    [
        _person(kind="owner"),
        _person(kind="king"),
        _person(name="a/b"),
        _person(key=f"sha256:{OTHER}"),
        _person(origins=7),
        {"type": "principal"},
        {"type": "grant", "database": "x"},
        {"nothing": True},
    ],
)
async def test_an_entry_that_says_nothing_is_left_out(book: Any, wrong: dict[str, Any]) -> None:
    before = await _sync(store.list_principals)
    await _put(book, PERSON, wrong)
    assert await _sync(store.list_principals) == before


async def test_nobody_but_the_owner_can_be_given_the_book(api: Any, book: Any) -> None:
    friend = await _sync(api.principal)
    with pytest.raises(BadName, match="yours alone"):
        await _sync(store.add_grant, ADDRESSBOOK, friend.name, read=True, write=True)
    await book.put(f"/{ADDRESSBOOK}/_security", {"members": {"names": [friend.name]}})
    for answer in (await friend.get(f"/{ADDRESSBOOK}"), await friend.put(f"/{ADDRESSBOOK}/x", {})):
        assert answer.status == 404
    assert ADDRESSBOOK not in (await friend.get("/_all_dbs")).json()


async def test_friends_may_read_me_and_write_to_the_inbox_until_they_may_not(
    api: Any, book: Any
) -> None:
    friend = await _sync(api.principal)
    await _sync(store.add_member, "friends", friend.name)
    assert (await friend.get("/me/_all_docs")).status == 200
    assert (await friend.put("/me/x", {})).status == 403
    assert (await friend.put("/inbox/x", {})).status == 201
    assert (await friend.get("/inbox/_all_docs")).status == 403
    await _sync(store.remove_grant, "inbox", "friends")
    await books.keep_once(OWN)
    assert (await friend.put("/inbox/y", {})).status == 404


async def test_a_contact_travels_with_how_it_became_known(book: Any) -> None:
    await _put(book, PERSON, _person())
    entry = {
        "type": "contact",
        "key": f"sha256:{KEY}",
        "trust": "verified",
        "way": "qr",
        "introduced_by": "",
        "card": {"name": "Alice"},
        "addresses": ["192.168.1.20:6984"],
    }
    name = f"contact:sha256:{KEY}"
    await _put(book, name, entry)
    contact = await _sync(discovery_store.contact, KEY)
    assert (contact.name, contact.trust, contact.card) == ("alice", "verified", {"name": "Alice"})
    await _sync(Contact.objects.filter(pk=contact.pk).update, addresses=["10.0.0.9:1"])
    assert (await _get(book, name)) == entry | {"addresses": ["10.0.0.9:1"]}
    await _put(book, name, entry | {"addresses": ["no address"]})
    assert (await _sync(discovery_store.contact, KEY)).addresses == ["10.0.0.9:1"]


async def test_another_device_is_known_by_where_it_can_be_reached(book: Any, hub_keys: Own) -> None:
    await _put(book, PERSON, _person(kind="device", name="laptop"))
    entry = {
        "type": "device",
        "key": f"sha256:{KEY}",
        "client": None,
        "addresses": ["192.168.1.20:6984"],
        "windows": "18:00-20:00",
    }
    await _put(book, f"device:sha256:{KEY}", entry)
    (found,) = [
        one for one in await _sync(discovery_store.other_devices) if one.principal.key == KEY
    ]
    assert (found.addresses, found.windows) == (entry["addresses"], entry["windows"])


async def test_what_others_say_of_this_hub_is_not_taken_over(book: Any, hub_keys: Own) -> None:
    await _sync(discovery_store.set_me, "Ann", ["192.168.1.7:6984"])
    await books.keep_once(hub_keys)
    path = f"/{ADDRESSBOOK}/device:sha256:{hub_keys.device_key}"
    ours = (await book.get(path)).json()
    assert ours["addresses"] == ["192.168.1.7:6984"]
    await book.put(path, ours | {"addresses": ["10.6.6.6:6984"]})
    for _ in range(2):
        await books.keep_once(hub_keys)
    assert (await _sync(discovery_store.me)).addresses == ["192.168.1.7:6984"]


async def test_the_card_stands_in_me_as_it_was_signed(book: Any) -> None:
    await _sync(discovery_store.set_me, "Ann", ["192.168.1.7:6984"])
    await books.keep_once(OWN)
    first = (await book.get("/me/card")).json()
    assert cards.read({name: first[name] for name in first if name[0] != "_"}, None).name == "Ann"
    await books.keep_once(OWN)
    assert (await book.get("/me/card")).json() == first
    await _sync(discovery_store.set_me, "Ann B.")
    await books.keep_once(OWN)
    assert (await book.get("/me/card")).json()["_rev"].startswith("2-")


async def test_the_card_and_the_address_book_tell_when_this_hub_can_be_reached(
    book: Any, hub_keys: Own
) -> None:
    await _sync(discovery_store.set_me, "Ann", ["192.168.1.7:6984"])
    await _sync(manager.be_reached, "18:00-20:00")
    try:
        await books.keep_once(hub_keys)
        card = (await book.get("/me/card")).json()
        assert card["hubs"][0]["windows"] == "18:00-20:00"
        path = f"/{ADDRESSBOOK}/device:sha256:{hub_keys.device_key}"
        assert (await book.get(path)).json()["windows"] == "18:00-20:00"
    finally:
        await _sync(manager.be_reached, "")


async def test_a_new_friend_is_in_the_group_of_friends(book: Any) -> None:
    await _sync(store.add_principal, "alice", KEY)
    await _sync(principal_paired.send, Contact, key=KEY, name="alice", trust="", purpose="friend")
    assert "alice" in dict(await _sync(store.list_groups))["friends"]


async def test_a_document_that_changes_while_it_is_written_does_not_undo_a_command(
    book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _sync(store.add_principal, "alice", KEY)
    await books.keep_once(OWN)
    await _sync(store.allow_create_databases, "alice")
    path = f"/{ADDRESSBOOK}/{PERSON}"
    really = writing.store

    async def late(db_name: str, batch: Any, author: Any) -> Any:
        monkeypatch.undo()
        held = (await book.get(path)).json()
        assert (await book.put(path, held | {"name": "Alice B."})).status == 201
        return await really(db_name, batch, author)

    monkeypatch.setattr(writing, "store", late)
    await books.keep_once(OWN)
    await books.keep_once(OWN)
    assert (await book.get(path)).json()["may_create_databases"]
    assert (await _sync(store.find_principal, "alice")).may_create_databases


async def test_applications_have_a_place_for_their_wishes(book: Any, api: Any) -> None:
    await _sync(api.application)
    await books.keep_once(OWN)
    assert (await book.get("/_replicator")).json()["props"] == {"local_only": True}
