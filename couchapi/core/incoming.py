"""Attachments as they come with a document: by reference, inside it, or sent beside it.

CouchDB docs, "api/document/common", "Attachments": `stub` refers to what the server has,
`data` holds the content in base64, `follows` announces a part of the same multipart request.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from couchapi.core import attached
from couchapi.core.errors import BadRequest, MissingStub

_DEFAULT_TYPE = "application/octet-stream"
_LONGEST_TYPE = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HIGHEST_REVPOS = 2**53


@dataclass(frozen=True, slots=True)
class Stub:
    """What the server should have already."""

    digest: str | None
    revpos: int | None


@dataclass(frozen=True)
class Inline:
    """A content that came inside the document."""

    content: bytes
    content_type: str
    revpos: int | None

    @cached_property
    def digest(self) -> str:
        """CouchDB's name of the content."""
        return attached.digest_of(self.content)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A content that came beside the document; lengths in bytes.

    `content` is the number of its blob, or the bytes themselves where they are few.
    """

    content: int | bytes
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
    revpos = check_revpos(name, member.get("revpos"))
    if member.get("stub"):
        digest = member.get("digest")
        return Stub(digest if isinstance(digest, str) else None, revpos)
    if member.get("follows"):
        if name not in uploaded:
            raise BadRequest(f"The attachment '{name}' was announced and did not follow.")
        return uploaded[name]
    if "data" not in member:
        raise MissingStub(f"The attachment '{name}' has neither data nor stub.")
    content_type = check_content_type(name, member.get("content_type", _DEFAULT_TYPE))
    return Inline(_decoded(name, member["data"]), content_type, revpos)


def check_content_type(name: str, value: object) -> str:
    """Return the type of the attachment `name`; raises BadRequest for what is no header's value."""
    if not isinstance(value, str) or len(value) > _LONGEST_TYPE or _CONTROL.search(value):
        raise BadRequest(f"The content_type of the attachment '{name}' is not a media type.")
    return value


def check_revpos(name: str, value: object) -> int | None:
    """Return the generation that brought the attachment `name`, if one is said.

    Raises BadRequest.
    """
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _HIGHEST_REVPOS:
        raise BadRequest(f"The revpos of the attachment '{name}' is not a number.")
    return value


def _decoded(name: str, data: object) -> bytes:
    if not isinstance(data, str):
        raise BadRequest(f"The data of the attachment '{name}' is not a string.")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"Invalid attachment data for {name}") from None
