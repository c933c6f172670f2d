"""The live parts of the pages of meeting somebody: what each shows now."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async as in_database
from django.utils import timezone

from acl import store as people
from acl.core.errors import HubError, NoSuchHolder
from acl.models import Principal
from discovery import pairing, store
from discovery.core.invitation import DEVICE, FRIEND
from discovery.core.pairing import OPEN, Way
from discovery.store import PairingRow
from thalihub.pages import meeting, nearbypages, page, shares, storing, syncing, torpages
from thalihub.pages.live import LivePart

_COMPARED = (Way.COMPARISON, Way.NEARBY)
_ASK_AGAIN = datetime.timedelta(seconds=30)


class LivePairings(LivePart):
    """Everything that waits for somebody."""

    template = "people/live/pairings.html"

    async def context(self) -> dict[str, Any]:
        """Return the pairings that are open."""
        return {"rows": await in_database(meeting.open_pairings)(timezone.now())}


class LivePairing(LivePart):
    """What becomes of one pairing."""

    template = "people/live/pairing.html"

    async def context(self) -> dict[str, Any]:
        """Ask the other hub where it is its turn, and return the row."""
        number = int(self.scope["url_route"]["kwargs"]["number"])
        row = await pairing.refresh(number, timezone.now())
        return await in_database(meeting.told)(row)


class LiveCode(LivePart):
    """Our code, for as long as its page is open; then whoever has scanned it."""

    template = "people/live/code.html"
    _offer: pairing.Offer | None = None
    _addresses: Sequence[str] = ()

    async def context(self) -> dict[str, Any]:
        """Make the code, and look for somebody who has used it."""
        now = timezone.now()
        if self._offer is not None:
            row = await in_database(_answer_to)(self._offer.id)
            if row is not None:
                return {"row": row, **await in_database(meeting.told)(row)}
        offer = await self._current(now)
        is_late = now >= offer.expires
        return {"row": None, "qr": None if is_late else meeting.drawn(offer.url)}

    async def _current(self, now: datetime.datetime) -> pairing.Offer:
        """Return the code that leads to where we are now."""
        addresses = await _addresses()
        if self._offer is None or addresses != self._addresses:
            await self.left()
            self._addresses = addresses
            self._offer = await pairing.offer(now, purpose=self._purpose())
        return self._offer

    def _purpose(self) -> str:
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        return DEVICE if query.get("purpose") == [DEVICE] else FRIEND

    async def left(self) -> None:
        """Take the code back."""
        if self._offer is not None:
            await pairing.withdraw(self._offer.id)


def _answer_to(offer: int) -> PairingRow | None:
    return next((row for row in store.list_pairings() if row.offer_id == offer), None)


class LiveComparison(LivePart):
    """Whether we are ready to compare, and the comparison once somebody has begun it."""

    template = "people/live/comparison.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began = timezone.now()

    async def context(self) -> dict[str, Any]:
        """Return the comparison that runs, or until when we wait for one."""
        now = timezone.now()
        row = await in_database(_comparison)(self._began)
        if row is not None and row.state in OPEN:
            row = await pairing.refresh(row.pk, now)
        if row is not None:
            return {"row": row, **await in_database(meeting.told)(row)}
        until = await in_database(store.armed_until)(now)
        return {
            "row": None,
            "is_armed": until is not None,
            "addresses": await _addresses(),
            "waiting": [one for one in await pairing.nearby(now) if one.nameless],
            "called": (await in_database(store.switch)()).said.get("name", ""),
        }


def _comparison(since: datetime.datetime) -> PairingRow | None:
    """Return the newest comparison, unless it was over before the person came to look."""
    newest = next((row for row in store.list_pairings() if row.way in _COMPARED), None)
    if newest is None or store.armed_until(timezone.now()) is not None:
        return None
    return newest if newest.ended_at is None or newest.ended_at >= since else None


async def _addresses() -> list[str]:
    return await in_database(store.own_addresses)()


class LiveNearby(LivePart):
    """The hubs that were seen nearby."""

    template = "people/live/nearby.html"

    async def context(self) -> dict[str, Any]:
        """Return them."""
        return {"sightings": await pairing.nearby(timezone.now())}


class LiveShares(LivePart):
    """What a friend shares with us, asked of their hub now and then."""

    template = "people/live/shares.html"
    _asked_at: datetime.datetime | None = None
    _offered: Sequence[str] = ()
    _error: HubError | None = None

    async def context(self) -> dict[str, Any]:
        """Return their databases, with how our copies are."""
        number = int(self.scope["url_route"]["kwargs"]["pk"])
        friend = await in_database(_friend)(number)
        now = timezone.now()
        if self._asked_at is None or now - self._asked_at > _ASK_AGAIN:
            await self._ask(friend)
            self._asked_at = now
        kept = await in_database(shares.kept)(friend.key)
        found = [kept.get(name) or shares.Share(name) for name in self._offered]
        gone = [one for name, one in kept.items() if name not in self._offered]
        return {"shares": [*found, *gone], "problem": self._error and page.words(self._error)}

    async def _ask(self, friend: Principal) -> None:
        try:
            self._offered = await shares.offered(friend.key, friend.name)
            self._error = None
        except HubError as error:
            self._error = error


def _friend(number: int) -> Principal:
    for one in people.list_principals():
        if one.pk == number and one.kind == Principal.Kind.FRIEND:
            return one
    raise NoSuchHolder


class LiveSync(LivePart):
    """How everything is that is kept in step."""

    template = "hub/live/sync.html"

    async def context(self) -> dict[str, Any]:
        """Return all peers."""
        return {
            "peers": await in_database(syncing.cards)(),
            "conditions": await in_database(syncing.conditions)(),
        }


class LiveStorage(LivePart):
    """What the hub's data takes."""

    template = "hub/live/room.html"

    async def context(self) -> dict[str, Any]:
        """Return what was measured last, and how far the work is that goes on."""
        return await in_database(storing.context)()


class LiveHubsNearby(LivePart):
    """Who is nearby, and what this hub does for it."""

    template = "hub/live/nearby.html"

    async def context(self) -> dict[str, Any]:
        """Return how it is now."""
        return await in_database(nearbypages.shown)()


class LiveTor(LivePart):
    """How far Tor is."""

    template = "hub/live/tor.html"

    async def context(self) -> dict[str, Any]:
        """Return how it is, the address, and what has happened."""
        return await in_database(torpages.shown)()
