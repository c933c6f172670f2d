"""Notification keys on disk: published for a time, understood for longer, and then gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.utils import timezone

from discovery import beaconkeys, store
from discovery.beaconkeys import LIFE, RENEW_BEFORE
from discovery.core import card as cards
from discovery.pairing import ourselves
from discovery.tests.conftest import OurHub

NOW = 1_767_225_600_000


def publics(folder: Path, now: int) -> list[str]:
    return [one.public for one in beaconkeys.ensure(folder, now)]


def test_a_key_is_made_once_and_stays(tmp_path: Path) -> None:
    (first,) = publics(tmp_path, NOW)
    assert publics(tmp_path, NOW + LIFE - RENEW_BEFORE) == [first]
    assert (tmp_path / "beacons.json").stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_published_while_the_old_one_is_still_understood(tmp_path: Path) -> None:
    (first,) = publics(tmp_path, NOW)
    later = NOW + LIFE - RENEW_BEFORE + 1
    second, former = publics(tmp_path, later)
    assert (former, second != first) == (first, True)
    assert publics(tmp_path, NOW + LIFE) == [second]


def test_a_file_that_cannot_be_read_costs_the_key_alone(tmp_path: Path) -> None:
    (first,) = publics(tmp_path, NOW)
    for text in (b"", b"[]", b'{"keys":[{"key":"x","until":1}]}'):
        (tmp_path / "beacons.json").write_bytes(text)
        (other,) = publics(tmp_path, NOW)
        assert other != first


def test_our_card_says_our_key(clean: OurHub, settings: Any) -> None:
    card = cards.read(ourselves.card(timezone.now()), clean.key)
    now = int(timezone.now().timestamp() * 1000)
    (own, *_) = beaconkeys.own(settings.HUB_DATA, now)
    assert card.hubs[0].beacon_key == beaconkeys.encoded(own.party.key)
    assert now < card.hubs[0].beacon_until
    entries = store.all_entries(clean.device_key, clean.device_key)
    assert entries[f"device:sha256:{clean.device_key}"]["beacon"]["key"] == card.hubs[0].beacon_key


def test_a_device_says_its_key_to_the_others(clean: OurHub) -> None:
    store.set_me(beacon={"key": "A" * 43, "until": NOW})
    ours = store.all_entries(clean.device_key, clean.device_key)
    assert ours[f"device:sha256:{clean.device_key}"]["beacon"] == {"key": "A" * 43, "until": NOW}
