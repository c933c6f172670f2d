"""Pairings that this hub begins: it sends the messages, and asks how the other side decides.

The other hub answers, and never calls back: it may not reach us.  So a pairing that waits is looked
at again and again (`refresh`), by the page that shows it and by the worker, whoever comes first;
each step can be done twice.
"""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from channels.db import database_sync_to_async as in_database
from django.conf import settings

from acl import identity
from acl import store as people
from acl.core import certs
from acl.core.errors import HubError, RefusedError
from acl.identity import DeviceCertificates
from discovery import signals, store
from discovery.core import card as cards
from discovery.core import commitment as values
from discovery.core import messages
from discovery.core import pairing as machine
from discovery.core.addresses import Address
from discovery.core.errors import (
    CodesDiffer,
    DiscoveryError,
    Locked,
    MessageError,
    NotArmed,
    OurselvesError,
    PairingError,
    UsedTwice,
    WrongState,
)
from discovery.core.invitation import DEVICE, Invitation
from discovery.core.pairing import Event, Pairing, State, Way
from discovery.dialer import Session, dial
from discovery.pairing import ourselves, talk
from discovery.store import PairingRow

_MESSAGE_SECONDS = 10
_GLARE_LOOKS, _GLARE_SECONDS = 10, 0.2
_COMPARED = (Way.COMPARISON, Way.NEARBY)


class Clock:
    """The time that goes by while messages are on their way."""

    def __init__(self, now: datetime.datetime) -> None:
        self._began, self._now = time.monotonic(), now

    def __call__(self) -> datetime.datetime:
        """Return the time of now."""
        return self._now + datetime.timedelta(seconds=time.monotonic() - self._began)


def identity_of(keys: Sequence[str]) -> str:
    """Return whose hub it is: the key that has signed the leaf, else the leaf's own."""
    return keys[1] if len(keys) > 1 else keys[0]


# -- a code or an invitation -------------------------------------------------------------------


async def follow(invitation: Invitation, way: Way, now: datetime.datetime) -> PairingRow:
    """Answer a code or an invitation; the row waits for the other side's yes."""
    invitation.check(now)
    await in_database(_check_ours)(invitation)
    addresses = ourselves.parsed(invitation.addresses)
    async with dial(invitation.key, addresses, timeout=_MESSAGE_SECONDS) as session:
        row, body = await in_database(_scan)(invitation, way, session, now)
        try:
            await talk.post(session, "qr", body)
        except UsedTwice as error:
            await _fail(row, error, now)
            raise
        except HubError:
            await in_database(store.forget)(row.pk)
            raise
    return row


def _check_ours(invitation: Invitation) -> None:
    ours = ourselves.keys()
    if invitation.key in (ours.key, ours.device_key):
        raise OurselvesError("This is an invitation that you have made yourself. Send it on.")
    if invitation.purpose == DEVICE:
        if not identity.has_identity_key(settings.HUB_DATA):
            raise RefusedError("This hub is a device of yours already.")
        people.check_friendless()


def _scan(
    invitation: Invitation, way: Way, session: Session, now: datetime.datetime
) -> tuple[PairingRow, bytes]:
    sid = secrets.token_bytes(values.SID)
    k_s, k_d = values.decoded(ourselves.keys().device_key), values.decoded(session.leaf_key)
    wanted: dict[str, Any] = {"card": ourselves.card(now)}
    if invitation.purpose == DEVICE:
        wanted["keys"] = ourselves.device_keys()
    proof = values.proof(invitation.secret, k_s, k_d, sid)
    body = messages.write(sid=sid, proof=proof, **wanted)
    pairing = machine.opened(way, outgoing=True, sid=sid, our_key=k_s, their_key=k_d, now=now)
    said = replace(pairing, start=body, transcript=values.qr_transcript(sid, k_s, k_d, body))
    facts = _facts(session, invitation.addresses, invitation.name)
    return store.add_pairing(said, now, purpose=invitation.purpose, **facts), body


