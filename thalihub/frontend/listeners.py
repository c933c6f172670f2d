"""The doors of the hub, as settings describe them: API, pages, and the API for the onion service.

Who comes through Tor comes from this machine's own tor.  That is why the service has a port of its
own, and why nobody is trusted for where they come from: it is the same API, by the same keys.
"""

from __future__ import annotations

import socket

from django.conf import settings

from thalihub.frontend import tls
from thalihub.frontend.server import Application, Listener

_PAGES_MAX_BODY = 16 * 1024 * 1024


def listeners(
    api: socket.socket,
    pages: socket.socket,
    onion: socket.socket,
    api_app: Application,
    pages_app: Application,
) -> list[Listener]:
    """Return the listener of each bound socket.

    The pages ask for a client certificate only where the owner wants that: a browser that is asked
    shows a dialog.
    """
    asking = tls.server_tls(settings.HUB_DATA, ask_for_certificate=True)
    wanted = settings.HUB_PAGES_CERTIFICATE
    of_pages = tls.server_tls(settings.HUB_DATA, ask_for_certificate=wanted)
    return [
        Listener("api", api, api_app, asking, settings.HUB_MAX_BODY, cancels=True),
        Listener("pages", pages, pages_app, of_pages, _PAGES_MAX_BODY, websockets=True),
        Listener("onion", onion, api_app, asking, settings.HUB_MAX_BODY, cancels=True),
    ]
