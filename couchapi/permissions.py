"""Declared guards of the endpoints: who calls, from which page, with which right.

A browser sends its certificate by itself, and the cookie of a session too, whoever wrote the page:
both are ambient authority.  A page of an origin that the owner has not allowed is refused on every
method (design/identity-and-tls.md, "Traps that were measured").
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any

from django.utils.crypto import salted_hmac
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from acl import authentication, gate
from acl.authentication import Caller
from acl.core import tokens
from acl.core.errors import Forbidden, TwoCallers, WrongToken
from acl.core.throttle import Throttle
from couchapi.core.errors import BadRequest

if TYPE_CHECKING:
    from couchapi.endpoints.base import Endpoint

_SAME_SITE = frozenset({None, b"none", b"same-origin"})
_throttle = Throttle()


class Credentials(BaseAuthentication):
    """The caller is whoever holds the key of the TLS connection, or a local application's token.

    A token stands for an application on this machine or in a browser, never for another hub: with
    a certificate it counts only if both are of one application.  Else the request is refused, for
    nobody could say by whose rights it was served.
    """

    async def identify(self, request: Any) -> Caller:
        """Return the caller; a stranger and a caller without certificate are callers too.

        Raises WrongToken, TwoCallers; BadRequest where a token stands in the URL.
        """
        leaf, others = request.scope["hub.peer"]
        caller = await authentication.authenticate(leaf, others)
        judged = request.judged
        if b"authorization" not in judged and b"cookie" not in judged:
            if leaf is None:
                _refuse_in_url(request)
            return caller
        by_token = await _of_token(request)
        if by_token is None:
            return caller
        if leaf is not None and caller.principal_id != by_token.principal_id:
            raise TwoCallers
        return by_token


def _refuse_in_url(request: Any) -> None:
    scope = request.scope
    if tokens.stands_in(scope["query_string"]) or tokens.stands_in(scope["raw_path"]):
        raise BadRequest(
            "A token must not stand in a URL, which logs and histories keep: send it as password "
            "or Bearer. Make a new one for this application."
        )


async def _of_token(request: Any) -> Caller | None:
    """Return the application that the headers name; None for a session that has ended."""
    authorization = request.judged.get(b"authorization")
    if authorization is not None:
        secret = tokens.of_authorization(str(authorization, "latin-1"))
        return await application_of(request, secret)
    session = tokens.of_cookies(str(request.judged[b"cookie"], "latin-1"))
    now = time.time()
    digest = session and tokens.digest_of_session(session, now, sessions_key())
    return await authentication.of_token(digest, now) if digest else None


async def application_of(request: Any, secret: str | None) -> Caller:
    """Return the application whose token `secret` is; raises WrongToken, after a while."""
    if secret is not None:
        found = await authentication.of_token(tokens.digest_of(secret), time.time())
        if found is not None:
            return found
    await asyncio.sleep(_throttle.failed(request.scope["client"][0], time.monotonic()))
    raise WrongToken


@functools.cache
def sessions_key() -> bytes:
    """Return the key of this hub's sessions."""
    return salted_hmac("AuthSession", "", algorithm="sha256").digest()


class AllowedOrigin(BasePermission):
    """Browsers only from pages of allowed origins."""

    async def admit(self, request: Any, view: Endpoint | None = None) -> None:
        """Raise Forbidden for another page's request."""
        origin = request.judged.get(b"origin")
        if origin is not None:
            await self._admit_page(request, str(origin, "latin-1"))
        elif request.judged.get(b"sec-fetch-site") not in _SAME_SITE:
            raise Forbidden("Requests from the pages of other sites are not allowed.")

    async def _admit_page(self, request: Any, origin: str) -> None:
        if not await gate.origin_allowed(request.caller, origin):
            raise Forbidden(
                f"Pages of {origin} are not allowed here. The owner of this hub can allow them: "
                "manage.py principal allow NAME origin ORIGIN"
            )
        request.origin_allowed = True


class Granted(BasePermission):
    """The rights that the endpoint declares for the method."""

    async def admit(self, request: Any, view: Endpoint) -> None:
        """Raise what the gate raises; leave its permit on the request."""
        for right in view.needed(request.method):
            request.permit = await gate.check(
                request.caller, right, view.kwargs.get("db_name"), view.view_name()
            )
