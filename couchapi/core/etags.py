"""ETags: is the client's copy still good (RFC 9110, 13.1), and which revision does it mean?

Tags are handled here without their quotes: a revision is the tag of its document.
"""

from __future__ import annotations

import re

from couchapi.core.errors import BadRequest

_TAG = re.compile(r'(?:W/)?"([^"\x00-\x20\x7f]*)"')


def of_rev(rev: str) -> str:
    """Return the ETag header of a document."""
    return f'"{rev}"'


def of_digest(digest: str) -> str:
    """Return the ETag header of an attachment: its digest without `md5-`."""
    return f'"{digest.removeprefix("md5-")}"'


def matches(header: str | None, tag: str) -> bool:
    """Tell whether If-None-Match names `tag` (with or without its quotes): then answer 304.

    Weak tags count as equal, `*` matches everything, and a header that cannot be read is as if it
    were not there.
    """
    if not header:
        return False
    return header.strip() == "*" or tag.strip('"') in tags(header)


def tags(header: str) -> list[str]:
    """Return the tags of a list, without quotes and `W/`; none if it cannot be read."""
    items = [item.strip() for item in header.split(",")]
    found = [_TAG.fullmatch(item) for item in items if item]
    return [each[1] for each in found if each] if all(found) else []


def single(header: str | None) -> str | None:
    """Return the one tag of If-Match, None without the header; quotes may be missing.

    CouchDB's clients put a revision there.  Raises BadRequest for `*` and for lists, which would
    mean to overwrite whatever there is.
    """
    if header is None:
        return None
    tag = header.strip().removeprefix("W/").strip('"')
    if not tag or "," in tag or '"' in tag or tag == "*":
        raise BadRequest("Invalid rev format")
    return tag
