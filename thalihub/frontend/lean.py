"""The API's way from ASGI to Django's views and back.

Django's own handler costs 0.6 to 0.8 ms a request for things the API does not use: signals, a
thread for each request, synchronous middleware, a watcher for the client's disconnect.  This one
resolves the URL with Django's resolver, awaits the view, and sends Django's response
(design/performance.md).  A client that leaves cancels its request: the server does that
(`Listener.cancels`), so nothing watches here.

Views are `async def view(request: LeanRequest, **kwargs) -> HttpResponse | StreamingHttpResponse`;
a streaming response holds an async iterator.  Its headers go out with its first part; an iterator
that has nothing to say yet yields b"" to send them at once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, get_resolver

from acl.core.errors import HubError
from couchapi import exceptions
from couchapi.core.errors import NotFound
from thalihub import logs, refusals
from thalihub.frontend.leanrequest import ClientGoneError, LeanRequest, Receive

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]


class LeanHandler:
    """An ASGI application that serves the views of one URL configuration."""

    def __init__(self, urlconf: str) -> None:
        """Serve the module named `urlconf`; its patterns see the percent-encoded path.

        Imports the views now, so that no request waits for it.
        """
        resolver = get_resolver(urlconf)
        resolver.check()
        self._resolve = resolver.resolve

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        logs.begin_request()
        request = LeanRequest(scope, receive)
        try:
            response = await self._respond(request)
        except ClientGoneError:
            return
        if response.status_code in refusals.BY_STATUS:
            refusals.count(refusals.BY_STATUS[response.status_code])
        await _send(response, send, head=request.method == "HEAD")

    async def _respond(self, request: LeanRequest) -> HttpResponseBase:
        try:
            match = self._resolve(request.path)
            request.resolver_match = match
            response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
            return response
        except HubError as error:
            return exceptions.answer(error)
        except Resolver404:
            return exceptions.answer(NotFound())
        except ClientGoneError:
            raise
        except Exception:  # The outermost line of a request.
            logger.exception("A %s failed.", request.method)  # Paths name documents.
            return exceptions.answer(HubError())


async def _send(response: HttpResponseBase, send: Send, *, head: bool) -> None:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
    await send(start)
    if isinstance(response, StreamingHttpResponse):
        await _send_stream(response, send, head=head)
    else:
        await send({"type": "http.response.body", "body": response.content})


async def _send_stream(response: StreamingHttpResponse, send: Send, *, head: bool) -> None:
    # Django's `streaming_content` wraps the iterator in another one, whose closing does not
    # reach ours: a feed would go on waiting after its client left.
    parts: AsyncIterator[bytes | str] = response._iterator  # type: ignore[attr-defined]
    async with contextlib.AsyncExitStack() as stack:
        close = getattr(parts, "aclose", None)
        if close is not None:
            stack.push_async_callback(close)
        if not head:
            async for part in parts:
                data = response.make_bytes(part)
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
