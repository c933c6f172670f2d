"""Attachments as they come with a document: by reference, inside it, or sent beside it.

CouchDB docs, "api/document/common", "Attachments": `stub` refers to what the server has,
`data` holds the content in base64, `follows` announces a part of the same multipart request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from couchapi.core import attached
from couchapi.core.errors import BadRequest, MissingStub

_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Stub:
    """What the server should have already."""

    digest: str | None
    revpos: int | None


@dataclass(frozen=True, slots=True)
class Inline:
    """A content that came inside the document."""

    content: bytes
    content_type: str
    revpos: int | None

    @property
    def digest(self) -> str:
        """CouchDB's name of the content."""
        return attached.digest_of(self.content)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A content that came beside the document and is in the store already; lengths in bytes."""

    blob: int
    content_type: str
    digest: str
    length: int
    revpos: int | None = None
    encoding: str | None = None
    encoded_length: int | None = None


Incoming = Stub | Inline | Uploaded


def read(
    members: Mapping[str, Mapping[str, Any]], uploaded: Mapping[str, Uploaded] | None = None
) -> dict[str, Incoming]:
    """Return the attachments of a document; `uploaded` are those that were announced.

    Raises BadRequest for a content that is not base64 or was announced and did not come.
    """
    return {name: _one(name, member, uploaded or {}) for name, member in members.items()}


def _one(name: str, member: Mapping[str, Any], uploaded: Mapping[str, Uploaded]) -> Incoming:
    revpos = _revpos(name, member)
    if member.get("stub"):
        digest = member.get("digest")
        return Stub(digest if isinstance(digest, str) else None, revpos)
    if member.get("follows"):
        if name not in uploaded:
            raise BadRequest(f"The attachment '{name}' was announced and did not follow.")
        return uploaded[name]
    if "data" not in member:
        raise MissingStub(f"The attachment '{name}' has neither data nor stub.")
    content_type = member.get("content_type", _DEFAULT_TYPE)
    if not isinstance(content_type, str):
        raise BadRequest(f"The content_type of the attachment '{name}' is not a string.")
    return Inline(_decoded(name, member["data"]), content_type, revpos)


def _revpos(name: str, member: Mapping[str, Any]) -> int | None:
    revpos = member.get("revpos")
    if revpos is not None and (not isinstance(revpos, int) or isinstance(revpos, bool)):
        raise BadRequest(f"The revpos of the attachment '{name}' is not a number.")
    return revpos


def _decoded(name: str, data: object) -> bytes:
    if not isinstance(data, str):
        raise BadRequest(f"The data of the attachment '{name}' is not a string.")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"Invalid attachment data for {name}") from None
