"""Pages that open only with a certificate of the owner, for who wants more than a password.

It stands before everything else, WebSockets too, and is there only where `HUB_PAGES_CERTIFICATE`
is set: a browser that is asked shows its owner a dialog.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from acl import authentication

Application = Callable[[dict[str, Any], Any, Any], Awaitable[Any]]

_REFUSAL = (
    "These pages open only with the owner's certificate. Import it into this browser (how: "
    "docs/settings.md, HUB_PAGES_CERTIFICATE), or start the hub without HUB_PAGES_CERTIFICATE.\n"
)


class OwnersOnly:
    """Lets requests through whose TLS connection shows a key of the owner."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Answer 403, or close the WebSocket, where it does not."""
        if scope["type"] in ("http", "websocket"):
            caller = await authentication.authenticate(*scope["hub.peer"])
            if not caller.is_owner:
                await _refuse(scope["type"], send)
                return None
        return await self._application(scope, receive, send)


async def _refuse(kind: str, send: Any) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 4403})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL.encode()})
