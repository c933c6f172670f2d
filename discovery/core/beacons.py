"""Beacons: an announcement that only those for whom it is can read, and only they know by whom.

An announcement is a preamble and beacons, one for each hub that is to be told, and noise up to a
fixed number (design/discovery.md, "Local discovery without leaking who you are"):

    preamble = 0x01 | ephemeral X25519 key (32) | expiry, milliseconds, big-endian (8)
    beacon   = AES-128-GCM(SHA-256(sender)[:16] | mac), bound to the preamble          48 bytes

Thali's own layout had two holes: its MAC covered the expiry alone, so it could be copied under a
fresh key, and it said nothing of who speaks to whom, so it could be sent back.  Here

- the key of the beacon comes from the ephemeral key and the receiver's: only the receiver opens it;
- the MAC's key comes from the static keys of both, the preamble, and both names in order, and the
  MAC is over the preamble and the certificate of the listener that hands the announcement out.

So a MAC is worth something under one ephemeral key, in one direction, from one listener, for a
time.  Whatever is wrong, the answer is the same None: nobody learns how far a forgery came.  The
nonce is zero because the key of a beacon is used once.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREAMBLE: Final = 41
BEACON: Final = 48
LONGEST: Final = 4096
MOST: Final = (LONGEST - PREAMBLE) // BEACON
"""Hubs that one announcement can tell."""
LONGEST_LIFE: Final = 24 * 3600 * 1000
LIFE: Final = 2 * 3600 * 1000
"""Milliseconds for which our own announcements hold."""
ROTATION: Final = 3600 * 1000
"""Milliseconds after which a new one takes its place, though nothing has changed."""

_VERSION = b"\x01"
_SIZES = (9, 21, 42, MOST)
_NAME = 16
_ZERO = bytes(12)
_MAC = b"thali-beacon-1/mac"
_SEAL = b"thali-beacon-1/seal"

Random = Callable[[int], bytes]


class Party(NamedTuple):
    """A hub, as announcements know it."""

    identity: bytes
    """SHA-256 of its person's key, 32 bytes."""
    device: bytes
    """SHA-256 of its own."""
    key: bytes
    """Its notification key: X25519, 32 bytes, signed by the identity in the contact card."""

    @property
    def name(self) -> bytes:
        """All that it is, so that nobody can pass another's key off as theirs."""
        return self.identity + self.device + self.key

    @property
    def mark(self) -> bytes:
        """What stands for it inside a beacon."""
        return hashlib.sha256(self.name).digest()[:_NAME]


class Own(NamedTuple):
    """A notification key of ours."""

    party: Party
    private: X25519PrivateKey


class Candidate(NamedTuple):
    """A beacon that was for us, by whom it says; what it is worth only the listener shows."""

    sender: Party
    receiver: Own
    preamble: bytes
    mac: bytes

    @property
    def ephemeral(self) -> bytes:
        """What no two announcements have in common."""
        return self.preamble[1:33]

    @property
    def expires(self) -> int:
        """When it ends, in milliseconds."""
        return int.from_bytes(self.preamble[33:], "big")


# -- making ----------------------------------------------------------------------------------------


def make(
    sender: Own, receivers: Iterable[Party], certificate: bytes, expires: int, random: Random
) -> bytes:
    """Return an announcement to all receivers, at most MOST; `certificate` is a SHA-256.

    How many they are does not show: noise fills it up to one of four sizes, in any order.
    """
    ephemeral = X25519PrivateKey.from_private_bytes(random(32))
    preamble = _VERSION + ephemeral.public_key().public_bytes_raw() + expires.to_bytes(8, "big")
    tries = (_beacon(sender, one, ephemeral, preamble, certificate) for one in receivers)
    said = [one for one in itertools.islice(tries, MOST) if one is not None]
    size = next(size for size in _SIZES if len(said) <= size)
    said += [random(BEACON) for _ in range(size - len(said))]
    said.sort(key=lambda _: random(16))
    return preamble + b"".join(said)


def _beacon(
    sender: Own, to: Party, ephemeral: X25519PrivateKey, preamble: bytes, certificate: bytes
) -> bytes | None:
    try:
        public = X25519PublicKey.from_public_bytes(to.key)
        secret = _mac_key(sender.private.exchange(public), preamble, sender.party, to)
        seal = _seal(ephemeral.exchange(public), preamble, to)
    except ValueError:  # No key, or one that gives everybody the same secret: nobody's loss.
        return None
    mac = _mac(secret, preamble, certificate)
    return seal.encrypt(_ZERO, sender.party.mark + mac, preamble)


# -- reading ---------------------------------------------------------------------------------------


def marks(parties: Iterable[Party]) -> dict[bytes, Party]:
    """Return a table of those whom we know, for `find`."""
    return {one.mark: one for one in parties}


