"""Declared guards of the endpoints: who calls, from which page, with which right.

A browser sends its certificate by itself, whoever wrote the page, so a certificate is ambient
authority.  A page of an origin that the owner has not allowed is refused on every method
(design/identity-and-tls.md, "Traps that were measured").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from acl import authentication, gate
from acl.authentication import Caller
from acl.core.errors import Forbidden

if TYPE_CHECKING:
    from couchapi.endpoints.base import Endpoint

_SAME_SITE = frozenset({None, "none", "same-origin"})


class ClientCertificate(BaseAuthentication):
    """The caller is whoever holds the key of the TLS connection."""

    async def identify(self, request: Any) -> Caller:
        """Return the caller; a stranger and a caller without certificate are callers too."""
        leaf, others = request.scope["hub.peer"]
        return await authentication.authenticate(leaf, others)


class AllowedOrigin(BasePermission):
    """Browsers only from pages of allowed origins."""

    async def admit(self, request: Any, view: Endpoint | None = None) -> None:
        """Raise Forbidden for another page's request."""
        origin = request.header(b"origin")
        if origin is not None:
            await self._admit_page(request, origin)
        elif request.header(b"sec-fetch-site") not in _SAME_SITE:
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