def _facts(session: Session, addresses: Sequence[str], name: str) -> dict[str, Any]:
    reached = str(session.address)
    return {
        "key": identity_of(session.keys),
        "name": name,
        "addresses": list(dict.fromkeys([reached, *addresses]))[: cards.MOST_ADDRESSES],
    }


# -- the comparison ----------------------------------------------------------------------------


async def compare(
    key: str | None, addresses: Sequence[Address], way: Way, now: datetime.datetime
) -> PairingRow:
    """Begin a comparison with the hub at these addresses; the row has the six digits.

    Raises NotArmed, Locked, WrongState, and what the dialer raises.
    """
    clock = Clock(now)
    async with dial(key, addresses, timeout=_MESSAGE_SECONDS) as session:
        try:
            row, body = await in_database(_begin)(session, way, clock())
        except WrongState as error:
            return await _other_way_round(session.leaf_key, error)
        try:
            answer = await talk.post(session, "start", body)
        except (NotArmed, WrongState, Locked) as error:
            await in_database(store.release)(row.pk)
            return await _other_way_round(session.leaf_key, error)
        except DiscoveryError as error:
            await _fail(row, error, clock())
            raise
        return await _reveal(session, row, answer, clock)


def _begin(session: Session, way: Way, now: datetime.datetime) -> tuple[PairingRow, bytes]:
    ours = ourselves.keys()
    sid, nonce = secrets.token_bytes(values.SID), secrets.token_bytes(values.NONCE)
    k_i, k_r = values.decoded(ours.device_key), values.decoded(session.leaf_key)
    opened = machine.opened(way, outgoing=True, sid=sid, our_key=k_i, their_key=k_r, now=now)
    pairing = machine.committed(opened, nonce)
    body = messages.write(
        sid=sid,
        commit=pairing.commit,
        id=values.decoded(ours.key),
        name=ourselves.name(),
        addresses=store.own_addresses(),
    )
    said = replace(pairing, start=body)
    return store.begin(said, now, **_facts(session, (), "")), body


async def _other_way_round(their_key: str, error: PairingError) -> PairingRow:
    """Return the comparison that the other hub begins with us, where both have begun at once.

    Its message was here first, or is on its way; raises `error` where none comes.
    """
    for _ in range(_GLARE_LOOKS):
        row = await in_database(store.open_with)(their_key)
        if row is not None:
            return row
        if not isinstance(error, WrongState):
            break
        await asyncio.sleep(_GLARE_SECONDS)
    raise error


async def _reveal(session: Session, row: PairingRow, answer: bytes, clock: Clock) -> PairingRow:
    try:
        found = messages.read("started", answer)
        if values.encoded(found["sid"]) != row.sid or values.encoded(found["id"]) != row.key:
            raise MessageError
        took = partial(_took, found=found, body=answer)
        row = await in_database(store.change)(row.pk, took, clock(), name=found["name"])
        opening = messages.write(sid=found["sid"], nI=bytes(row.our_nonce))
        await talk.post(session, "reveal", opening)
    except DiscoveryError as error:
        await _fail(row, error, clock())
        raise
    shown = partial(machine.step, event=Event.REVEALED, now=clock())
    row = await in_database(store.change)(row.pk, shown, clock())
    await in_database(store.watch)(row.name, row.key, clock())
    return row


def _took(pairing: Pairing, *, found: dict[str, Any], body: bytes) -> Pairing:
    return machine.answered(pairing, found["nR"], pairing.start, body)


async def _fail(row: PairingRow, error: DiscoveryError, now: datetime.datetime) -> None:
    await in_database(store.change)(row.pk, partial(machine.ended_by, error=error, now=now), now)


# -- what follows ------------------------------------------------------------------------------


