"""Our notification keys on disk, by which friends' hubs announce something to this one.

They serve for nothing else, and for a time: a key is published in the contact card for two months,
then a new one takes its place, and what was announced to the old one is understood for a month
more.  Whoever steals one may read for whom an announcement is, and is nobody's friend by it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from acl import identity
from acl.identity import write_private
from discovery.core.beacons import Own, Party
from discovery.core.commitment import decoded, encoded
from discovery.core.errors import MessageError

logger = logging.getLogger(__name__)

_DAY: Final = 24 * 3600 * 1000
LIFE: Final = 90 * _DAY
RENEW_BEFORE: Final = 30 * _DAY
_FILE: Final = "beacons.json"


class Kept(NamedTuple):
    """One key; `until` is in milliseconds."""

    private: X25519PrivateKey
    until: int

    @property
    def public(self) -> str:
        """As the card carries it."""
        return encoded(self.private.public_key().public_bytes_raw())


def ensure(folder: Path, now: int) -> list[Kept]:
    """Return our keys, the published one first; make a new one where it is time for that."""
    with _locked(folder):
        kept = [one for one in _read(folder) if now < one.until <= now + LIFE]
        if not kept or kept[0].until - now < RENEW_BEFORE:
            kept.insert(0, Kept(X25519PrivateKey.generate(), now + LIFE))
            write_private(folder / _FILE, _text(kept))
    return kept


def own(folder: Path, now: int) -> list[Own]:
    """Return our keys as announcements use them, the published one first."""
    ours = identity.load(folder)
    names = decoded(ours.key), decoded(ours.device_key)
    return [
        Own(Party(*names, one.private.public_key().public_bytes_raw()), one.private)
        for one in ensure(folder, now)
    ]


def _read(folder: Path) -> list[Kept]:
    try:
        said = orjson.loads((folder / _FILE).read_bytes())
        return [
            Kept(X25519PrivateKey.from_private_bytes(decoded(one["key"], 32)), int(one["until"]))
            for one in said["keys"]
        ]
    except FileNotFoundError:
        return []
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, MessageError):
        logger.warning("%s cannot be read; friends learn a new key.", folder / _FILE)
        return []


def _text(kept: list[Kept]) -> bytes:
    keys = [{"key": encoded(one.private.private_bytes_raw()), "until": one.until} for one in kept]
    return orjson.dumps({"keys": keys})


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "beacons.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
