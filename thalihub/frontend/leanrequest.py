"""Django's request for the API: built from the ASGI scope when asked, its body read as a stream.

`path` stays percent-encoded, as `raw_path` is: names of databases and documents may hold an
encoded slash, which decoding would lose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, QueryDict
from django.http.request import HttpHeaders
from django.utils.datastructures import MultiValueDict
from django.utils.functional import cached_property

from couchapi.core.errors import BadRequest, BodyTooLarge

_JUDGED = frozenset({b"authorization", b"cookie", b"origin", b"sec-fetch-site"})

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


class LeanRequest(HttpRequest):
    """A request on the API listener.  `scope` is ASGI's."""

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        """Take `scope`; headers, query and body are looked at when somebody asks."""
        # Django's constructor is left out: everything it sets is made lazily below.
        self.scope = scope
        self.method = scope["method"]
        self.path = self.path_info = scope["raw_path"].decode("ascii")
        self.resolver_match = None
        self._receive = receive
        self._body_ended = False

    def header(self, name: bytes) -> str | None:
        """Return the first header called `name` (lower case), without building all of them."""
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value, "latin-1")
        return None

    @cached_property
    def judged(self) -> Mapping[bytes, bytes]:
        """The headers that say who asks, and whose page: nearly every request has none."""
        return {name: value for name, value in self.scope["headers"] if name in _JUDGED}

    @cached_property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        """All headers; names compare without case."""
        return HttpHeaders(self.META)

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802
        """The request as WSGI names it."""
        scope = self.scope
        meta: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "QUERY_STRING": scope["query_string"].decode("ascii"),
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "REMOTE_ADDR": scope["client"][0],
            "REMOTE_PORT": scope["client"][1],
            "SERVER_NAME": scope["server"][0],
            "SERVER_PORT": str(scope["server"][1]),
            "wsgi.url_scheme": "https",
        }
        for name, value in scope["headers"]:
            key = _meta_key(name)
            text = str(value, "latin-1")
            meta[key] = f"{meta[key]},{text}" if key in meta else text
        return meta

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # noqa: N802
        """The query's parameters; raises BadRequest for more than Django takes."""
        try:
            return QueryDict(self.scope["query_string"], encoding="utf-8")
        except TooManyFieldsSent:
            raise BadRequest("The query has too many parameters.") from None

    @cached_property
    def POST(self) -> QueryDict:  # type: ignore[override]  # noqa: N802
        """Nothing: the API takes no forms."""
        return QueryDict()

    @cached_property
    def FILES(self) -> MultiValueDict[str, Any]:  # type: ignore[override]  # noqa: N802
        """Nothing: the API takes no forms."""
        return MultiValueDict()

    @cached_property
    def COOKIES(self) -> dict[str, str]:  # type: ignore[override]  # noqa: N802
        """Nothing: the API has no sessions."""
        return {}

    @property
    def scheme(self) -> str:
        """Always https."""
        return "https"

    def get_full_path(self, force_append_slash: bool = False) -> str:
        """Return path and query as sent; Django would quote the quoted path again."""
        query = self.scope["query_string"].decode("ascii")
        return f"{self.path}?{query}" if query else self.path

    @property
    def content_length(self) -> int | None:
        """The declared length of the body; None when it comes in chunks."""
        declared = self.header(b"content-length")
        if declared is not None:
            return int(declared)
        return None if self.header(b"transfer-encoding") else 0

    async def aiter_body(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body as it comes, at most `limit` bytes (the hub's general limit when None).

        Raises BodyTooLarge beyond it, before reading when the client declared the length, and
        ClientGoneError when the client leaves in the middle.
        """
        limit = settings.HUB_MAX_BODY if limit is None else limit
        left = limit - (self.content_length or 0)
        if left < 0:
            raise BodyTooLarge
        left = limit
        while not self._body_ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            self._body_ended = not message["more_body"]
            left -= len(message["body"])
            if left < 0:
                raise BodyTooLarge
            if message["body"]:
                yield message["body"]

    async def body(self, limit: int | None = None) -> bytes:  # type: ignore[override]
        """Return the whole body, at most `limit` bytes (HUB_MAX_JSON when None); read it once.

        Raises like `aiter_body`.
        """
        limit = settings.HUB_MAX_JSON if limit is None else limit
        return b"".join([part async for part in self.aiter_body(limit)])


def _meta_key(name: bytes) -> str:
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
