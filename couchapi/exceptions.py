"""The one translation of errors into CouchDB's JSON answers (design/couch-api.md, "Errors")."""

from __future__ import annotations

import orjson
from django.http import HttpResponse

from acl.core.errors import HubError
from couchapi.core.errors import MethodNotAllowed
from couchapi.renderers import JSON


def answer(error: HubError) -> HttpResponse:
    """Return the response that says what `error` is."""
    response = HttpResponse(body(error), status=error.status, content_type=JSON)
    response.headers["Cache-Control"] = "must-revalidate"
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    return response


def body(error: HubError) -> bytes:
    """Return `{"error": …, "reason": …}` and a newline."""
    return orjson.dumps(row(error)) + b"\n"


def row(error: HubError) -> dict[str, str]:
    """Return what a bulk answer says of one document that was refused."""
    return {"error": error.word, "reason": error.reason}
