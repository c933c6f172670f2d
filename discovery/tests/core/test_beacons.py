"""Announcements: who can read them, and the forgeries that Thali's own layout would have taken."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.core import beacons
from discovery.core.beacons import BEACON, LONGEST, MOST, PREAMBLE, Memory, Own, Party, Waiting

NOW = 1_767_225_600_000
CERTIFICATE = hashlib.sha256(b"the listener's").digest()
OTHER = hashlib.sha256(b"another listener's").digest()
HOUR = 3_600_000


def somebody(word: str) -> Own:
    private = X25519PrivateKey.from_private_bytes(hashlib.sha256(word.encode()).digest())
    names = (hashlib.sha256(f"{word} {one}".encode()).digest() for one in ("person", "hub"))
    return Own(Party(*names, private.public_key().public_bytes_raw()), private)


ADA, BOB, EVE = somebody("Ada"), somebody("Bob"), somebody("Eve")
FRIENDS = beacons.marks(one.party for one in (ADA, EVE))
"""Whom Bob knows."""


def said(
    *to: Own, by: Own = ADA, expires: int = NOW + HOUR, certificate: bytes = CERTIFICATE
) -> bytes:
    parties = [one.party for one in to]
    return beacons.make(by, parties, certificate, expires, secrets.token_bytes)


def heard(stream: bytes, certificate: bytes = CERTIFICATE, now: int = NOW, by: Any = (BOB,)) -> Any:
    """Who has said it, as Bob takes it; None: nobody."""
    found = beacons.find(stream, by, FRIENDS, now)
    if found is None or not beacons.is_genuine(found, certificate):
        return None
    return found.sender


def parts(stream: bytes) -> tuple[bytes, list[bytes]]:
    return stream[:PREAMBLE], [
        stream[at : at + BEACON] for at in range(PREAMBLE, len(stream), BEACON)
    ]


# -- what is right ---------------------------------------------------------------------------------


def test_whoever_it_is_for_knows_by_whom_it_is() -> None:
    assert heard(said(BOB)) == ADA.party
    assert heard(said(EVE, BOB, somebody("Carl"))) == ADA.party


def test_nobody_else_can_tell_anything() -> None:
    stream = said(BOB)
    everybody = beacons.marks(one.party for one in (ADA, BOB, EVE))
    assert beacons.find(stream, [EVE], everybody, NOW) is None
    assert ADA.party.mark not in stream and ADA.party.key not in stream
    assert BOB.party.mark not in stream and BOB.party.key not in stream


def test_a_former_key_of_ours_still_opens() -> None:
    assert heard(said(BOB), by=(somebody("Bob, later"), BOB)) == ADA.party


def test_a_stranger_who_knows_our_key_is_nobody() -> None:
    assert heard(said(BOB, by=somebody("stranger"))) is None


@given(st.integers(0, 100))
@settings(max_examples=8, deadline=None)
def test_how_many_are_told_does_not_show(count: int) -> None:
    stream = said(*(somebody(f"friend {number}") for number in range(count)))
    assert len(parts(stream)[1]) in (9, 21, 42, MOST)
    assert len(stream) <= LONGEST
    alone = said()
    assert len(alone) == 473 <= 512, "It fits into one reading over Bluetooth."


def test_two_announcements_have_nothing_in_common() -> None:
    (one, some), (other, more) = parts(said(BOB)), parts(said(BOB))
    assert one[1:33] != other[1:33]
    assert not set(some) & set(more)


def test_the_beacons_stand_in_no_order() -> None:
    def place() -> int:
        stream = said(BOB)
        preamble, all_of_it = parts(stream)
        return next(
            at
            for at, one in enumerate(all_of_it)
            if beacons.find(preamble + one, [BOB], FRIENDS, NOW) is not None
        )

    assert len({place() for _ in range(60)}) > 3


# -- forgeries -------------------------------------------------------------------------------------


def test_a_mac_that_is_copied_under_a_fresh_key_is_worth_nothing() -> None:
    """The first hole of Thali's own layout: whoever reads a beacon keeps its MAC."""
    found = beacons.find(said(BOB), [BOB], FRIENDS, NOW)
    assert found is not None
    ephemeral = X25519PrivateKey.generate()
    preamble = b"\x01" + ephemeral.public_key().public_bytes_raw() + found.preamble[33:]
    seal = beacons._seal(ephemeral.exchange(BOB.private.public_key()), preamble, BOB.party)
    forged = preamble + seal.encrypt(bytes(12), ADA.party.mark + found.mac, preamble)
    assert beacons.find(forged, [BOB], FRIENDS, NOW) is not None, "Only its MAC is wrong."
    assert heard(forged) is None


def test_a_mac_that_is_sent_back_is_worth_nothing() -> None:
    """The second hole: the secret of both is the same in both directions."""
    found = beacons.find(said(BOB), [BOB], FRIENDS, NOW)
    assert found is not None
    ephemeral = X25519PrivateKey.generate()
    for preamble in (
        found.preamble,
        b"\x01" + ephemeral.public_key().public_bytes_raw() + found.preamble[33:],
    ):
        seal = beacons._seal(ephemeral.exchange(ADA.private.public_key()), preamble, ADA.party)
        back = preamble + seal.encrypt(bytes(12), BOB.party.mark + found.mac, preamble)
        candidate = beacons.Candidate(BOB.party, ADA, preamble, found.mac)
        assert not beacons.is_genuine(candidate, CERTIFICATE)
        known = beacons.marks([BOB.party])
        opened = beacons.find(back, [ADA], known, NOW)
        assert opened is None or not beacons.is_genuine(opened, CERTIFICATE)


