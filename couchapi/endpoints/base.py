"""The base of every endpoint: guards in one order, then one action.

An endpoint is a DRF view that declares the right each method needs.  DRF's own machinery for each
request (negotiation, wrappers of request and response) is left out: it costs more than reading a
document (design/performance.md, "Where the difference comes from").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from acl import sql
from acl.core.errors import AccessError, Forbidden, HubError, NoCertificate
from acl.core.policy import Right
from couchapi import exceptions, parsers
from couchapi.core import visibility
from couchapi.core.errors import MethodNotAllowed
from couchapi.core.visibility import Visible
from couchapi.permissions import AllowedOrigin, Credentials, Granted

READ, WRITE, ADMIN, OWNER, ANY = Right.READ, Right.WRITE, Right.ADMIN, Right.OWNER, Right.ANY
EITHER = Right.READ | Right.WRITE

Handler = Callable[..., Awaitable[HttpResponseBase]]

_METHODS_ALLOWED_TO_PAGES = "GET, HEAD, POST, PUT, DELETE, COPY"
_HEADERS_SHOWN_TO_PAGES = "content-type, cache-control, accept-ranges, etag, server"


class Endpoint(APIView):
    """A route of the CouchDB API; `rights` names what each of its methods needs.

    Where a method needs several rights at once, they stand in a tuple; a flag of several means
    that one of them is enough.
    """

    authentication_classes = (Credentials,)
    permission_classes = (AllowedOrigin, Granted)
    rights: ClassVar[Mapping[str, Right | tuple[Right, ...]]] = {}
    view_is_async = True

    async def dispatch(self, request: Any, **kwargs: Any) -> HttpResponseBase:
        """Run the guards, then the method's handler; translate what they raise."""
        self.kwargs = kwargs
        request.caller = None
        try:
            response = await self._answer(request, kwargs)
        except HubError as error:
            response = exceptions.answer(error)
        except exceptions.OF_STORAGE as error:
            if sql.is_away(error):
                await sql.renew_djangos()
            response = exceptions.answer(exceptions.of_storage(error))
        return _for_pages(request, response)

    async def _answer(self, request: Any, kwargs: Mapping[str, Any]) -> HttpResponseBase:
        if request.method == "OPTIONS":
            return await self.preflight(request)
        handler = self.handler(request.method)
        await self._identify(request)
        await self._admit(request)
        request.admit_again = partial(self._admit_again, request)
        response = await handler(request, **kwargs)
        if isinstance(response, StreamingHttpResponse):
            parts: Any = response._iterator  # type: ignore[attr-defined]
            response.streaming_content = _while_allowed(request, parts)
        return response

    async def _identify(self, request: Any) -> None:
        try:
            for authentication in self.authentication_classes:
                request.caller = await authentication().identify(request)
        except NoCertificate:
            # As for nobody: the page of an allowed origin may read why.
            await AllowedOrigin().admit(request, self)
            raise

    async def _admit(self, request: Any) -> None:
        for permission in self.permission_classes:
            await permission().admit(request, self)

    async def _admit_again(self, request: Any) -> None:
        """Raise AccessError where the caller may no longer do what it began."""
        began_with = request.permit
        await self._admit(request)
        # A right on one view may be left of one on the database.
        less = began_with.read and not request.permit.read
        if less or request.permit.selectors != began_with.selectors:
            raise Forbidden

    def handler(self, method: str) -> Handler:
        """Return what answers `method`; raises MethodNotAllowed."""
        name = "GET" if method == "HEAD" and "HEAD" not in self.rights else method
        if name not in self.rights:
            raise MethodNotAllowed(self.allowed())
        handler: Handler = getattr(self, name.lower())
        return handler

    def allowed(self) -> list[str]:
        """Return the methods of this route."""
        head = ["HEAD"] if "GET" in self.rights else []
        return sorted({*self.rights, *head})

    def needed(self, method: str) -> tuple[Right, ...]:
        """Return the rights of which the caller must hold every one."""
        right = self.rights.get(method) or self.rights["GET"]
        return right if isinstance(right, tuple) else (right,)

    def view_name(self) -> str | None:
        """Return the `ddoc/view` that the request is about, where it is about one."""
        return None

    async def preflight(self, request: Any) -> HttpResponseBase:
        """Answer a browser that asks whether a page may send what it wants to.

        It asks without a certificate, so the origin may be that of any application.
        """
        await AllowedOrigin().admit(request, self)
        response = HttpResponse(status=204)
        response.headers["Access-Control-Allow-Methods"] = _METHODS_ALLOWED_TO_PAGES
        response.headers["Access-Control-Max-Age"] = "600"
        asked = request.header(b"access-control-request-headers")
        if asked:
            response.headers["Access-Control-Allow-Headers"] = asked
        return response


async def _while_allowed(request: Any, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Give the parts of an answer that a slow reader may take hours to read.

    It is cut where the caller's right is gone, so that nobody takes it for the whole.
    """
    clock = asyncio.get_running_loop().time
    checked = clock()
    async with contextlib.aclosing(parts):
        async for part in parts:
            yield part
            if clock() - checked > parsers.SECONDS_TRUSTED:
                checked = clock()
                try:
                    await request.admit_again()
                except AccessError:
                    raise asyncio.CancelledError from None


def _for_pages(request: Any, response: HttpResponseBase) -> HttpResponseBase:
    """Let the page of an allowed origin read the answer, and a refused one not."""
    origin = request.judged.get(b"origin")
    if origin is None:
        return response
    response.headers["Vary"] = "Origin"
    if getattr(request, "origin_allowed", False):
        # The origin itself, never `*`: PouchDB sends credentials.
        response.headers["Access-Control-Allow-Origin"] = str(origin, "latin-1")
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = _HEADERS_SHOWN_TO_PAGES
    return response


def visible_to(request: Any) -> Visible | None:
    """Return the test of what the caller may see; None where it may see everything."""
    return visibility.of_selectors(request.permit.selectors)