async def refresh(row: PairingRow, now: datetime.datetime, wait: int = 0) -> PairingRow:
    """Do what can be done now for an outgoing pairing: tell our yes, ask for theirs, take the card.

    Raises what the dialer raises, and MessageError.
    """
    clock = Clock(now)
    addresses = ourselves.parsed(row.addresses)
    async with dial(row.their_key, addresses, timeout=_MESSAGE_SECONDS) as session:
        if _is_untold(row):
            row = await _tell(session, row, clock())
        if row.state in machine.OPEN and row.state != State.CONFIRMED:
            said = await _asked(session, row, wait)
            row = await in_database(_heard)(row.pk, said, clock())
        if row.state == State.CONFIRMED:
            row = await _exchange(session, row, clock())
    return row


def _is_untold(row: PairingRow) -> bool:
    ours = row.state in (State.WAITING, State.CONFIRMED)
    return ours and not row.told and row.way in _COMPARED


async def _tell(session: Session, row: PairingRow, now: datetime.datetime) -> PairingRow:
    sid, transcript = values.decoded(row.sid), bytes(row.transcript)
    try:
        await talk.post(session, "confirm", messages.write(sid=sid, T=transcript))
    except CodesDiffer as error:
        await _fail(row, error, now)
    except WrongState:
        return row  # It is over there: the status says how.
    return await in_database(store.note)(row.pk, told=True)


async def _asked(session: Session, row: PairingRow, wait: int) -> str:
    try:
        return await talk.status(session, row.sid, wait)
    except WrongState:
        return "expired"  # The other side knows nothing of it.


async def refuse(row: PairingRow) -> None:
    """Tell the other side that our owner has said no; raises UnreachableError."""
    addresses = ourselves.parsed(row.addresses)
    transcript = bytes(row.transcript) or bytes(values.NONCE)
    body = messages.write(sid=values.decoded(row.sid), T=transcript, reject=True)
    async with dial(row.their_key, addresses, timeout=_MESSAGE_SECONDS) as session:
        await talk.post(session, "confirm", body)


def _heard(number: int, said: str, now: datetime.datetime) -> PairingRow:
    return store.change(number, partial(_after, said=said, now=now), now)


def _after(pairing: Pairing, *, said: str, now: datetime.datetime) -> Pairing:
    event = _HEARD.get(said)
    heard_before = pairing.state in (State.REQUESTED, State.CONFIRMED)
    if event is None or (event is Event.THEIRS and heard_before):
        return machine.settled(pairing, now)
    if not pairing.is_open:  # Somebody else has asked meanwhile.
        return pairing
    return machine.step(pairing, event, now)


_HEARD = {"confirmed": Event.THEIRS, "rejected": Event.REFUSED, "expired": Event.LATE}


async def _exchange(session: Session, row: PairingRow, now: datetime.datetime) -> PairingRow:
    # Whoever showed a code has our card since we answered it.
    own = await in_database(ourselves.card)(now) if row.way in _COMPARED else {}
    body = messages.write(sid=values.decoded(row.sid), card=own)
    answer = await talk.post(session, "card", body)
    return await in_database(_end)(row.pk, answer, now)


def _end(number: int, answer: bytes, now: datetime.datetime) -> PairingRow:
    row = store.get_pairing(number)
    found = messages.read("carded", answer, longest=len(answer))
    try:
        card = cards.read(found["card"], row.key)
    except PairingError as error:
        store.change(number, partial(machine.ended_by, error=error, now=now), now)
        raise
    if row.purpose != DEVICE:
        return store.finish(number, card, now)
    if found["certificates"] is None:
        raise MessageError
    return _adopted(row, card, DeviceCertificates(*found["certificates"]), now)


def _adopted(
    row: PairingRow, card: cards.Card, given: DeviceCertificates, now: datetime.datetime
) -> PairingRow:
    if row.state == State.PAIRED:
        return row
    if certs.key_of(certs.parse(given.identity)) != row.key:
        raise MessageError
    ours = identity.adopt(settings.HUB_DATA, given, now)
    store.set_card(card.document)
    store.set_me(name=card.name)
    shown = next((hub.name for hub in card.hubs if hub.key == row.their_key), "") or card.name
    done = store.finish_device(row.pk, card, now, name=shown)
    signals.identity_adopted.send(PairingRow, key=ours.key)
    return done
