"""The hub's two doors, as settings describe them: the API and the pages."""

from __future__ import annotations

import socket

from django.conf import settings

from thalihub import tls
from thalihub.server import Application, Listener

_PAGES_MAX_BODY = 16 * 1024 * 1024


def listeners(
    api: socket.socket, pages: socket.socket, api_app: Application, pages_app: Application
) -> list[Listener]:
    """Return the listener of each bound socket.

    Only the API asks for a client certificate: a browser would show its owner a dialog.
    """
    asking = tls.server_tls(settings.HUB_DATA, ask_for_certificate=True)
    silent = tls.server_tls(settings.HUB_DATA, ask_for_certificate=False)
    return [
        Listener("api", api, api_app, asking, settings.HUB_MAX_BODY, cancels=True),
        Listener("pages", pages, pages_app, silent, _PAGES_MAX_BODY, websockets=True),
    ]
