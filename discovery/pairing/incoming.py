"""Pairings that another hub begins: what each of its messages does, and what it is answered.

`keys` are those that the TLS connection proves, the leaf's first.  Nothing in a body says who
somebody is; a body that says something else is refused (design/pairing.md, "Values").
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from acl.core.errors import Forbidden
from acl.core.keys import is_key_hash
from discovery import store
from discovery.core import card as cards
from discovery.core import commitment as values
from discovery.core import messages
from discovery.core import pairing as machine
from discovery.core.errors import (
    KeyChanged,
    MessageError,
    NotArmed,
    PairingError,
    WrongState,
)
from discovery.core.invitation import DEVICE
from discovery.core.pairing import Event, Pairing, State, Way
from discovery.pairing import ourselves
from discovery.store import PairingRow

Keys = Sequence[str]

_HEARD = (State.REQUESTED, State.CONFIRMED, State.PAIRED)


def start(body: bytes, keys: Keys, now: datetime.datetime) -> bytes:
    """Take a commitment, and give our nonce: M1 and its answer."""
    if store.armed_until(now) is None and store.open_with(keys[0]) is None:
        store.check_lock(now)
        raise WrongState if store.is_comparing(now) else NotArmed
    _refuse_revoked(keys)
    found = messages.read("start", body)
    key = values.encoded(found["id"])
    if key not in keys:
        raise MessageError
    answer, pairing = _answered(found, body, keys[0], now)
    facts = {"key": key, "name": found["name"], "addresses": [*found["addresses"]]}
    store.begin(pairing, now, **facts)
    store.watch(found["name"], key, now)
    return answer


def _answered(
    found: dict[str, Any], body: bytes, leaf: str, now: datetime.datetime
) -> tuple[bytes, Pairing]:
    ours, nonce = ourselves.keys(), secrets.token_bytes(values.NONCE)
    answer = messages.write(
        sid=found["sid"],
        nR=nonce,
        id=values.decoded(ours.key),
        name=ourselves.name(),
        addresses=store.own_addresses(),
    )
    opened = machine.opened(
        Way.COMPARISON,
        outgoing=False,
        sid=found["sid"],
        our_key=values.decoded(ours.device_key),
        their_key=values.decoded(leaf),
        now=now,
    )
    return answer, machine.responded(opened, found["commit"], nonce, body, answer)


def reveal(body: bytes, keys: Keys, now: datetime.datetime) -> bytes:
    """Take the nonce that was promised: M2."""
    found = messages.read("reveal", body)
    row = store.by_sid(found["sid"], keys[0])
    row = store.change(row.pk, partial(machine.reveal, nonce=found["nI"], now=now), now)
    return _acknowledged(row)


def confirm(body: bytes, keys: Keys, now: datetime.datetime) -> bytes:
    """Take the other side's yes to what it has seen, or its no: M3."""
    found = messages.read("confirm", body)
    row = store.by_sid(found["sid"], keys[0])
    if found["reject"]:
        refused = partial(machine.step, event=Event.REFUSED, now=now)
        return messages.write(state=store.change(row.pk, refused, now).state)
    if row.state in _HEARD and values.same(found["T"], bytes(row.transcript)):
        return _acknowledged(row)  # The same message again.
    row = store.change(row.pk, partial(machine.confirm, transcript=found["T"], now=now), now)
    return _acknowledged(row)


def _acknowledged(row: PairingRow) -> bytes:
    if row.state in (State.FAILED, State.EXPIRED):
        raise machine.error_of(store.value_of(row))
    return messages.write(state=row.state)


def status(sid: str, keys: Keys, now: datetime.datetime) -> str:
    """Return what our owner has said: waiting, confirmed, rejected or expired (M4)."""
    row = store.by_sid(values.decoded(sid, values.SID), keys[0])
    pairing = machine.settled(store.value_of(row), now)
    return _SAID[pairing.state]


_SAID = {
    State.STARTING: "waiting",
    State.COMPARING: "waiting",
    State.REQUESTED: "waiting",
    State.WAITING: "confirmed",
    State.CONFIRMED: "confirmed",
    State.PAIRED: "confirmed",
    State.REJECTED: "rejected",
    State.FAILED: "rejected",
    State.EXPIRED: "expired",
}


def card(body: bytes, keys: Keys, now: datetime.datetime) -> bytes:
    """Take the other side's card, give ours, and for a new device its certificates: M5."""
    found = messages.read("card", body)
    row = store.by_sid(found["sid"], keys[0])
    if row.state == State.CONFIRMED:
        row = _finish(row, found["card"], now)
    if row.state != State.PAIRED:
        raise WrongState
    certificates = {"certificates": row.certificates} if row.certificates else {}
    return messages.write(card=ourselves.card(now), **certificates)


def _finish(row: PairingRow, document: object, now: datetime.datetime) -> PairingRow:
    try:
        found = cards.read(document, row.key)
    except PairingError as error:
        store.change(row.pk, partial(machine.ended_by, error=error, now=now), now)
        raise
    return store.finish(row.pk, found, now)


def scan(body: bytes, keys: Keys, now: datetime.datetime) -> bytes:
    """Take the answer to a code or an invitation of ours: it waits for our owner's yes."""
    _refuse_revoked(keys)
    found = messages.read("qr", body)
    shown = cards.read(found["card"])
    if shown.key not in keys:
        raise KeyChanged
    k_s, k_d = values.decoded(keys[0]), values.decoded(ourselves.keys().device_key)
    opened = machine.opened(
        Way.QR, outgoing=False, sid=found["sid"], our_key=k_d, their_key=k_s, now=now
    )
    said = values.qr_transcript(found["sid"], k_s, k_d, body)
    facts = {
        "key": shown.key,
        "name": messages.cut(shown.name),
        "addresses": list(shown.addresses)[: cards.MOST_ADDRESSES],
        "card": dict(shown.document),
        "device_keys": [values.encoded(key) for key in found["keys"] or ()],
    }
    pairing = replace(opened, start=body, transcript=said)
    row = store.take_offer(pairing, found["proof"], now, **facts)
    if row.purpose != DEVICE:
        store.watch(row.name, row.key, now)
    return messages.write(state=_SAID[State(row.state)])


def _refuse_revoked(keys: Keys) -> None:
    if store.is_revoked(key for key in keys if is_key_hash(key)):
        raise Forbidden
