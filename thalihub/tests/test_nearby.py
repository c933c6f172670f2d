"""What the owner says of hubs nearby, by the page and by the command; and who asks too often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from acl.core.errors import RefusedError
from discovery import models, networks, store
from discovery.core.networks import Network
from thalihub import nearby
from thalihub.pages import nearbypages
from thalihub.processes.announcing import Pace

HERE = Network("192.0.2.0/24 aa:bb", "Our home", "192.0.2.5/24", True)


@pytest.fixture(autouse=True)
def home(api: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is in one network, and nothing is known of any other."""
    monkeypatch.setattr(networks.Watch, "look", lambda _: [HERE])
    for model in (models.NearbyHub, models.Network, models.NearbySwitch):
        model._default_manager.all().delete()
    yield
    for model in (models.NearbyHub, models.Network, models.NearbySwitch):
        model._default_manager.all().delete()


def command(*words: str, capsys: Any) -> Any:
    call_command("nearby", "--json", *words)
    return json.loads(capsys.readouterr().out)


def test_a_network_is_no_home_until_the_owner_says_so(capsys: Any) -> None:
    told = command(capsys=capsys)
    assert (told["on"], told["running"]) == (False, False)
    (row,) = told["networks"]
    assert (row["name"], row["home"], row["here"]) == ("Our home", False, True)
    assert command("home", "here", capsys=capsys)["on"] is True
    assert store.homes() == {HERE.mark} and nearby.begin()
    assert command("leave", str(row["id"]), capsys=capsys)["on"] is False
    command("home", str(row["id"]), capsys=capsys)
    assert command("leave", "all", capsys=capsys)["on"] is False


@pytest.mark.parametrize("number", ["x", "-1", "999999", "9" * 30, "²"])
def test_a_network_that_is_not_there_is_refused(number: str) -> None:
    with pytest.raises(CommandError, match="nearby"):
        call_command("nearby", "home", number, stdout=StringIO())


def test_where_bluetooth_cannot_be_used_it_is_not_switched_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearby, "has_bluetooth", lambda: False)
    with pytest.raises(RefusedError, match="networks"):
        nearby.set_bluetooth(on=True)
    nearby.set_bluetooth(on=False)
    monkeypatch.setattr(nearby, "has_bluetooth", lambda: True)
    with pytest.raises(RefusedError, match="sparing"):
        nearby.set_bluetooth(on=True, duty="always")
    nearby.set_bluetooth(on=True, duty="sparing")
    assert (store.switch().bluetooth, store.switch().duty) == (True, "sparing")


def test_the_command_says_it_in_words(capsys: Any) -> None:
    status = {"state": "unavailable", "why": "No network.", "what_to_do": "Join one."}
    store.say({"finders": {"wifi": status}, "told": 2, "name": ""}, timezone.now())
    call_command("nearby")
    text = capsys.readouterr().out
    assert "nobody whom this hub knows" in text
    assert "wifi: unavailable. No network. Join one." in text
    assert "not   Our home  (here)" in text


def test_the_page_shows_how_it_is() -> None:
    status = {"state": "on", "why": "", "what_to_do": ""}
    store.say({"finders": {"wifi": status}, "told": 2, "name": "ABCD-EFGH"}, timezone.now())
    shown = nearbypages.shown()
    assert shown["told"].announced_to == 2 and shown["told"].called == "ABCD-EFGH"
    assert [row.name for row in shown["here"]] == ["Our home"]
    assert shown["finders"] == [{"name": "Network", "state": "On", "is_on": True, "words": ""}]


def test_the_page_says_where_it_may_be_found(api: Any) -> None:
    owner = User.objects.create_superuser("nearby")
    client = Client(headers={"host": "hub"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    nearby.look_around()
    (row,) = store.list_networks()
    try:
        assert "What a stranger can see" in client.get("/nearby/", secure=True).content.decode()
        said = client.post("/nearby/", {"home": str(row.pk)}, secure=True, follow=True)
        assert "may be found in that network" in said.content.decode()
        assert store.homes() == {HERE.mark}
        client.post("/nearby/", {"leave": str(row.pk)}, secure=True)
        assert store.homes() == set()
        refused = client.post("/nearby/", {"home": "999999"}, secure=True, follow=True)
        assert "There is no such network" in refused.content.decode()
        client.post("/nearby/", {"home": "²", "leave": "9" * 40, "bluetooth": "x"}, secure=True)
    finally:
        owner.delete()


def test_who_asks_too_often_has_to_wait() -> None:
    pace = Pace(most=3)
    assert [pace.is_too_fast("192.0.2.7", 100.0) for _ in range(4)] == [False, False, False, True]
    assert not pace.is_too_fast("192.0.2.8", 100.0), "Each address has its own."
    assert pace.is_too_fast("192.0.2.7", 159.0)
    assert not pace.is_too_fast("192.0.2.7", 161.0)


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    pace = Pace()
    for number in range(5000):
        pace.is_too_fast(str(number), 1.0)
    assert len(pace._counts) <= 1025
