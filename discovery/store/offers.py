"""Codes and invitations: each works once, and whoever tries it a second time is seen."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from discovery.core import commitment
from discovery.core import pairing as machine
from discovery.core.errors import InvitationExpired, NotOffered, PairingError, UsedTwice
from discovery.core.pairing import Pairing, Way
from discovery.models import OfferRow, PairingRow
from discovery.store.pairings import add_pairing, value_of, write

MOST_BAD_PROOFS = 5


def add_offer(way: Way, purpose: str, secret: bytes, expires: datetime.datetime) -> OfferRow:
    """Note a code or invitation that was made."""
    return OfferRow.objects.create(
        way=way.value, purpose=purpose, secret=secret, expires_at=expires
    )


def list_offers(now: datetime.datetime) -> list[OfferRow]:
    """Return those that can still be used."""
    return list(OfferRow.objects.filter(used=False, expires_at__gt=now).order_by("expires_at"))


def withdraw_offer(number: int) -> None:
    """Take back a code or invitation that nobody has used."""
    OfferRow.objects.filter(pk=number, used=False).delete()


def take_offer(pairing: Pairing, proof: bytes, now: datetime.datetime, **facts: Any) -> PairingRow:
    """Spend the offer that `proof` knows the secret of, on an incoming pairing.

    The same message again gives the same pairing.  Raises NotOffered, InvitationExpired, and
    UsedTwice, which ends the pairing that was opened by the first use.
    """
    if not _is_worth_writing(pairing, proof, now):
        raise NotOffered
    with transaction.atomic():
        # What goes wrong is written down, so it is raised outside.
        found = _take(pairing, proof, now, facts)
    if isinstance(found, PairingError):
        raise found
    return found


def _is_worth_writing(pairing: Pairing, proof: bytes, now: datetime.datetime) -> bool:
    # Anybody may send proofs, and each writing takes the database for itself.
    offers = OfferRow.objects.all()
    return _known(offers, pairing, proof) is not None or _on_screen(now).exists()


def _on_screen(now: datetime.datetime) -> QuerySet[OfferRow]:
    return OfferRow.objects.filter(way=Way.QR.value, used=False, expires_at__gt=now)


def _take(
    pairing: Pairing, proof: bytes, now: datetime.datetime, facts: dict[str, Any]
) -> PairingRow | PairingError:
    offer = _known(OfferRow.objects.select_for_update(), pairing, proof)
    if offer is None:
        _count_bad_proof(now)
        return NotOffered()
    if offer.used:
        return _taken_again(offer, pairing, now)
    if offer.expires_at <= now:
        return InvitationExpired()
    offer.used = True
    offer.save()
    opened = machine.opened(
        Way(offer.way),
        outgoing=False,
        sid=pairing.sid,
        our_key=pairing.our_key,
        their_key=pairing.their_key,
        now=now,
    )
    said = replace(opened, start=pairing.start, transcript=pairing.transcript)
    return add_pairing(said, now, offer=offer, purpose=offer.purpose, **facts)


def _known(offers: QuerySet[OfferRow], pairing: Pairing, proof: bytes) -> OfferRow | None:
    """Return the offer whose secret the other side knows; all are tried, whichever it is."""
    found = None
    for offer in offers.order_by("pk"):
        right = commitment.proof(
            bytes(offer.secret), pairing.their_key, pairing.our_key, pairing.sid
        )
        if commitment.same(right, proof):
            found = offer
    return found


def _count_bad_proof(now: datetime.datetime) -> None:
    """Burn a code on the screen after five bad proofs.

    Invitations stay: anybody may send bad proofs, and 128 bits are not guessed in their days.
    """
    for offer in _on_screen(now):
        offer.bad_proofs += 1
        if offer.bad_proofs >= MOST_BAD_PROOFS:
            offer.expires_at = now
        offer.save()


def _taken_again(
    offer: OfferRow, pairing: Pairing, now: datetime.datetime
) -> PairingRow | PairingError:
    row = PairingRow.objects.select_for_update().filter(offer=offer).first()
    if row is None:
        return UsedTwice()
    first = value_of(row)
    if (first.sid, first.their_key) == (pairing.sid, pairing.their_key):
        return row
    if first.is_open:
        write(row, machine.broken(first, UsedTwice, now), now)
    else:
        row.problem = "used_twice"
        row.save()
    return UsedTwice()
