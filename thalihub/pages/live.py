"""Pages that stay up to date by themselves: a WebSocket sends a part of the page when it changes.

What is shown are rows, which any process may have changed.  So a page that is open is looked at
once a second, drawn, and sent where it would read differently; nothing of the hub's work depends
on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import SimpleNamespace
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.template.loader import render_to_string
from django.utils import translation

from acl import sql
from acl.core.errors import HubError
from couchapi.core.errors import StoreUnreachable
from thalihub.pages import page

logger = logging.getLogger(__name__)

_SECONDS = 1.0
_LOGGED_OUT, _FAILED = 4401, 1011


class LivePart(AsyncWebsocketConsumer):
    """A part of a page; what it shows is for `context` to say."""

    template = ""
    _watching: asyncio.Task[None] | None = None

    async def context(self) -> dict[str, Any]:
        """Return what the template is drawn from now; may raise HubError, which is shown."""
        raise NotImplementedError

    async def left(self) -> None:
        """Do what is due when the person has left the page."""

    async def connect(self) -> None:
        """Take the owner's browser only."""
        if await self._is_owner():
            await self.accept()
            self._watching = asyncio.create_task(self._watch())
        else:
            await self.close()

    async def disconnect(self, code: int) -> None:
        """Stop looking."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            await self.left()

    async def _watch(self) -> None:
        try:
            await self._follow()
        except Exception:  # The outermost line of a task: else the page would stand still.
            logger.exception("A page's live part has failed; the page tries again.")
            await self.close(_FAILED)

    async def _follow(self) -> None:
        shown = None
        while (drawn := await self._drawn_for_owner()) is not None:
            if drawn != shown:
                await self.send(drawn)
                shown = drawn
            await asyncio.sleep(_SECONDS)
        await self.close(_LOGGED_OUT)

    async def _drawn_for_owner(self) -> str | None:
        """Return what is shown, or None to somebody who is not the owner any more."""
        try:
            return await self._drawn() if await self._is_owner() else None
        except Exception as error:
            if not sql.is_away(error):
                raise
            # Whoever was the owner a second ago may read that much.
            return await self._rendered("people/problem.html", error=StoreUnreachable())

    async def _is_owner(self) -> bool:
        # Read anew each time: the session may have ended.
        session = SessionStore(self.scope["session"].session_key)
        user = await get_user({**self.scope, "session": session})
        return user.is_active and getattr(user, "is_staff", False)

    async def _drawn(self) -> str:
        try:
            with translation.override(_language(self.scope)):
                context = await self.context()
        except HubError as error:
            return await self._rendered("people/problem.html", error=error)
        return await self._rendered(self.template, **context)

    @database_sync_to_async
    def _rendered(self, template: str, **context: Any) -> str:
        with translation.override(_language(self.scope)):
            if "error" in context:
                context["problem"] = page.words(context["error"])
            return render_to_string(template, context)


def _language(scope: dict[str, Any]) -> str:
    """Return the language of the page that the part belongs to."""
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    request = SimpleNamespace(
        COOKIES=scope.get("cookies", {}),
        META={"HTTP_ACCEPT_LANGUAGE": accepted},
        path_info=settings.STATIC_URL,
    )
    language: str = translation.get_language_from_request(request)  # type: ignore[arg-type]
    return language