def test_what_another_listener_hands_out_is_worth_nothing() -> None:
    assert heard(said(BOB), OTHER) is None


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"short"])
def test_a_friend_with_a_bad_key_silences_nobody(key: bytes) -> None:
    bad = EVE.party._replace(key=key)
    stream = beacons.make(ADA, [bad, BOB.party], CERTIFICATE, NOW + HOUR, secrets.token_bytes)
    assert heard(stream) == ADA.party


def test_our_own_announcement_is_not_for_us() -> None:
    known = beacons.marks([ADA.party, BOB.party])
    assert beacons.find(said(ADA, BOB), [ADA], known, NOW) is None


def test_nobody_can_pass_off_anothers_key_as_theirs() -> None:
    """Eve's card may name Ada's key: then Bob must not take Ada for Eve."""
    posing = Party(EVE.party.identity, EVE.party.device, ADA.party.key)
    stream = said(BOB)
    assert beacons.find(stream, [BOB], beacons.marks([posing]), NOW) is None
    found = beacons.find(stream, [BOB], FRIENDS, NOW)
    assert found is not None
    assert not beacons.is_genuine(found._replace(sender=posing), CERTIFICATE)


@pytest.mark.parametrize(
    "expires",
    [0, NOW - 1, NOW, NOW + 24 * HOUR + 1, 2**63, 2**64 - 1],
    ids=["never", "past", "now", "tomorrow", "far", "farthest"],
)
def test_an_end_that_is_past_or_far_is_refused(expires: int) -> None:
    assert heard(said(BOB, expires=expires)) is None


def test_an_end_cannot_be_moved() -> None:
    stream = said(BOB, expires=NOW - 1)
    later = stream[:33] + (NOW + HOUR).to_bytes(8, "big") + stream[PREAMBLE:]
    assert heard(later) is None


@given(st.integers(0, 472), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_makes_it_nobodys(at: int, by: int) -> None:
    stream = beacons.make(ADA, [BOB.party] * 9, CERTIFICATE, NOW + HOUR, secrets.token_bytes)
    one = stream[: PREAMBLE + BEACON]
    at %= len(one)
    changed = one[:at] + bytes([one[at] ^ by]) + one[at + 1 :]
    assert heard(changed) is None


@given(st.binary(max_size=5000))
@settings(max_examples=200, deadline=None)
@pytest.mark.slow
def test_anything_else_is_refused_without_a_word(stream: bytes) -> None:
    assert heard(stream) is None
    assert heard(b"\x01" + stream) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda stream: stream[:PREAMBLE],
        lambda stream: stream[:-1],
        lambda stream: stream + b"\0",
        lambda stream: b"\x02" + stream[1:],
        lambda stream: stream + bytes(BEACON) * MOST,
        lambda stream: stream[:1] + bytes(32) + stream[33:],
    ],
    ids=["empty", "short", "long", "version", "too much", "zero point"],
)
def test_another_form_is_refused(change: Callable[[bytes], bytes]) -> None:
    assert heard(change(said(BOB))) is None


# -- memory ----------------------------------------------------------------------------------------


def candidate(expires: int = NOW + HOUR) -> beacons.Candidate:
    found = beacons.find(said(BOB, expires=expires), [BOB], FRIENDS, NOW)
    assert found is not None
    return found


def test_a_replay_from_elsewhere_is_refused_until_it_has_expired() -> None:
    memory, one = Memory(), candidate()
    assert memory.is_new(one, CERTIFICATE, NOW)
    assert memory.is_new(one, CERTIFICATE, NOW), "The same listener hands it out again."
    assert not memory.is_new(one, OTHER, NOW + HOUR - 1)
    assert not beacons.is_current(one.preamble + bytes(BEACON), NOW + HOUR)


def test_nobody_can_make_us_come_again_and_again() -> None:
    memory, one = Memory(tries=3), candidate()
    assert [memory.may_follow(one, NOW) for _ in range(5)] == [True, True, True, False, False]
    assert memory.may_follow(candidate(), NOW)


def test_memory_is_bounded() -> None:
    memory = Memory(most=2)
    ends = [NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR]
    assert [memory.is_new(candidate(end), CERTIFICATE, NOW) for end in ends] == [True, True, False]
    assert memory.is_new(candidate(NOW + 3 * HOUR), CERTIFICATE, NOW + HOUR)


# -- who is told -----------------------------------------------------------------------------------


def test_who_never_comes_gives_way() -> None:
    parties = [somebody(f"friend {number}").party for number in range(MOST + 2)]
    waiting = [Waiting(party, unheard=number % 2) for number, party in enumerate(parties)]
    told = beacons.chosen(waiting)
    assert len(told) == MOST
    assert set(parties[::2]) <= set(told)
    assert beacons.chosen([]) == []


def test_a_new_one_is_made_after_an_hour_and_for_others() -> None:
    told = [ADA.party, BOB.party]
    assert not beacons.is_stale(NOW, told, told[::-1], NOW + HOUR - 1)
    assert beacons.is_stale(NOW, told, told, NOW + HOUR)
    assert beacons.is_stale(NOW, told, told[:1], NOW)
    assert beacons.is_stale(NOW, told, told, NOW - 1), "The clock was set back."
