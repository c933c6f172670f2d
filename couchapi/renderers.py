"""Answers in CouchDB's form: JSON with a newline at its end, whole or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from django.http import HttpResponse, StreamingHttpResponse

JSON = "application/json"


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return `value` as JSON."""
    return raw(orjson.dumps(value) + b"\n", status, headers)


def raw(text: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return JSON text that is ready."""
    response = HttpResponse(text, status=status, content_type=JSON)
    response.headers["Cache-Control"] = "must-revalidate"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def stream(
    pieces: AsyncIterator[bytes],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> StreamingHttpResponse:
    """Return an answer that is sent while it is made."""
    response = StreamingHttpResponse(pieces, status=status, content_type=content_type)
    response.headers["Cache-Control"] = "must-revalidate"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def not_modified(headers: Mapping[str, str]) -> HttpResponse:
    """Return 304: the client's copy is still good."""
    response = HttpResponse(status=304)
    del response.headers["Content-Type"]
    for name, value in headers.items():
        response.headers[name] = value
    return response


def ok(status: int = 200, **members: Any) -> HttpResponse:
    """Return `{"ok": true, …}`."""
    return json({"ok": True, **members}, status)
