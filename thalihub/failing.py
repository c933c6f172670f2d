"""What a page says that cannot be made: while the database does not answer, that and no more."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from acl import sql
from couchapi.core.errors import StoreUnreachable


def failed(request: HttpRequest) -> HttpResponse:
    """Answer 503 while PostgreSQL is away, else 500 as Django does."""
    error = sys.exc_info()[1]
    if error is None or not sql.is_away(error):
        return defaults.server_error(request)
    # Without the request: who asks could only be told from the database.
    answer = HttpResponse(render_to_string("hub/away.html"), status=503)
    answer.headers["Retry-After"] = str(StoreUnreachable.seconds)
    answer.headers["Cache-Control"] = "no-store"
    return answer
