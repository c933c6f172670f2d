"""Names of databases, documents and attachments, and the way from a raw path to them.

A path is cut at its slashes first and decoded afterwards, so `%2F` is a slash inside a name and
never a separator.  The one exception is CouchDB's: in `_design/x` and `_local/x` the slash belongs
to the document's id whether it arrives raw or encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from couchapi.core.errors import (
    BadRequest,
    DatabaseNameTooLong,
    IllegalDatabaseName,
    IllegalDocid,
)

MAX_DATABASE_NAME = 238
# An index entry of PostgreSQL holds about 2,700 bytes; CouchDB itself has no limit by default.
MAX_DOCID_BYTES = 2000
MAX_ATTACHMENT_NAME_BYTES = 2000
REPLICATOR = "_replicator"
"""The one name of CouchDB's own that a database here may have."""
SYSTEM_DATABASES = frozenset({"_users", REPLICATOR, "_global_changes"})

_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_$()+/-]*")
_SCHEME_AND_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_JOINED = frozenset({"_design", "_local"})


def is_system_database(name: str) -> bool:
    """Tell whether the name is one that CouchDB keeps for itself, such as `_users`."""
    return name in SYSTEM_DATABASES


def is_database_name(name: str) -> bool:
    """Tell whether a database may have the name: of the system's names `_replicator` alone."""
    fits = len(name) <= MAX_DATABASE_NAME and _DATABASE_NAME.fullmatch(name) is not None
    return fits or name == REPLICATOR


def check_database_name(name: str) -> str:
    """Return the name of a database that may be made.

    Raises IllegalDatabaseName (also for system names, which are reserved) or DatabaseNameTooLong.
    """
    if name == REPLICATOR:
        return name
    if _DATABASE_NAME.fullmatch(name) is None:
        raise IllegalDatabaseName(f"Name: '{name}'. {IllegalDatabaseName.reason}")
    if len(name) > MAX_DATABASE_NAME:
        raise DatabaseNameTooLong(f"At least one path segment of `{name}` is too long.")
    return name


def check_docid(docid: object) -> str:
    """Return the document id; raises IllegalDocid as CouchDB's couch_doc:validate_docid."""
    if not isinstance(docid, str):
        raise IllegalDocid("Document id must be a string")
    if not docid:
        raise IllegalDocid("Document id must not be empty")
    if docid[0] == "_":
        _check_reserved(docid)
    if "\0" in docid:
        raise IllegalDocid("Document id must not contain NUL")
    if len(docid) * 4 > MAX_DOCID_BYTES and len(docid.encode()) > MAX_DOCID_BYTES:
        raise IllegalDocid("Document id is too long")
    return docid


def _check_reserved(docid: str) -> None:
    if docid in ("_design/", "_local/"):
        raise IllegalDocid(f"Illegal document id `{docid}`")
    if not docid.startswith(("_design/", "_local/")):
        raise IllegalDocid


def is_local(docid: str) -> bool:
    """Tell whether the document stays on this hub: `_local/…`."""
    return docid.startswith("_local/")


def is_design(docid: str) -> bool:
    """Tell whether this is a design document."""
    return docid.startswith("_design/")


def check_attachment_name(name: str) -> str:
    """Return the attachment's name; raises BadRequest with CouchDB's reason."""
    if not name:
        raise BadRequest("Attachment name must not be empty")
    if name[0] == "_":
        raise BadRequest(f"Attachment name '{name}' starts with prohibited character '_'")
    if "\0" in name:
        raise BadRequest("Attachment name must not contain NUL")
    if len(name.encode()) > MAX_ATTACHMENT_NAME_BYTES:
        raise BadRequest("Attachment name is too long")
    return name


def attachment_name(segments: Iterable[str]) -> str:
    """Return the attachment's name of the path segments after the document; it may hold slashes."""
    return check_attachment_name("/".join(segments))


def route(raw_path: bytes) -> tuple[str, ...]:
    """Return the decoded segments of a request target; `_design/x` and `_local/x` are one segment.

    Empty segments vanish, as in CouchDB, and a plus sign stays one.  The absolute form
    (RFC 9112 3.2.2) loses its scheme and authority.  Raises BadRequest for a path that is not
    strict percent-encoded UTF-8.
    """
    if not raw_path.startswith(b"/"):
        raw_path = _origin_form(raw_path)
    path = raw_path.partition(b"?")[0]
    segments = [decode(part) for part in path.split(b"/") if part]
    if len(segments) > 2 and segments[1] in _JOINED and _is_database_segment(segments[0]):
        segments[1:3] = [f"{segments[1]}/{segments[2]}"]
    return tuple(segments)


def _origin_form(target: bytes) -> bytes:
    if target in (b"", b"*"):  # "OPTIONS *" (RFC 9112 3.2.4)
        return b"/"
    absolute = _SCHEME_AND_AUTHORITY.match(target)
    if absolute is None:
        raise BadRequest("The request target must be a path")
    return target[absolute.end() :]


def _is_database_segment(name: str) -> bool:
    # The server's own routes begin with an underscore: /_node/_local/_config stays as it is.
    return name[0] != "_" or name in SYSTEM_DATABASES


def decode(part: bytes) -> str:
    """Return a segment of a path without its percent-encoding; raises BadRequest."""
    if b"%" in part:
        if _BAD_ESCAPE.search(part):
            raise BadRequest("The path is not percent-encoded UTF-8")
        part = unquote_to_bytes(part)
    try:
        return part.decode()
    except UnicodeDecodeError:
        raise BadRequest("The path is not percent-encoded UTF-8") from None
