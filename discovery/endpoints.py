"""The doors for pairing on the API's port: any hub may knock, and learns nothing before it may.

Who knocks is the key of the TLS connection.  A browser sends its certificate by itself, so a
request that comes from a page is refused (design/identity-and-tls.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from channels.db import database_sync_to_async as in_database
from django.http import HttpResponse
from django.utils import timezone

from acl.core import certs
from acl.core.errors import Forbidden, KeyFormatError, NoCertificate
from discovery.core import messages
from discovery.pairing import incoming, telling

Handler = Callable[..., Awaitable[HttpResponse]]

WAIT_SECONDS: Final = 25
_PAUSE_SECONDS = 0.4
_SAME_SITE = (None, "none")
_OTHER_METHOD = b'{"error":"method_not_allowed","reason":"Only %s allowed"}\n'


def _guarded(method: str) -> Callable[[Handler], Handler]:
    """Let through requests of this method, by a hub that has shown its key."""

    def guard(handler: Handler) -> Handler:
        @wraps(handler)
        async def guarded(request: Any) -> HttpResponse:
            if request.method != method:
                return _not_allowed(method)
            _refuse_pages(request)
            answer = await handler(request, _keys(request))
            answer.headers["Cache-Control"] = "no-store"
            return answer

        guarded.method = method  # type: ignore[attr-defined]
        return guarded

    return guard


def _not_allowed(method: str) -> HttpResponse:
    content = _OTHER_METHOD % method.encode()
    answer = HttpResponse(content, status=405, content_type="application/json")
    answer.headers["Allow"] = method
    return answer


def _refuse_pages(request: Any) -> None:
    page = request.header(b"origin") is not None
    if page or request.header(b"sec-fetch-site") not in _SAME_SITE:
        raise Forbidden("Hubs pair with hubs, not with web pages.")


def _keys(request: Any) -> list[str]:
    leaf, others = request.scope["hub.peer"]
    try:
        return certs.verified_keys(leaf or b"", others)
    except KeyFormatError:
        raise NoCertificate("Hubs pair by their certificates. Connect with one.") from None


def _json(body: bytes) -> HttpResponse:
    return HttpResponse(body, content_type="application/json")


def _message(act: Callable[..., bytes]) -> Handler:
    """Return the endpoint that does `act` with the body of a message."""

    async def endpoint(request: Any, keys: list[str]) -> HttpResponse:
        body = await request.body(messages.LARGEST)
        return _json(await in_database(act)(body, keys, timezone.now()))

    return _guarded("POST")(endpoint)


start = _message(incoming.start)
reveal = _message(incoming.reveal)
confirm = _message(incoming.confirm)
card = _message(incoming.card)
scan = _message(incoming.scan)
moved = _message(telling.take)


@_guarded("GET")
async def status(request: Any, keys: list[str]) -> HttpResponse:
    """Say how our owner has decided, as soon as that is so, within `wait` seconds."""
    sid, wait = request.GET.get("sid", ""), _seconds(request.GET.get("wait", ""))
    clock = asyncio.get_running_loop().time
    until = clock() + wait
    while True:
        said = await in_database(incoming.status)(sid, keys, timezone.now())
        if said != "waiting" or clock() >= until:
            return _json(messages.write(state=said))
        await asyncio.sleep(_PAUSE_SECONDS)


def _seconds(text: str) -> int:
    return min(int(text), WAIT_SECONDS) if text.isascii() and text.isdigit() else WAIT_SECONDS
