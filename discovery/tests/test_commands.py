"""The commands of pairing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from discovery import models, store, tasks
from discovery.core import card as cards
from discovery.core import invitation
from discovery.core import pairing as machine
from discovery.core.pairing import Way
from discovery.tests.conftest import NOW, OurHub, Peer


def run(*args: str) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def asked(bob: Peer, sid: bytes = b"s" * 16) -> store.PairingRow:
    now = timezone.now()
    pairing = machine.opened(
        Way.INVITATION, outgoing=False, sid=sid, our_key=b"o" * 32, their_key=b"t" * 32, now=now
    )
    return store.add_pairing(pairing, now, key=bob.key, name="Bob", card=bob.card())


def test_an_invitation_is_printed_as_the_issue_says(clean: OurHub) -> None:
    made = json.loads(run("invitation", "make", "--minutes", "7", "--json"))
    assert set(made) == {"url", "expires"}
    found = invitation.read(made["url"])
    assert (found.key, found.name, found.purpose) == (clean.key, "Ada", "friend")
    assert found.expires.isoformat() == made["expires"]
    assert 6 < (found.expires - timezone.now()).total_seconds() / 60 <= 7


def test_an_invitation_fits_a_file(clean: OurHub, tmp_path: Path) -> None:
    file = tmp_path / "ada.thali"
    run("invitation", "make", "--purpose", "device", "--file", str(file))
    assert invitation.read(file.read_text()).purpose == "device"
    with pytest.raises(CommandError, match="made yourself"):
        run("invitation", "accept", str(file))


@pytest.mark.parametrize("minutes", ["0", "-1", "43201"])
def test_an_invitation_lasts_for_a_month_at_most(clean: OurHub, minutes: str) -> None:
    with pytest.raises(CommandError, match="30 days"):
        run("invitation", "make", "--minutes", minutes)


def test_a_hub_without_address_makes_no_invitation(clean: OurHub) -> None:
    models.Me.objects.update(addresses=[])
    with pytest.raises(CommandError, match="HUB_ADDRESSES"):
        run("invitation", "make")


@pytest.mark.parametrize("text", ["hello", "httpkey://x", "/nowhere/x.thali"])
def test_what_is_no_invitation_is_refused(clean: OurHub, text: str) -> None:
    with pytest.raises(CommandError, match="not an invitation"):
        run("invitation", "accept", text)


def test_an_expired_invitation_is_refused(clean: OurHub, bob: Peer) -> None:
    old = invitation.Invitation(bob.key, ("127.0.0.1:1",), b"s" * 16, NOW)
    with pytest.raises(CommandError, match="expired"):
        run("invitation", "accept", invitation.link(old))


def test_a_request_is_listed_and_approved(clean: OurHub, bob: Peer) -> None:
    row = asked(bob)
    (listed,) = json.loads(run("pairing", "list", "--json"))
    assert (
        listed.items()
        >= {
            "id": row.pk,
            "name": "Bob",
            "key": f"sha256:{bob.key}",
            "way": "invitation",
            "state": "requested",
            "code": "",
        }.items()
    )
    assert "Bob" in run("pairing", "list")
    run("pairing", "approve", str(row.pk), "--name", "Bobby")
    (contact,) = json.loads(run("contact", "list", "--json"))
    assert (contact["name"], contact["trust"]) == ("Bobby", "introduced")
    with pytest.raises(CommandError):
        run("pairing", "reject", str(row.pk))


def test_a_request_is_rejected(clean: OurHub, bob: Peer) -> None:
    row = asked(bob)
    assert json.loads(run("pairing", "reject", str(row.pk), "--json"))["state"] == "rejected"
    with pytest.raises(CommandError, match="pairing list"):
        run("pairing", "approve", "999999")


def test_this_hub_is_listed_as_a_device(clean: OurHub) -> None:
    (this,) = json.loads(run("device", "list", "--json"))
    assert (this["key"], this["this"], this["revoked"]) == (
        f"sha256:{clean.device_key}",
        True,
        False,
    )
    with pytest.raises(CommandError, match="using"):
        run("device", "revoke", this["name"])
    with pytest.raises(CommandError, match="nobody"):
        run("device", "revoke", "nobody")


def test_empty_lists_say_what_to_do(clean: OurHub) -> None:
    assert "invitation make" in run("contact", "list")
    assert "invitation make" in run("pairing", "list")
    assert json.loads(run("contact", "list", "--json")) == []


def test_a_group_is_written_and_read(clean: OurHub, bob: Peer, eve: Peer, tmp_path: Path) -> None:
    file = str(tmp_path / "club.json")
    store.introduce(cards.read(bob.card()), "Zoe", NOW)
    run("contact", "export", file, "club", "Bob")
    (row,) = json.loads(run("contact", "import", file, "--json"))
    assert (row["name"], row["by"]) == ("Bob", "owner")
    with pytest.raises(CommandError, match="0 cards"):
        run("contact", "import", file, "--add", "Eve")
    with pytest.raises(CommandError, match="cannot be read"):
        run("contact", "import", str(tmp_path / "nothing"))
    assert "different" in run("contact", "clashes")


def test_the_worker_notes_what_has_expired(clean: OurHub, bob: Peer, monkeypatch: Any) -> None:
    row = asked(bob)
    later = row.deadline
    monkeypatch.setattr(tasks.timezone, "now", lambda: later)
    tasks.look()
    assert store.get_pairing(row.pk).state == "expired"


def test_the_worker_leaves_alone_what_is_not_its_business(clean: OurHub, bob: Peer) -> None:
    row = asked(bob)
    tasks.follow(row.pk)
    tasks.follow(999_999)
    assert store.get_pairing(row.pk).state == "requested"
