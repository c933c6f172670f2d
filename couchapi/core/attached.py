"""What is known of an attachment besides its content."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment of one revision; `blob` names its content in the store.

    `length` is in bytes as a client sees it; `encoded_length` as stored, where it is compressed.
    `revpos` is the generation of the edit that brought this content.
    """

    blob: int
    content_type: str
    digest: str
    length: int
    revpos: int
    encoding: str | None = None
    encoded_length: int | None = None

    def stub(self) -> dict[str, Any]:
        """Return what a document shows instead of the content."""
        return {**self.described(), "length": self.length, "stub": True}

    def described(self) -> dict[str, Any]:
        """Return the members that every form of an attachment has."""
        return {
            "content_type": self.content_type,
            "revpos": self.revpos,
            "digest": self.digest,
        }


def encode(attached: Mapping[str, Attached]) -> bytes | None:
    """Return the text that a revision keeps, None for no attachments."""
    if not attached:
        return None
    return orjson.dumps({name: asdict(one) for name, one in attached.items()})


def decode(text: bytes | None) -> dict[str, Attached]:
    """Return the attachments of a revision, by name."""
    if text is None:
        return {}
    return {name: Attached(**members) for name, members in orjson.loads(text).items()}


def digest_of(content: bytes) -> str:
    """Return CouchDB's name for a content: `md5-` and the base64 of its MD5."""
    return digest_text(hashlib.md5(content, usedforsecurity=False).digest())


def digest_text(md5: bytes) -> str:
    """Return the text of an MD5 value."""
    return "md5-" + base64.b64encode(md5).decode()
