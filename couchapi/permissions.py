"""Declared permissions of the endpoints: the origin of a browser's request, then the gate.

A browser sends its certificate by itself, whoever wrote the page, so a certificate is ambient
authority.  A page of an origin that the owner has not allowed is refused on every method
(design/identity-and-tls.md, "Traps that were measured").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

from acl import gate
from acl.core.errors import Forbidden

if TYPE_CHECKING:
    from couchapi.endpoints.base import Endpoint, HubRequest

_SAME_SITE = frozenset({None, "none", "same-origin"})


class AllowedOrigin(BasePermission):
    """Browsers only from pages of allowed origins."""

    async def admit(self, request: HubRequest, view: Endpoint) -> None:
        """Raise Forbidden for another page's request."""
        origin = request.headers.get("origin")
        if origin is None:
            if request.headers.get("sec-fetch-site") not in _SAME_SITE:
                raise Forbidden("Requests from other sites' pages are not allowed.")
            return
        if not await gate.origin_allowed(request.caller, origin):
            raise Forbidden(
                f"Pages of {origin} are not allowed here. The owner of this hub can allow them: "
                "manage.py principal allow NAME origin ORIGIN"
            )


class Granted(BasePermission):
    """The right that the endpoint declares for the method."""

    async def admit(self, request: HubRequest, view: Endpoint) -> None:
        """Raise what the gate raises; leave its permit on the request."""
        right = view.rights[request.method]
        request.permit = await gate.check(
            request.caller, right, view.kwargs.get("db_name"), view.view_name()
        )
