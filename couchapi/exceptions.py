"""The one translation of errors into CouchDB's JSON answers (design/couch-api.md, "Errors")."""

from __future__ import annotations

import logging
import sqlite3

import orjson
from django.http import HttpResponse
from psycopg import InterfaceError, OperationalError
from psycopg.errors import DiskFull

from acl import sql
from acl.core.errors import HubError
from couchapi.core.errors import MethodNotAllowed, StorageFull, StoreUnreachable
from couchapi.renderers import JSON
from couchapi.store import space

_log = logging.getLogger(__name__)
OF_STORAGE = (
    sqlite3.OperationalError,
    OperationalError,
    InterfaceError,
    *sql.OF_DJANGO,
)


def of_storage(error: Exception) -> HubError:
    """Return what an error of OF_STORAGE is to the client: none of them is our failure.

    Raises the error again if it is another one.
    """
    if isinstance(error, sql.OF_DJANGO) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, DiskFull) or code == sqlite3.SQLITE_FULL:
        space.release()  # So that there is room to make room, which takes some.
        return StorageFull()
    if isinstance(error, OperationalError | InterfaceError):
        _log.warning("PostgreSQL does not answer: %s", error)
        return StoreUnreachable()
    raise error


def answer(error: HubError) -> HttpResponse:
    """Return the response that says what `error` is."""
    response = HttpResponse(body(error), status=error.status, content_type=JSON)
    response.headers["Cache-Control"] = "must-revalidate"
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, StoreUnreachable):
        response.headers["Retry-After"] = str(error.seconds)
    return response


def body(error: HubError) -> bytes:
    """Return `{"error": …, "reason": …}` and a newline."""
    return orjson.dumps(row(error)) + b"\n"


def row(error: HubError) -> dict[str, str]:
    """Return what a bulk answer says of one document that was refused."""
    return {"error": error.word, "reason": error.reason}
