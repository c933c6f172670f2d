"""ETags: is the client's copy still good (RFC 9110, 13.1), and which revision does it mean?"""

from __future__ import annotations

import re

from couchapi.core import docjson
from couchapi.core.errors import BadRequest

_TAG = re.compile(r'(?:W/)?("[^"\x00-\x20\x7f]*")')


def of_rev(rev: str) -> str:
    """Return the ETag of a document."""
    return f'"{rev}"'


def of_digest(digest: str) -> str:
    """Return the ETag of an attachment: its digest without `md5-`."""
    return f'"{digest.removeprefix("md5-")}"'


def is_fresh(if_none_match: str | None, etag: str) -> bool:
    """Tell whether If-None-Match names `etag`, so that the answer is 304.

    Weak tags count as equal, `*` matches everything, and a header that cannot be read is as if it
    were not there.
    """
    if not if_none_match:
        return False
    header = if_none_match.strip()
    if header == "*":
        return True
    # Most headers are one tag: no list has to be read for those.
    if header == etag:
        return True
    return etag in tags(header)


def tags(header: str) -> list[str]:
    """Return the tags of a list, without their `W/`; none if it cannot be read."""
    items = [item.strip() for item in header.split(",")]
    found = [_TAG.fullmatch(item) for item in items if item]
    return [each[1] for each in found if each] if all(found) else []


def asked_rev(rev: str | None, if_match: str | None) -> str | None:
    """Return the revision that a write builds on, from `rev` or from If-Match.

    Raises BadRequest when both are there and differ (CouchDB docs, "PUT /{db}/{docid}").
    """
    if if_match is None:
        return rev
    matched = docjson.check_rev(if_match.strip().removeprefix("W/").strip('"'))
    if rev is not None and rev != matched:
        raise BadRequest("Document rev and etag have different values")
    return matched
