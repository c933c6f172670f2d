"""The two ASGI applications: CouchDB's API, lean, and the pages, which are ordinary Django."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from thalihub.frontend.lean import LeanHandler
from thalihub.pages.ownersonly import OwnersOnly

_django = get_asgi_application()

# They read tables, so after Django is set up.
from thalihub import logs  # noqa: E402
from thalihub.pages import backuppages, consumers, logpage, statuspage  # noqa: E402


class SameOrigin(OriginValidator):
    """Takes a WebSocket only from a page of the host that it connects to.

    A hub is reached by many names (addresses, an onion), so there is no list of hosts to name.
    """

    def __init__(self, application: object) -> None:
        super().__init__(application, [])

    async def __call__(self, scope: dict, receive: object, send: object) -> object:
        """Compare the Origin with the Host of this very request."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        validator = OriginValidator(self.application, [f"https://{host.decode('latin-1')}"])
        return await validator(scope, receive, send)


async def _numbered(scope: dict, receive: object, send: object) -> None:
    logs.begin_request()
    await _django(scope, receive, send)


_websockets = URLRouter(
    [
        path("meet/", consumers.LivePairings.as_asgi()),
        path("meet/show/", consumers.LiveCode.as_asgi()),
        path("meet/compare/", consumers.LiveComparison.as_asgi()),
        path("meet/nearby/", consumers.LiveNearby.as_asgi()),
        path("meet/<int:number>/", consumers.LivePairing.as_asgi()),
        path("people/<int:pk>/", consumers.LiveShares.as_asgi()),
        path("nearby/", consumers.LiveHubsNearby.as_asgi()),
        path("sync/", consumers.LiveSync.as_asgi()),
        path("storage/", consumers.LiveStorage.as_asgi()),
        path("log/", logpage.LiveLog.as_asgi()),
        path("status/", statuspage.LiveStatus.as_asgi()),
        path("backups/", backuppages.LiveBackups.as_asgi()),
        path("tor/", consumers.LiveTor.as_asgi()),
        re_path(r"", WebsocketDenier.as_asgi()),
    ]
)
api_application = LeanHandler(settings.HUB_API_URLCONF)
pages_application = ProtocolTypeRouter(
    {"http": _numbered, "websocket": SameOrigin(AuthMiddlewareStack(_websockets))}
)
if settings.HUB_PAGES_CERTIFICATE:
    pages_application = OwnersOnly(pages_application)
application = pages_application
