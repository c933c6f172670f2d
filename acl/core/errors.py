"""Every error a hub answers with, as one tree.

    HubError                      status, word and reason are data
    +-- AccessError               who may what
    |   +-- NoCertificate         401
    |   +-- WrongToken            401
    |   +-- TwoCallers            401
    |   +-- NotVisible            404, the same body as for a database that does not exist
    |   +-- Forbidden             403
    +-- KeyFormatError            400: a key text, httpkey URL or certificate we cannot take
    +-- RefusedError              what the owner asked for cannot be done, and why
    |   +-- BadName               400
    |   +-- NoSuchHolder          400
    |   +-- AlreadyThere          409
    +-- couchapi.core.errors.CouchError ...

Cores and stores raise these and let them pass; the edge translates them once.
"""

from __future__ import annotations

from typing import ClassVar


class HubError(Exception):
    """An error with its HTTP status, CouchDB's word for it and a reason for the person."""

    status: ClassVar[int] = 500
    word: str = "internal_server_error"
    reason: str = "The hub failed. See its log."

    def __init__(self, reason: str | None = None) -> None:
        if reason is not None:
            self.reason = reason
        super().__init__(self.reason)


class AccessError(HubError):
    """The caller may not do this."""

    status = 403
    word = "forbidden"
    reason = "You are not allowed to do this. Ask the owner of this hub for a grant."


class NoCertificate(AccessError):
    """The caller showed no client certificate."""

    status = 401
    word = "unauthorized"
    reason = "Connect with a client certificate that the owner of this hub knows."


class WrongToken(NoCertificate):
    """The caller sent a token or password that no application of this hub has (any more)."""

    reason = "Name or password is incorrect."


class TwoCallers(NoCertificate):
    """The caller showed a certificate, and somebody else's token."""

    reason = (
        "This request shows a client certificate and the token of an application. Send one of "
        "them. In a browser, choose no certificate for this hub."
    )


class NotVisible(AccessError):
    """The caller has no right at all on the database: it must not learn whether it exists."""

    status = 404
    word = "not_found"
    reason = "Database does not exist."


class Forbidden(AccessError):
    """The caller sees the database but has not this right on it."""


class KeyFormatError(HubError):
    """A key text, an httpkey URL or a certificate that we cannot take."""

    status = 400
    word = "bad_request"
    reason = "This is not a key that the hub understands."


class RefusedError(HubError):
    """What was asked of the owner's lists of people cannot be done."""

    status = 400
    word = "bad_request"


class BadName(RefusedError):
    """A name, origin or selector that is not well formed."""


class NoSuchHolder(RefusedError):
    """Nobody has this name, or holds what was to be taken away."""


class AlreadyThere(RefusedError):
    """The name or the key is taken."""

    status = 409
    word = "conflict"
