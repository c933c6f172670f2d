"""The API of the server under test: views that show what the frontend did."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import re_path

from acl.core.errors import Forbidden
from couchapi.core.errors import Conflict
from thalihub.frontend.leanrequest import LeanRequest

seen: dict[str, Any] = {"bodies": 0, "closed": 0, "open": 0}


async def hello(request: LeanRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse(b'{"hello":"world"}\n', content_type="application/json")


async def whoami(request: LeanRequest) -> HttpResponse:
    """Show what the scope says of the caller."""
    leaf, others = request.scope["hub.peer"]
    extension = request.scope["extensions"]["tls"]
    return JsonResponse(
        {
            "listener": request.scope["hub.listener"],
            "leaf": leaf and hashlib.sha256(leaf).hexdigest(),
            "others": [hashlib.sha256(other).hexdigest() for other in others],
            "tls_version": extension["tls_version"],
            "name": extension["client_cert_name"],
            "chain": len(extension["client_cert_chain"]),
        }
    )


async def echo(request: LeanRequest) -> HttpResponse:
    """Show the request as the view sees it."""
    body = await request.body()
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": {key: request.GET.getlist(key) for key in request.GET},
            "type": request.headers.get("content-type"),
            "meta": request.META.get("HTTP_X_TEST"),
            "body": body.decode("latin-1"),
        }
    )


async def digest(request: LeanRequest) -> HttpResponse:
    """Read a body as a stream."""
    total, hashed = 0, hashlib.sha256()
    async for part in request.aiter_body():
        total += len(part)
        hashed.update(part)
    seen["bodies"] += total
    return JsonResponse({"bytes": total, "sha256": hashed.hexdigest()})


async def refused(request: LeanRequest) -> HttpResponse:
    """Refuse without a look at the body."""
    raise Forbidden


async def conflict(request: LeanRequest) -> HttpResponse:
    """Read the body, then refuse."""
    await request.body()
    raise Conflict


async def broken(request: LeanRequest) -> HttpResponse:
    """Fail."""
    raise RuntimeError("a secret")


async def torn(request: LeanRequest) -> StreamingHttpResponse:
    """Fail in the middle of the answer."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("a secret")

    return StreamingHttpResponse(parts())


async def feed(request: LeanRequest) -> StreamingHttpResponse:
    """Say one thing, then wait for ever."""

    async def parts() -> AsyncIterator[bytes]:
        seen["open"] += 1
        try:
            yield b"first\n"
            await asyncio.Event().wait()
        finally:
            seen["closed"] += 1

    return StreamingHttpResponse(parts())


async def flood(request: LeanRequest) -> StreamingHttpResponse:
    """Send megabytes."""

    async def parts() -> AsyncIterator[bytes]:
        block = b"x" * int(request.GET.get("block", 65536))
        for _ in range(16 * int(request.GET["mb"])):
            yield block

    return StreamingHttpResponse(parts())


async def whole(request: LeanRequest) -> HttpResponse:
    """Send megabytes as one piece."""
    return HttpResponse(b"x" * int(request.GET["bytes"]))


async def state(request: LeanRequest) -> HttpResponse:
    """Show what happened so far, and how much memory it took at most."""
    with open("/proc/self/statm") as file:  # noqa: PTH123, ASYNC230
        pages = int(file.read().split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    return JsonResponse(
        {
            **{name: value for name, value in seen.items() if name != "server"},
            "rss": pages * 4,
            "peak": peak,
            "cpu": cpu,
            "connections": len(seen["server"].channels),
            "tasks": len(seen["server"].tasks),
        }
    )


async def shout(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer over a WebSocket in capitals."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})


urlpatterns = [
    re_path(r"^hello$", hello),
    re_path(r"^whoami$", whoami),
    re_path(r"^echo", echo),
    re_path(r"^digest$", digest),
    re_path(r"^refused$", refused),
    re_path(r"^conflict$", conflict),
    re_path(r"^broken$", broken),
    re_path(r"^torn$", torn),
    re_path(r"^feed$", feed),
    re_path(r"^flood$", flood),
    re_path(r"^whole$", whole),
    re_path(r"^state$", state),
]