def find(
    stream: bytes, ours: Sequence[Own], known: Mapping[bytes, Party], now: int
) -> Candidate | None:
    """Return the beacon in an announcement that is for us; None, whatever is wrong.

    `known` is of `marks`.  Nobody may be told of a candidate before `is_genuine` has seen the
    certificate of the listener that has the announcement.
    """
    preamble = stream[:PREAMBLE]
    if not is_current(stream, now):
        return None
    said = [stream[at : at + BEACON] for at in range(PREAMBLE, len(stream), BEACON)]
    for own in ours:
        opened = _opened(said, own, preamble)
        sender = known.get(opened[:_NAME]) if opened is not None else None
        if opened is not None and sender is not None and sender.key != own.party.key:
            return Candidate(sender, own, preamble, opened[_NAME:])
    return None


def is_current(stream: bytes, now: int) -> bool:
    """Tell whether this has the form of an announcement, and neither too old nor too new an end."""
    size = len(stream) - PREAMBLE
    if not stream.startswith(_VERSION) or size <= 0 or size % BEACON or len(stream) > LONGEST:
        return False
    return now < int.from_bytes(stream[33:PREAMBLE], "big") <= now + LONGEST_LIFE


def _opened(said: Sequence[bytes], own: Own, preamble: bytes) -> bytes | None:
    try:
        ephemeral = X25519PublicKey.from_public_bytes(preamble[1:33])
        seal = _seal(own.private.exchange(ephemeral), preamble, own.party)
    except ValueError:  # A point that gives everybody the same secret.
        return None
    for one in said:
        try:
            return seal.decrypt(_ZERO, one, preamble)
        except InvalidTag:
            continue
    return None


def is_genuine(candidate: Candidate, certificate: bytes) -> bool:
    """Tell whether whoever it says has made it, for us, and for this listener's certificate."""
    own, sender = candidate.receiver, candidate.sender
    try:
        shared = own.private.exchange(X25519PublicKey.from_public_bytes(sender.key))
    except ValueError:
        return False
    secret = _mac_key(shared, candidate.preamble, sender, own.party)
    return hmac.compare_digest(_mac(secret, candidate.preamble, certificate), candidate.mac)


# -- keys ------------------------------------------------------------------------------------------


def _mac_key(shared: bytes, preamble: bytes, sender: Party, receiver: Party) -> bytes:
    return _derived(shared, 32, preamble, _MAC + sender.name + receiver.name)


def _mac(secret: bytes, preamble: bytes, certificate: bytes) -> bytes:
    return hmac.digest(secret, preamble + certificate, "sha256")[:_NAME]


def _seal(shared: bytes, preamble: bytes, receiver: Party) -> AESGCM:
    return AESGCM(_derived(shared, 16, preamble, _SEAL + receiver.name))


def _derived(shared: bytes, size: int, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), size, salt=salt, info=info).derive(shared)


# -- what was heard before -------------------------------------------------------------------------


class Memory:
    """Announcements that were followed: none is followed a second time from elsewhere.

    It holds `most` at once, which no friend's hub comes near; when it is full, nothing new is
    taken until something has expired.
    """

    def __init__(self, most: int = 4096, tries: int = 3) -> None:
        """A beacon whose listener does not answer is worth `tries` tries."""
        self._most, self._tries = most, tries
        self._heard: dict[bytes, tuple[int, bytes]] = {}
        self._tried: dict[bytes, tuple[int, int]] = {}

    def may_follow(self, candidate: Candidate, now: int) -> bool:
        """Tell whether to go where a candidate leads, and count that."""
        self._expire(now)
        _, tries = self._tried.get(candidate.ephemeral, (0, 0))
        if tries >= self._tries or len(self._tried) >= self._most:
            return False
        self._tried[candidate.ephemeral] = (candidate.expires, tries + 1)
        return True

    def is_new(self, candidate: Candidate, certificate: bytes, now: int) -> bool:
        """Note a genuine announcement; False for one that another listener has handed out."""
        self._expire(now)
        held = self._heard.get(candidate.ephemeral)
        if held is None and len(self._heard) >= self._most:
            return False
        if held is not None and held[1] != certificate:
            return False
        self._heard[candidate.ephemeral] = (candidate.expires, certificate)
        self._tried.pop(candidate.ephemeral, None)
        return True

    def _expire(self, now: int) -> None:
        for held in (self._heard, self._tried):
            for key in [key for key, (expires, _) in held.items() if expires <= now]:
                del held[key]


# -- who is told -----------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """A hub for which there is news."""

    party: Party
    unheard: int = 0
    """In how many announcements since it last came for something."""


def chosen(waiting: Iterable[Waiting], most: int = MOST) -> list[Party]:
    """Return whom to tell; who never comes gives way to others."""
    return [one.party for one in sorted(waiting, key=lambda one: (one.unheard, one.party))][:most]


def is_stale(made: int, told: Sequence[Party], wanted: Sequence[Party], now: int) -> bool:
    """Tell whether an announcement of the time `made` is to be replaced."""
    return sorted(told) != sorted(wanted) or not made <= now < made + ROTATION
