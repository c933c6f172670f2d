"""`/_session`: who one is, and the cookie of local applications in browsers.

Of a connection with a certificate the caller is known already: a client that logs in all the same
is answered, and what it sends is not read (CouchDB docs, "api/server/authn").
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.http.response import HttpResponseBase

from acl import gate
from acl.authentication import Caller
from acl.core import tokens
from acl.core.errors import Forbidden
from couchapi import parsers, renderers
from couchapi.core import docjson
from couchapi.core.errors import BadContentType, BadRequest
from couchapi.endpoints.base import ANY, Endpoint
from couchapi.permissions import AllowedOrigin, application_of, sessions_key

_LARGEST_LOGIN = 4096
_MOST_FIELDS = 10
_FORM = "application/x-www-form-urlencoded"


class Session(Endpoint):
    """`/_session`."""

    rights = {"GET": ANY, "POST": ANY, "DELETE": ANY}

    async def get(self, request: Any) -> HttpResponseBase:
        """Return the caller's name and groups."""
        return renderers.json(_session(request))

    async def post(self, request: Any) -> HttpResponseBase:
        """Begin a session with an application's token as password; raises WrongToken."""
        if request.scope["hub.peer"][0] is not None:
            return _known_by_certificate(request)
        password = await _password(request)
        if password is not None or b"authorization" not in request.judged:
            request.caller = await application_of(request, password)
        # Before, it was enough that the page may act for somebody.
        await AllowedOrigin().admit(request, self)
        request.permit = await gate.permit_of(request.caller)
        user = _user(request)
        return renderers.json({"ok": True, **user}, headers={"Set-Cookie": _begin(request)})

    async def delete(self, request: Any) -> HttpResponseBase:
        """Have the client forget its session."""
        response = renderers.ok()
        response.headers["Set-Cookie"] = _cookie(request, "", 0)
        return response


def _known_by_certificate(request: Any) -> HttpResponseBase:
    if request.caller.principal_id is None:
        raise Forbidden("A token is not taken from who shows a certificate of somebody else.")
    return renderers.json(_session(request))


async def _password(request: Any) -> str | None:
    kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    pieces = [piece async for piece in parsers.pieces(request, _LARGEST_LOGIN)]
    text = b"".join(pieces)
    if not text:
        return None
    if kind == _FORM:
        return _of_form(text)
    if kind != "application/json":
        raise BadContentType(f"Content-Type must be {_FORM} or application/json")
    password = docjson.parse_object(text).get("password")
    return password if isinstance(password, str) else None


def _of_form(text: bytes) -> str | None:
    try:
        fields = parse_qs(text.decode(), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BadRequest("The form cannot be read.") from None
    return fields.get("password", [None])[0]


def _begin(request: Any) -> str:
    caller: Caller = request.caller
    assert caller.token is not None
    end = int(time.time()) + settings.HUB_SESSION_SECONDS
    text = tokens.session(caller.token, end, sessions_key())
    return _cookie(request, text, settings.HUB_SESSION_SECONDS)


def _cookie(request: Any, value: str, seconds: int) -> str:
    """Return the header of a cookie for this client alone.

    The page of another site gets its cookie back with `None` only, and from browsers that keep no
    cookies of third parties if it is `Partitioned`: then it is this site's and no other's.  That is
    no open door: whose page asks is judged on every request.
    """
    sites = "SameSite=None; Partitioned" if b"origin" in request.judged else "SameSite=Strict"
    return f"AuthSession={value}; Version=1; Max-Age={seconds}; Path=/; Secure; HttpOnly; {sites}"


def _session(request: Any) -> dict[str, Any]:
    handlers = {"authentication_handlers": ["certificate", "cookie", "default"]}
    authenticated = {"authenticated": _way(request)} if _user(request)["name"] else {}
    return {"ok": True, "userCtx": _user(request), "info": handlers | authenticated}


def _user(request: Any) -> dict[str, Any]:
    caller, permit = request.caller, request.permit
    roles = [*permit.groups, *(["_admin"] if permit.is_owner else [])]
    name = f"sha256:{caller.key}" if caller.principal_id is not None else None
    return {"name": name, "roles": roles}


def _way(request: Any) -> str:
    if request.caller.token is None:
        return "certificate"
    return "default" if b"authorization" in request.judged else "cookie"
