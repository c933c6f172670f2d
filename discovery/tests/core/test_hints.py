from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core import beacons, hints
from discovery.core.addresses import LAN, Address
from discovery.core.beacons import PREAMBLE
from discovery.core.hints import ENVELOPE
from discovery.tests.core.test_beacons import ADA, BOB, EVE, said

HOSTS = ["192.168.1.20", "10.0.0.7"]
THERE = tuple(Address(LAN, host, 7000) for host in HOSTS)


def test_whoever_is_told_learns_where() -> None:
    stream = said(BOB, EVE)
    sealed = hints.seal([BOB.party, EVE.party], stream, HOSTS, 7000)
    assert hints.unseal(sealed, BOB, stream[:PREAMBLE]) == THERE
    assert hints.unseal(sealed, EVE, stream[:PREAMBLE]) == THERE


def test_nobody_else_learns_anything() -> None:
    stream = said(BOB)
    sealed = hints.seal([BOB.party], stream, HOSTS, 7000)
    assert hints.unseal(sealed, EVE, stream[:PREAMBLE]) == ()
    assert bytes([192, 168, 1, 20]) not in sealed


@pytest.mark.parametrize("count", [0, 1, 9])
def test_how_many_are_told_does_not_show(count: int) -> None:
    stream = said(*[BOB] * count)
    sealed = hints.seal([BOB.party] * count, stream, HOSTS, 7000)
    assert len(sealed) == ENVELOPE * ((len(stream) - PREAMBLE) // beacons.BEACON)
    assert len(sealed) == 9 * ENVELOPE


def test_an_envelope_beside_another_announcement_is_for_nobody() -> None:
    sealed = hints.seal([BOB.party], said(BOB), HOSTS, 7000)
    assert hints.unseal(sealed, BOB, said(BOB)[:PREAMBLE]) == ()


def test_a_friends_bad_key_silences_nobody() -> None:
    stream = said(BOB)
    parties = [ADA.party._replace(key=bytes(32)), ADA.party._replace(key=b"short"), BOB.party]
    sealed = hints.seal(parties, stream, HOSTS, 7000)
    assert hints.unseal(sealed, BOB, stream[:PREAMBLE]) == THERE


def test_in_no_network_there_is_no_envelope() -> None:
    assert hints.seal([BOB.party], said(BOB), [], 7000) == b""
    assert hints.seal([BOB.party], said(BOB), HOSTS, 0) == b""


def test_at_most_four_addresses_are_said() -> None:
    stream = said(BOB)
    sealed = hints.seal([BOB.party], stream, [f"10.0.0.{one}" for one in range(1, 9)], 7000)
    assert len(hints.unseal(sealed, BOB, stream[:PREAMBLE])) == 4


@given(st.binary(max_size=3 * ENVELOPE))
def test_noise_leads_nowhere(noise: bytes) -> None:
    assert hints.unseal(noise, BOB, bytes(PREAMBLE)) == ()
    assert hints.unseal(secrets.token_bytes(ENVELOPE), BOB, bytes(PREAMBLE)) == ()
    for address in hints._addresses(noise):
        assert address.port and not address.host.startswith("0.0.0.0")
