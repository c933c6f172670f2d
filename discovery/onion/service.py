"""The hub's onion service on one control connection: as it is wanted, or on the way there.

A service with other clients is another service to tor: the one before is withdrawn, which ends no
connection that exists, and the new one published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from discovery.core.onion import State, Uploads
from discovery.onion.control import Control, Happened

PATIENCE_SECONDS = 90.0
SETTLED_SECONDS = 1.0
Note = Callable[[str, str], None]
"""Takes a word and what there is to say besides, for the list of what has happened."""


class Wish(NamedTuple):
    """What is to be published; `clients` None lets everybody connect."""

    seed: bytes
    address: str
    clients: frozenset[str] | None
    is_open: bool = True


class Service:
    """Makes what is published agree with a wish, and knows how far that is."""

    def __init__(self, control: Control, target: str, note: Note) -> None:
        self._control = control
        self._target = target
        self._note = note
        self._made: Wish | None = None
        self._made_at = self._heard_at = 0.0
        self._uploads = Uploads()
        self._is_published = False

    def happened(self, event: Happened, now: float) -> None:
        """Take an event of tor."""
        if self._made is None or event.address != self._made.address:
            return
        self._uploads.saw(event.action, event.directory)
        self._heard_at = now
        if event.action == "FAILED":
            self._note("refused", event.reason)

    def reconcile(self, wish: Wish, now: float, *, again: bool = False) -> State:
        """Do what is missing at `now`, in seconds of any clock; raises TorError."""
        if not wish.is_open:
            self._withdraw()
            return State.CLOSED
        if again or wish != self._made or self._is_late(now):
            self._withdraw()
            self._publish(wish, now)
        if not self._is_published and self._is_complete(now):
            self._is_published = True
            self._note("published", wish.address)
        return State.PUBLISHED if self._is_published else State.PUBLISHING

    def _is_complete(self, now: float) -> bool:
        # It goes to some directories for today and some for tomorrow: the second may be to come.
        return self._uploads.are_complete and now - self._heard_at >= SETTLED_SECONDS

    def _is_late(self, now: float) -> bool:
        late = not self._is_published and now - self._made_at > PATIENCE_SECONDS
        if late:
            self._note("late", "")
        return late

    def _publish(self, wish: Wish, now: float) -> None:
        self._uploads, self._is_published = Uploads(), False
        self._control.publish(wish.seed, self._target, wish.clients)
        self._made, self._made_at = wish, now

    def _withdraw(self) -> None:
        if self._made is not None:
            self._control.withdraw(self._made.address)
            self._made = None
            self._note("withdrawn", "")
